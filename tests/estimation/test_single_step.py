"""Simultaneous intervals against multcomp, clubSandwich and mvtnorm, and against Dunnett's."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from causal_sae.errors import SpecError
from causal_sae.estimation import check_analysis, estimate
from causal_sae.estimation.estimators import ESTIMATORS
from causal_sae.estimation.multiplicity import dunnett, single_step
from causal_sae.estimation.multiplicity.influence import CONTRIBUTIONS
from causal_sae.estimation.multiplicity.joint_t import joint_t
from causal_sae.flags import split

STEP = {"multiplicity": {"method": "single_step"}}
ARMS = [{"name": name, "intervention": {"kind": "none"}} for name in "cab"]
OUTCOMES = [{"name": name, "role": "secondary", "metric": "entropy"} for name in ("y1", "y2")]
ASSIGNMENTS: dict[str, dict[str, Any]] = {
    "plain": {"method": "complete"},
    "blocked": {"method": "block", "block_by": ["block"]},
    "clustered": {"method": "cluster", "cluster_by": "cluster"},
    "within": {"method": "crossover"},
}


def _long(frame: pd.DataFrame) -> pd.DataFrame:
    keys = [c for c in ("unit", "arm", "block", "cluster", "x") if c in frame]
    long = frame.melt(id_vars=keys, value_vars=["y1", "y2"], var_name="outcome")
    return long.rename(columns={"unit": "unit_id"})


def _effects(make_trial: Any, frame: pd.DataFrame, design: str, **analysis: Any) -> pd.DataFrame:
    trial = make_trial(
        arms=ARMS,
        outcomes=OUTCOMES,
        assignment=ASSIGNMENTS[design],
        analysis={"reference": "c", **STEP, **analysis},
    )
    return estimate(trial, _long(frame))


@pytest.mark.parametrize(
    ("case", "design"),
    [
        ("difference_in_means", "plain"),
        ("ancova", "plain"),
        ("lin", "plain"),
        ("fixed_effects", "blocked"),
        ("cluster", "clustered"),
        ("paired", "within"),
    ],
)
def test_agrees_with_r(case: str, design: str, make_trial: Any, golden: Any) -> None:
    name = "plain" if design in {"plain", "blocked"} else design
    adjusted = {"covariates": ["x"]} if case in {"ancova", "lin"} else {}
    data = golden(f"data_joint_{name}")
    effects = _effects(make_trial, data, design, estimator=case, **adjusted)
    expected = golden("single_step").query("case == @case").set_index(["outcome", "treatment"])
    found = effects.set_index(["outcome", "treatment"]).loc[expected.index]
    for column, tolerance in (("estimate", 1e-8), ("std_error", 1e-8), ("df", 1e-4)):
        assert found[column].to_numpy() == pytest.approx(
            expected[column].to_numpy(), abs=tolerance
        ), column
    if case == "cluster":  # mvtnorm knows whole degrees of freedom only
        found = _by_whole_df(expected, golden)
    p_values = expected["p_adjusted"].to_numpy()
    assert found["p_adjusted"].to_numpy() == pytest.approx(p_values, abs=2e-4)
    for column in ("conf_low", "conf_high"):
        assert found[column].to_numpy() == pytest.approx(expected[column].to_numpy(), abs=2e-3)


def _by_whole_df(expected: pd.DataFrame, golden: Any) -> pd.DataFrame:
    joint = joint_t(_correlation(golden, "cluster"))
    t, df = (expected["estimate"] / expected["std_error"]).abs(), expected["df"].round()
    reach = [joint.critical(0.05, d, 4) for d in df] * expected["std_error"]
    return expected.assign(
        p_adjusted=[joint.tail(x, d) for x, d in zip(t, df, strict=True)],
        conf_low=expected["estimate"] - reach,
        conf_high=expected["estimate"] + reach,
    )


def _correlation(golden: Any, case: str) -> Any:
    cells = golden("single_step_correlations").query("case == @case")
    return cells.pivot_table(index="row", columns="column", values="value").to_numpy()


@pytest.mark.parametrize("case", ["difference_in_means", "ancova", "lin", "cluster", "paired"])
def test_correlations_agree_with_r(
    case: str, make_trial: Any, golden: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []
    monkeypatch.setattr(single_step, "joint_t", lambda r: seen.append(r) or joint_t(r))
    design = {"cluster": "clustered", "paired": "within"}.get(case, "plain")
    adjusted = {"covariates": ["x"]} if case in {"ancova", "lin"} else {}
    _effects(make_trial, golden(f"data_joint_{design}"), design, estimator=case, **adjusted)
    assert seen[0] == pytest.approx(_correlation(golden, case), abs=1e-10)


@pytest.mark.parametrize("se_type", ["HC2", "HC3"])
@pytest.mark.parametrize(
    ("data", "estimator", "covariates"),
    [
        ("mtcars", "welch", ()),
        ("mtcars", "difference_in_means", ()),
        ("mtcars", "ancova", ("x", "w")),
        ("mtcars", "lin", ("x",)),
        ("blocked", "block", ()),
        ("blocked", "block", ("x",)),
        ("small_blocks", "block", ()),
        ("uneven_blocks", "block", ()),
        ("uneven_blocks", "fixed_effects", ("x",)),
        ("pairs", "block", ()),
        ("clustered", "cluster", ("x",)),
        ("block_cluster", "cluster", ()),
        ("block_cluster_unequal", "cluster", ()),
        ("paired", "paired", ()),
    ],
)
def test_contributions_square_to_the_standard_error(
    data: str, estimator: str, covariates: Any, se_type: Any, make_sample: Any, golden: Any
) -> None:
    frame = golden(f"data_{data}")
    frame = frame.drop(columns="cluster") if data == "mtcars" else frame
    if "unit" in frame:
        frame = frame.sort_values(["unit", "z"], ascending=[True, False])
    sample = replace(make_sample(frame, covariates), se_type=se_type)
    contributions = pd.Series(CONTRIBUTIONS[estimator](sample))
    by = sample.block if data == "pairs" else np.arange(len(sample))
    total = float((contributions.groupby(by).sum() ** 2).sum())
    fitted = ESTIMATORS[estimator].fit(sample, 0.05)
    assert np.sqrt(total) == pytest.approx(fitted.std_error, rel=1e-9)


@pytest.mark.parametrize("estimator", ["welch", "difference_in_means"])
def test_one_outcome_against_one_reference_is_dunnetts(
    estimator: str, make_trial: Any, golden: Any
) -> None:
    data = golden("data_doses").rename(columns={"group": "arm", "y": "value"})
    table = data.assign(unit_id=[f"u{i}" for i in range(len(data))], outcome="gap")
    arms = [{"name": n, "intervention": {"kind": "none"}} for n in ("ctrl", "low", "mid", "high")]
    step, same = (
        estimate(
            make_trial(
                arms=arms, analysis={"estimator": estimator, "multiplicity": {"method": method}}
            ),
            table,
        )
        for method in ("single_step", "dunnett")
    )
    for column in ("p_adjusted", "conf_low", "conf_high"):
        assert step[column].to_numpy() == pytest.approx(same[column].to_numpy(), abs=1e-4), column
    assert step["correction"].tolist() == ["single_step"] * 3
    assert all("simultaneous_interval" in split(cell) for cell in step["flags"])


@pytest.mark.parametrize(("tests", "df"), [(2, 4.0), (5, 300.0), (12, 20.0)])
def test_the_tail_is_that_of_quadrature(tests: int, df: float) -> None:
    loadings = np.sqrt(np.linspace(0.2, 0.8, tests))
    correlation = np.outer(loadings, loadings)
    np.fill_diagonal(correlation, 1)
    limit = dunnett.critical(0.05, loadings, df)
    assert joint_t(correlation).tail(limit, df) == pytest.approx(0.05, abs=1e-4)


def test_statistics_that_are_the_same_count_once() -> None:
    same = joint_t(np.ones((3, 3)))
    assert same.tail(2.2, 9.5) == pytest.approx(2 * stats.t.sf(2.2, 9.5), rel=1e-12)
    assert same.critical(0.05, 9.5, 3) == pytest.approx(stats.t.isf(0.025, 9.5), rel=1e-9)


def test_the_interval_excludes_zero_exactly_when_the_test_rejects(
    make_trial: Any, golden: Any
) -> None:
    effects = _effects(make_trial, golden("data_joint_within"), "within")
    outside = (effects["conf_low"] > 0) | (effects["conf_high"] < 0)
    assert outside.tolist() == effects["reject"].tolist()
    assert 0 < outside.sum() < len(outside)


def test_degenerate_rows_do_not_poison_the_family(make_trial: Any, golden: Any) -> None:
    data = golden("data_joint_within").assign(y2=3.0)
    effects = _effects(make_trial, data, "within").set_index(["outcome", "treatment"])
    alone = joint_t(np.eye(1))
    assert effects.loc[("y2", "a"), ["p_adjusted", "conf_low", "conf_high"]].tolist() == [1, 0, 0]
    assert effects.loc[("y1", "a"), "p_adjusted"] < 2 * effects.loc[("y1", "a"), "p_value"]
    assert alone.tail(0.0, 5.0) == 1.0
    missing = data.assign(y1=data["y1"].where(data["unit"] > 1), y2=np.nan)
    effects = _effects(make_trial, missing, "within")
    assert effects["family_size"].tolist() == [2] * 4
    assert effects["reject"].isna().tolist() == [False, False, True, True]


def test_the_family_error_is_nominal(make_sample: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two contrasts by two outcomes that share noise, unequal variances, a skewed outcome."""
    monkeypatch.setattr("causal_sae.estimation.multiplicity.joint_t.FEW", 2**12)
    rng = np.random.default_rng(11)
    wrong = [_rejects_some(rng, make_sample) for _ in range(150)]
    assert abs(np.mean(wrong) - 0.05) <= 3.29 * np.sqrt(0.05 * 0.95 / 150)


