"""Margins: one-sided and two one-sided tests, their intervals, and what they may conclude."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.weightstats import ttost_ind, ttost_paired

from causal_sae.estimation import estimate
from causal_sae.estimation.estimators import ESTIMATORS, paired
from causal_sae.estimation.guardrails import beyond_of, inverted
from causal_sae.estimation.inference import student
from causal_sae.flags import split

CROSSOVER = {"method": "crossover"}


def _outcome(**changes: Any) -> dict[str, Any]:
    return {
        "name": "gap",
        "role": "guardrail",
        "metric": "nll",
        "continuation": "x",
        "harm": "either",
        "margin": 0.5,
        **changes,
    }


def _table(y: Any, z: Any, unit: Any | None = None) -> pd.DataFrame:
    arm = np.where(np.asarray(z) == 1, "treated", "control")
    units = np.arange(len(arm)) if unit is None else unit
    return pd.DataFrame({"unit_id": units, "arm": arm, "outcome": "gap", "value": y})


def _row(make_trial: Any, table: pd.DataFrame, **changes: Any) -> pd.Series:
    outcome = _outcome(**changes.pop("outcome", {}))
    return estimate(make_trial(outcomes=[outcome], **changes), table).iloc[0]


def test_two_one_sided_tests_agree_with_r(make_trial: Any, golden: Any) -> None:
    expected = golden("equivalence")
    assert set(expected["estimator"]) == {"welch", "paired"}
    for _, case in expected.iterrows():
        data = golden(f"data_{case['data']}")
        design = {"assignment": CROSSOVER} if case["estimator"] == "paired" else {}
        row = _row(
            make_trial,
            _table(data["y"], data["z"], data.get("unit")),
            outcome={"margin": case["margin"]},
            analysis={"alpha": case["alpha"], "estimator": case["estimator"]},
            **design,
        )
        assert row["p_value"] == pytest.approx(case["p_value"], abs=1e-6, rel=1e-6)
        assert row["statistic"] == pytest.approx(case["statistic"], rel=1e-8)
        assert row["df"] == pytest.approx(case["df"], abs=1e-4)
        for end in ("conf_low", "conf_high"):
            assert row[end] == pytest.approx(case[end], rel=1e-6)
        assert row["conf_level"] == pytest.approx(1 - 2 * case["alpha"])
        shown = "equivalent" in split(row["flags"])
        assert shown == row["reject"] == (case["p_value"] <= case["alpha"])
        assert shown == (-case["margin"] < row["conf_low"] and row["conf_high"] < case["margin"])


def test_two_one_sided_tests_agree_with_statsmodels(make_trial: Any, golden: Any) -> None:
    blocked, data = golden("data_blocked"), golden("data_paired")
    one, zero = (blocked.loc[blocked["z"] == z, "y"].to_numpy() for z in (1, 0))
    expected, above, below = ttost_ind(one, zero, -2.5, 2.5, usevar="unequal")
    row = _row(
        make_trial,
        _table(blocked["y"], blocked["z"]),
        outcome={"margin": 2.5},
        analysis={"estimator": "welch"},
    )
    assert row["p_value"] == pytest.approx(expected, rel=1e-6)
    assert row["p_value"] == pytest.approx(max(above[1], below[1]), rel=1e-6)
    one, zero = (data.loc[data["z"] == z].sort_values("unit")["y"].to_numpy() for z in (1, 0))
    row = _row(
        make_trial,
        _table(data["y"], data["z"], data["unit"]),
        outcome={"margin": 0.4},
        assignment=CROSSOVER,
        analysis={"estimator": "paired"},
    )
    assert row["p_value"] == pytest.approx(ttost_paired(one, zero, -0.4, 0.4)[0], rel=1e-6)


@given(
    effect=st.floats(-3, 3),
    margin=st.floats(0.05, 3),
    harm=st.sampled_from(["increase", "decrease", "either"]),
    seed=st.integers(0, 99),
)
@settings(max_examples=40, deadline=None)
def test_the_margin_is_excluded_exactly_when_the_interval_stops_short_of_it(
    effect: float, margin: float, harm: str, seed: int, make_trial: Any
) -> None:
    y = np.random.default_rng(seed).normal(size=16) + effect * np.tile([1, 0], 8)
    row = _row(make_trial, _table(y, np.tile([1, 0], 8)), outcome={"margin": margin, "harm": harm})
    above, below = row["conf_high"] < margin, -margin < row["conf_low"]
    short = {"increase": above, "decrease": below, "either": above and below}[harm]
    passed = {"either": "equivalent"}.get(harm, "non_inferior")
    assert (passed in split(row["flags"])) == short
    assert ("harm_not_excluded" in split(row["flags"])) != short


def test_equivalence_is_the_stricter_of_both_non_inferiorities(make_trial: Any) -> None:
    y = np.random.default_rng(3).normal(size=60) + 0.1 * np.tile([1, 0], 30)
    table = _table(y, np.tile([1, 0], 30))
    rows = {h: _row(make_trial, table, outcome={"harm": h}) for h in ("increase", "decrease")}
    either = _row(make_trial, table)
    stricter = max(rows.values(), key=lambda row: row["p_value"])
    assert either["p_value"] == stricter["p_value"]
    assert either["statistic"] == pytest.approx(stricter["statistic"])


def test_not_significant_is_not_equivalent(make_trial: Any) -> None:
    y = np.random.default_rng(1).normal(size=12)
    row = _row(make_trial, _table(y, np.tile([1, 0], 6)))
    assert row["conf_low"] < 0 < row["conf_high"]  # no effect is seen
    assert not row["reject"]
    assert "harm_not_excluded" in split(row["flags"])


@pytest.mark.parametrize("role", ["primary", "secondary", "exploratory"])
def test_any_role_may_claim_that_nothing_changes(role: str, make_trial: Any) -> None:
    y = np.random.default_rng(4).normal(size=400)
    table = _table(y, np.tile([1, 0], 200))
    wide = _row(make_trial, table, outcome={"role": role})
    assert split(wide["flags"]) == ("margin_test", "equivalent")
    narrow = _row(make_trial, table, outcome={"role": role, "margin": 0.01})
    assert split(narrow["flags"]) == ("margin_test", "equivalence_not_shown")


def test_other_outcomes_keep_their_interval(make_trial: Any) -> None:
    rng = np.random.default_rng(5)
    table = _table(rng.normal(size=40), np.tile([1, 0], 20))
    both = pd.concat([table, table.assign(outcome="other", value=rng.normal(size=40))])
    other = {"name": "other", "role": "primary", "metric": "entropy"}
    trial = make_trial(outcomes=[_outcome(), other], analysis={"estimator": "welch"})
    effects = estimate(trial, both)
    assert effects["conf_level"].tolist() == pytest.approx([0.9, 0.95])
    row = effects.iloc[1]
    expected = student(row["estimate"], row["std_error"], row["df"], 0.05)
    assert row["conf_low"] == pytest.approx(expected.conf_low)
    assert row["flags"] == ""


def test_identical_arms_are_equivalent_and_constant_ones_that_differ_are_not(
    make_trial: Any,
) -> None:
    units = np.tile(np.arange(12), 2)
    z = np.repeat([1, 0], 12)
    same = _row(make_trial, _table(np.ones(24), z, units), assignment=CROSSOVER)
    assert (same["p_value"], same["reject"]) == (0.0, True)
    assert "equivalent" in split(same["flags"])
    apart = _row(make_trial, _table(1.0 + z, z, units), assignment=CROSSOVER)
    assert {"no_variance", "harm_not_excluded"} <= set(split(apart["flags"]))


@pytest.mark.parametrize(
    ("shift", "shown"), [(0.4, True), (-0.4, True), (0.6, False), (-0.6, False)]
)
def test_a_known_effect_is_held_against_both_margins(
    shift: float, shown: bool, make_trial: Any
) -> None:
    y = np.random.default_rng(0).normal(size=10)
    table = _table(np.concatenate([y + shift, y]), np.repeat([1, 0], 10), np.tile(np.arange(10), 2))
    population = {"prompts": "p.csv", "claim": "finite"}
    row = _row(make_trial, table, assignment=CROSSOVER, population=population)
    assert {"finite_population_exact", "equivalent" if shown else "harm_not_excluded"} == set(
        split(row["flags"])
    )


def test_an_inverted_interval_gives_its_estimators_p(make_sample: Any, golden: Any) -> None:
    """Where the interval is Student's the bisection must find Student's p, on every side."""
    frame = golden("data_paired").sort_values(["unit", "z"], ascending=[True, False])
    sample = make_sample(frame)
    fitted = paired.fit(sample, 0.1)
    for effect in (-0.3, 0.0, fitted.estimate + 0.05, 0.9):
        for side in (-1, 1):
            t = (fitted.estimate - effect) / fitted.std_error
            expected = float(stats.t.sf(side * t, fitted.df))
            found = inverted(partial(paired.fit, sample), effect, side)
            assert found == pytest.approx(expected, abs=1e-9)
    assert beyond_of(ESTIMATORS["paired"], sample, fitted, 0.1) is None


def test_a_skewed_interval_and_its_margin_test_agree(make_trial: Any) -> None:
    """`sparse` has an interval of its own: Student's t would contradict it at the margin."""
    rng = np.random.default_rng(7)
    exposed = np.arange(80) < 20
    shift = np.where(exposed, rng.exponential(size=80) - 0.5, 0.0)
    base = pd.DataFrame({"unit_id": np.arange(80), "outcome": "gap", "exposed": exposed})
    y = rng.normal(size=80)
    table = pd.concat(
        [base.assign(arm="control", value=y), base.assign(arm="treated", value=y + shift)]
    )
    probe = _row(make_trial, table, assignment=CROSSOVER, outcome={"harm": "increase"})
    assert probe["estimator"] == "sparse"
    for nudge, shown in ((1.001, True), (0.999, False)):
        margin = float(probe["conf_high"] * nudge)
        row = _row(
            make_trial,
            table,
            assignment=CROSSOVER,
            outcome={"harm": "increase", "margin": margin},
        )
        assert ("non_inferior" in split(row["flags"])) == shown
        assert row["p_value"] == pytest.approx(0.05, abs=2e-3)


def test_the_error_rate_at_the_margin_is_alpha() -> None:
    """2,000 trials whose true effect is exactly the margin: at most 5% may pass, and about that."""
    from causal_sae.estimation.guardrails import against_margin
    from causal_sae.estimation.inference import Estimate
    from causal_sae.spec.outcomes import NLL

    outcome = NLL(name="gap", role="guardrail", continuation="x", margin=0.8, harm="either")
    rng = np.random.default_rng(11)
    draws = rng.normal(0.8, 1.0, size=(2000, 40))
    means, errors = draws.mean(axis=1), draws.std(axis=1, ddof=1) / np.sqrt(40)
    fitted = [student(float(m), float(e), 39, 0.1) for m, e in zip(means, errors, strict=True)]
    assert all(isinstance(one, Estimate) for one in fitted)
    passed = np.mean([against_margin(one, outcome).p_value <= 0.05 for one in fitted])
    assert abs(passed - 0.05) <= 3.29 * np.sqrt(0.05 * 0.95 / 2000)
