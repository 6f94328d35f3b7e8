from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from causal_sae.estimation import estimate, graph, identify, refute
from causal_sae.estimation.refutation import Refutation, describe
from causal_sae.estimation.sensitivity import robustness, robustness_value

ALL = ["placebo_treatment", "random_common_cause", "data_subset"]


@pytest.fixture
def few_simulations(monkeypatch: pytest.MonkeyPatch) -> None:
    from causal_sae.estimation import causal_model

    monkeypatch.setattr(causal_model, "SIMULATIONS", 12)


@pytest.fixture
def table(make_observations: Any) -> pd.DataFrame:
    rng = np.random.default_rng(5)
    arm = np.tile(["treated", "control", "control"], 20)
    block = np.repeat(np.arange(4), 15)
    y = 0.5 * block + 3 * (arm == "treated") + 0.5 * rng.normal(size=60)
    return make_observations(y, arm, block=block, x=rng.normal(size=60))


DESIGNS: dict[str, Any] = {
    "ancova": {"analysis": {"covariates": ["x"], "refuters": ALL}},
    "blocked": {
        "analysis": {"covariates": ["x"], "refuters": ALL},
        "assignment": {"method": "block", "block_by": ["topic"]},
    },
}


@pytest.mark.usefixtures("few_simulations")
@pytest.mark.parametrize("name", DESIGNS)
def test_refuters_rest_on_the_estimate_of_the_table(name: str, table: Any, make_trial: Any) -> None:
    trial = make_trial(**DESIGNS[name])
    verdicts = refute(trial, table)
    assert list(verdicts) == list(Refutation.__dataclass_fields__)
    assert verdicts["refuter"].tolist() == ALL
    effect = estimate(trial, table)["estimate"][0]
    assert verdicts["estimate"].tolist() == pytest.approx([effect] * 3)
    assert verdicts["passed"].all()
    assert set(verdicts["status"]) == {"passed"}
    assert abs(verdicts["refuted_estimate"][0]) < 1 < effect
    assert verdicts["refuted_estimate"][1:].tolist() == pytest.approx([effect] * 2, abs=0.15)


@pytest.mark.usefixtures("few_simulations")
def test_pairs_are_refuted_within_units(make_trial: Any) -> None:
    """Unit means are ten times the effect: rows treated as independent would drown it."""
    rng = np.random.default_rng(0)
    y = 10 * rng.normal(size=30)
    units = pd.DataFrame({"unit_id": range(30), "outcome": "gap"})
    shift = 1 + 0.1 * rng.normal(size=30)
    table = pd.concat(
        [units.assign(arm="control", value=y), units.assign(arm="treated", value=y + shift)]
    )
    trial = make_trial(
        assignment={"method": "crossover"},
        analysis={"refuters": ["placebo_treatment", "data_subset"]},
    )
    verdicts = refute(trial, table)
    assert verdicts["estimate"][0] == pytest.approx(shift.mean())
    assert abs(verdicts["refuted_estimate"][0]) < 0.2
    assert verdicts["refuted_estimate"][1] == pytest.approx(shift.mean(), abs=0.1)
    pd.testing.assert_frame_equal(verdicts, refute(trial, table.iloc[::-1]))  # seeded, unordered


@pytest.mark.usefixtures("few_simulations")
def test_an_estimate_that_the_data_do_not_give_is_refuted() -> None:
    from causal_sae.estimation import causal_model

    rng = np.random.default_rng(0)
    z = np.tile([0.0, 1.0], 50)
    fitted = causal_model.fit(z + rng.normal(size=100), z, np.empty((100, 0)))
    claimed = SimpleNamespace(**vars(fitted.estimate))
    claimed.value = fitted.value + 2
    for refuter in ("random_common_cause", "data_subset"):
        _, p_value = causal_model.refute(replace(fitted, estimate=claimed), refuter, 1)
        assert p_value < 0.01