def _rejects_some(rng: np.random.Generator, make_sample: Any) -> bool:
    noise, scale = rng.normal(size=75), np.repeat([2.0, 0.5, 1.0], 25)
    outcomes = noise + scale * rng.normal(size=75), noise + rng.exponential(size=75)
    fitted, parts = [], np.zeros((75, 4))
    for i, (first, y) in enumerate((f, y) for y in outcomes for f in (0, 25)):
        rows = np.r_[first : first + 25, 50:75]
        sample = make_sample(pd.DataFrame({"y": y[rows], "z": np.repeat([1, 0], 25)}))
        parts[rows, i] = CONTRIBUTIONS["welch"](sample)
        fitted.append(ESTIMATORS["welch"].fit(sample, 0.05))
    scaled = parts / np.linalg.norm(parts, axis=0)
    joint = joint_t(scaled.T @ scaled)
    return any(joint.tail(abs(one.statistic), one.df) <= 0.05 for one in fitted)


def test_other_estimators_are_refused_and_margins_fall_back(make_trial: Any, golden: Any) -> None:
    with pytest.raises(SpecError, match="use holm"):
        check_analysis(make_trial(analysis={**STEP, "estimator": "randomization"}))
    guard = [{**o, "role": "guardrail", "margin": 0.5} for o in OUTCOMES]
    trial = make_trial(arms=ARMS, outcomes=guard, analysis={"reference": "c", **STEP})
    effects = estimate(trial, _long(golden("data_joint_plain").drop(columns=["block", "x"])))
    assert effects["correction"].tolist() == ["holm"] * 4