def test_subsets_differ_from_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a number as its seed, DoWhy draws the same subset every time."""
    from causal_sae.estimation import causal_model

    rng = np.random.default_rng(0)
    z = np.tile([0.0, 1.0], 20)
    fitted = causal_model.fit(rng.normal(size=40), z, np.empty((40, 0)))
    seen: list[float] = []
    original = causal_model.RobustRegression.estimate_effect

    def spy(self: Any, *args: Any, **kwargs: Any) -> Any:
        result = original(self, *args, **kwargs)
        seen.append(result.value)
        return result

    monkeypatch.setattr(causal_model.RobustRegression, "estimate_effect", spy)
    monkeypatch.setattr(causal_model, "SIMULATIONS", 5)
    causal_model.refute(fitted, "data_subset", 1)
    assert len(set(seen)) == 5


def test_too_few_units_are_said_so(make_trial: Any, make_observations: Any) -> None:
    table = make_observations([1.0, 2.0, 3.0, 5.0], ["treated", "control"] * 2)
    verdict = refute(make_trial(analysis={"refuters": ["data_subset"]}), table).iloc[0]
    assert verdict["passed"] is pd.NA
    assert verdict["sentence"].startswith("Not run")
    assert verdict["status"] == "not run"


def test_only_primary_outcomes_are_refuted(table: Any, make_trial: Any) -> None:
    outcomes = [{"name": "gap", "role": "secondary", "metric": "entropy"}]
    trial = make_trial(outcomes=outcomes, analysis={"refuters": ALL})
    verdicts = refute(trial, table)
    assert verdicts.empty
    assert list(verdicts) == list(Refutation.__dataclass_fields__)


def test_a_verdict_is_one_plain_sentence() -> None:
    passed = describe("placebo_treatment", True, 0.7, 0.012)
    failed = describe("placebo_treatment", False, 0.7, 0.5)
    assert passed == (
        "Refuter passed: with the arms shuffled the effect vanishes (0.012 instead of 0.7)."
    )
    assert failed == (
        "Refuter failed: with the arms shuffled an effect of 0.5 remains, where none can be."
    )


def test_identification_names_graph_and_estimand(make_trial: Any) -> None:
    plain = make_trial(analysis={"covariates": ["clean_outcome"]})
    assert graph(plain) == (("arm", "outcome"), ("prompt", "outcome"), ("clean_outcome", "outcome"))
    text = identify(plain)
    assert "arm -> outcome" in text
    assert "E[outcome]" in text  # randomised: nothing in the condition
    blocks = make_trial(assignment={"method": "block", "block_by": ["topic"]})
    assert "E[outcome|block]" in identify(blocks)


@pytest.mark.parametrize("covariates", [(), ("x",)])
def test_dowhy_equals_least_squares(
    covariates: tuple[str, ...], make_sample: Any, golden: Any
) -> None:
    """And keeps a covariate's main effect, which DoWhy would drop for one that only causes y."""
    from causal_sae.estimation.estimators import ESTIMATORS

    sample = make_sample(golden("data_blocked"), covariates)
    ours = ESTIMATORS["ancova" if covariates else "difference_in_means"].fit(sample, 0.05)
    theirs = ESTIMATORS["dowhy"].fit(sample, 0.05)
    for column in ("estimate", "std_error", "df", "p_value", "conf_low", "conf_high"):
        assert getattr(theirs, column) == pytest.approx(getattr(ours, column), rel=1e-9)


UNOBSERVED = {"refuters": ["unobserved_common_cause"]}


def test_robustness_values_are_the_published_ones() -> None:
    """Cinelli and Hazlett (2020), table 1: the Darfur example, t = 4.18 with 783 degrees."""
    assert robustness_value(4.18445, 783) == pytest.approx(0.139, abs=5e-4)
    assert robustness_value(4.18445, 783, 0.05) == pytest.approx(0.076, abs=5e-4)
    assert robustness_value(1.0, 783, 0.05) == 0.0


@pytest.mark.parametrize("k", [0, 2])
def test_a_confounder_as_strong_as_the_robustness_value_takes_the_effect_away(k: int) -> None:
    """The definition itself: a variable that explains just that share of both is put in."""
    rng = np.random.default_rng(4)
    z, x = np.tile([0.0, 1.0], 40), rng.normal(size=(80, k))
    y = 0.6 * z + x.sum(axis=1) + rng.normal(size=80)
    found = robustness(y, z, x, 0.05)
    assert found is not None
    rest = np.column_stack([np.ones(80), x])

    def residual(v: Any, on: Any) -> Any:
        return v - on @ np.linalg.lstsq(on, v, rcond=None)[0]

    arm = residual(z, rest)
    left = residual(y, np.column_stack([rest, z]))
    noise = residual(rng.normal(size=80), np.column_stack([rest, z, y]))
    arm, left, noise = (v / np.linalg.norm(v) for v in (arm, left, noise))
    rv = found.effect
    # R2(arm ~ u) = rv, and R2(outcome ~ u | arm) = rv, among what the covariates leave
    along = np.sqrt(rv * (1 - rv))
    hidden = np.sqrt(rv) * arm + along * left + np.sqrt(1 - rv - along**2) * noise
    columns = np.column_stack([rest, z, hidden])
    assert np.linalg.lstsq(columns, y, rcond=None)[0][rest.shape[1]] == pytest.approx(0, abs=1e-9)


def test_unobserved_causes_are_not_asked_about_in_a_complete_trial(
    table: Any, make_trial: Any
) -> None:
    row = refute(make_trial(analysis=UNOBSERVED), table).iloc[0]
    assert row["status"] == "not run"
    assert row["passed"] is pd.NA
    assert "assigned at random and no outcome is missing" in row["sentence"]
    assert np.isnan(row["robustness_value"])


def test_with_losses_the_robustness_value_is_told(table: Any, make_trial: Any) -> None:
    lossy = table.assign(value=table["value"].mask(table.index.isin([0, 7, 13])))
    row = refute(make_trial(analysis=UNOBSERVED), lossy).iloc[0]
    kept = lossy.dropna(subset="value")
    found = robustness(
        kept["value"].to_numpy(),
        1.0 * (kept["arm"] == "treated").to_numpy(),
        np.empty((57, 0)),
        0.05,
    )
    assert found is not None
    assert row["status"] == "reported"
    assert row["robustness_value"] == pytest.approx(found.effect)
    assert row["estimate"] == pytest.approx(estimate(make_trial(), lossy)["estimate"][0])
    assert f"{found.effect:.1%}" in row["sentence"]
    assert f"{found.interval:.1%} to bring its 95% interval to zero" in row["sentence"]
    assert np.isnan(row["p_value"])


def test_within_units_a_loss_confounds_nothing(make_trial: Any) -> None:
    y = np.random.default_rng(0).normal(size=40)
    y[3] = np.nan
    table = pd.DataFrame({"unit_id": np.repeat(np.arange(20), 2), "outcome": "gap", "value": y})
    table["arm"] = ["treated", "control"] * 20
    trial = make_trial(assignment={"method": "crossover"}, analysis=UNOBSERVED)
    row = refute(trial, table).iloc[0]
    assert row["status"] == "not run"
    assert "its own control" in row["sentence"]


def test_constant_and_tiny_samples_have_no_robustness_value(make_trial: Any) -> None:
    for y in ([1.0, 1.0, np.nan, 1.0] * 6, [1.0, 2.0, np.nan, 3.0]):
        arm = ["treated", "control"] * (len(y) // 2)
        table = pd.DataFrame({"unit_id": range(len(y)), "arm": arm, "outcome": "gap", "value": y})
        row = refute(make_trial(analysis=UNOBSERVED), table).iloc[0]
        assert row["status"] == "not run"


def test_identification_without_dowhy_tells_the_graph(make_trial: Any) -> None:
    trial = make_trial(analysis={"covariates": ["x"]})
    short = identify(trial, expression=False)
    assert identify(trial).startswith(short)
    assert "x -> outcome" in short
    assert "E[" not in short


def test_dowhy_is_refused_within_units_with_what_to_use(make_trial: Any, table: Any) -> None:
    from causal_sae.errors import SpecError

    trial = make_trial(assignment={"method": "crossover"}, analysis={"estimator": "dowhy"})
    with pytest.raises(SpecError, match=r"'dowhy' fits plain .* is within-unit; use 'paired'"):
        estimate(trial, table)
