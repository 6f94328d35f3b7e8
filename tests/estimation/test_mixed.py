from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from causal_sae.errors import SpecError
from causal_sae.estimation import estimate
from causal_sae.estimation.estimators import cluster, mixed, paired
from causal_sae.estimation.random_intercept import fit_random_intercept
from causal_sae.estimation.sample import Sample
from causal_sae.flags import split

NUMBERS = ("estimate", "std_error", "df", "p_value", "conf_low", "conf_high")


def _of(frame: pd.DataFrame, *covariates: str, blocks: bool = False) -> Sample:
    frame = frame.sort_values(["unit", "z"], ascending=[True, False]) if "unit" in frame else frame
    units = frame["unit"] if "unit" in frame else pd.Series(range(len(frame)))
    clusters = "unit" not in frame
    return Sample(
        np.array([f"u{int(unit):05d}" for unit in units]),
        frame["y"].to_numpy(np.float64),
        frame["z"].to_numpy() == 1,
        frame[list(covariates)].to_numpy(np.float64),
        covariates,
        block=frame["block"].to_numpy(np.int64) if blocks else None,
        cluster=frame["cluster"].to_numpy(np.int64) if clusters else None,
    )


def _pairs(treatment: Any, reference: Any) -> Sample:
    n = len(treatment)
    units = np.array([f"u{i:05d}" for i in range(n)]).repeat(2)
    y = np.column_stack([treatment, reference]).astype(np.float64).ravel()
    return Sample(units, y, np.tile([True, False], n), np.empty((2 * n, 0)))


CASES: dict[str, tuple[str, tuple[str, ...], bool]] = {
    "balanced crossover": ("four", (), False),
    "units that lack an arm": ("gaps", (), False),
    "singular": ("negative", (), False),
    "clusters": ("groups", (), False),
    "clusters with a covariate": ("groups", ("x",), False),
    "clusters with blocks": ("groups", (), True),
    "arms mixed within clusters": ("mixture", (), False),
}


@pytest.mark.parametrize("case", CASES)
def test_agrees_with_lmertest(case: str, golden: Any) -> None:
    data, covariates, blocks = CASES[case]
    result = mixed.fit(_of(golden(f"data_within_{data}"), *covariates, blocks=blocks), 0.05)
    expected = golden("mixed").set_index("case").loc[case]
    assert result.estimate == pytest.approx(expected["estimate"], rel=1e-8)
    assert result.std_error == pytest.approx(expected["std_error"], rel=1e-8)
    assert result.df == pytest.approx(expected["df"], rel=1e-7)
    assert result.p_value == pytest.approx(expected["p_value"], rel=1e-7)
    assert result.conf_low == pytest.approx(expected["conf_low"], rel=1e-7)
    assert result.conf_high == pytest.approx(expected["conf_high"], rel=1e-7)
    assert ("variance_at_zero" in result.flags) == (expected["theta"] == 0)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000), n=st.integers(3, 40), scale=st.floats(0.2, 1e5))
def test_units_in_both_arms_are_the_paired_t_test(seed: int, n: int, scale: float) -> None:
    rng = np.random.default_rng(seed)
    level = scale * rng.normal(size=n)
    sample = _pairs(level + 1 + rng.normal(size=n), level + rng.exponential(size=n))
    result, t = mixed.fit(sample, 0.05), paired.fit(sample, 0.05)
    if "variance_at_zero" in result.flags:  # least squares, and the smaller standard error
        arms = sample.arms
        variance = (arms[0].var(ddof=1) + arms[1].var(ddof=1)) / n
        assert result.std_error == pytest.approx(np.sqrt(variance), rel=1e-8)
        assert result.df == pytest.approx(2 * n - 2)
        assert result.std_error <= t.std_error * (1 + 1e-9)
    else:
        for column in NUMBERS:
            assert getattr(result, column) == pytest.approx(getattr(t, column), rel=1e-8, abs=1e-9)


def test_agrees_with_statsmodels_where_that_converges(golden: Any) -> None:
    import statsmodels.formula.api as smf

    frame = golden("data_within_groups")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = smf.mixedlm("y ~ x + z", frame, groups=frame["cluster"]).fit(reml=True)
    result = mixed.fit(_of(frame, "x"), 0.05)
    assert result.estimate == pytest.approx(theirs.params["z"], rel=1e-3)
    assert result.std_error == pytest.approx(theirs.bse["z"], rel=1e-3)
    assert result.p_value > theirs.pvalues["z"]  # theirs is a z-test


def test_units_without_one_arm_add_precision_and_are_not_dropped(make_trial: Any) -> None:
    rng = np.random.default_rng(0)
    level, n = rng.normal(size=40), 40
    y = np.column_stack([level + 0.5, level]) + rng.normal(size=(n, 2))
    table = pd.DataFrame(
        {
            "unit_id": np.repeat([f"u{i:02d}" for i in range(n)], 2),
            "arm": ["treated", "control"] * n,
            "outcome": "gap",
            "value": y.ravel(),
        }
    )
    table.loc[[0, 3, 8, 21, 22], "value"] = np.nan
    design = {"assignment": {"method": "crossover"}}
    rows = {
        name: estimate(make_trial(**design, analysis={"estimator": name}), table).iloc[0]
        for name in ("mixed", "paired")
    }
    assert (rows["mixed"]["n_treatment"], rows["mixed"]["n_reference"]) == (37, 38)
    assert rows["mixed"]["std_error"] < rows["paired"]["std_error"]
    assert rows["mixed"]["effect_size"] == pytest.approx(rows["paired"]["effect_size"])
    assert "missing_treatment:3" in split(rows["mixed"]["flags"])
    assert "incomplete_pairs:5" not in split(rows["mixed"]["flags"])


def test_error_rate_of_incomplete_pairs_is_nominal() -> None:
    rng, repetitions, rejected = np.random.default_rng(1), 150, 0
    for _ in range(repetitions):
        level = 2 * rng.normal(size=14)
        sample = _pairs(level + rng.normal(size=14), level + rng.normal(size=14))
        rejected += mixed.fit(sample.take(rng.random(28) > 0.2), 0.05).p_value <= 0.05
    assert abs(rejected / repetitions - 0.05) < 3.29 * np.sqrt(0.05 * 0.95 / repetitions)


def test_clusters_are_allowed_for(golden: Any) -> None:
    sample = _of(golden("data_within_groups"))
    robust = cluster.fit(sample, 0.05)
    assert mixed.fit(sample, 0.05).std_error == pytest.approx(robust.std_error, rel=0.35)


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_rows_may_be_shuffled_and_arms_swapped(seed: int) -> None:
    rng = np.random.default_rng(seed)
    group = np.sort(rng.integers(0, 8, 40))
    y, z = rng.normal(size=8)[group] + rng.normal(size=40), rng.random(40) > 0.5
    x = np.column_stack([np.ones(40), z])
    result = fit_random_intercept(y, x, group)
    order = rng.permutation(40)
    shuffled = fit_random_intercept(y[order], x[order], group[order])
    swapped = fit_random_intercept(y, np.column_stack([np.ones(40), ~z]), group)
    assert shuffled.estimate == pytest.approx(result.estimate)
    assert swapped.estimate == pytest.approx(-result.estimate)
    assert shuffled.df == pytest.approx(result.df) == swapped.df


def test_clusters_without_variation_inside_are_one_observation_each() -> None:
    from scipy import stats

    mean = np.random.default_rng(2).normal(size=8)
    code, z = np.repeat(np.arange(8), 5), np.repeat(np.arange(8) % 2 == 1, 5)
    sample = Sample(np.arange(40).astype(str), mean[code], z, np.empty((40, 0)), cluster=code)
    result, expected = mixed.fit(sample, 0.05), stats.ttest_ind(mean[1::2], mean[::2])
    assert result.p_value == pytest.approx(expected.pvalue)
    assert result.df == 6


@pytest.mark.parametrize(("shift", "flag"), [(0.0, "exact_zero"), (0.3, "no_variance")])
def test_differences_without_variation(shift: float, flag: str, make_trial: Any) -> None:
    y = 1e5 * np.random.default_rng(3).normal(size=20)
    table = pd.concat(
        [
            pd.DataFrame({"unit_id": range(20), "arm": arm, "outcome": "gap", "value": value})
            for arm, value in (("treated", y + shift), ("control", y))
        ]
    )
    trial = make_trial(assignment={"method": "crossover"}, analysis={"estimator": "mixed"})
    row = estimate(trial, table).iloc[0]
    assert row["estimate"] == pytest.approx(shift, abs=1e-9)
    assert flag in split(row["flags"])


@pytest.mark.parametrize("n", [0, 1])
def test_few_units_are_no_inference(n: int) -> None:
    assert mixed.fit(_pairs(np.ones(n), np.zeros(n)), 0.05).flags == ("too_few_units",)


def test_one_cluster_in_an_arm_is_no_inference() -> None:
    code = np.repeat([0, 1, 2], 4)
    units = np.arange(12).astype(str)
    sample = Sample(units, np.arange(12.0), code == 0, np.empty((12, 0)), cluster=code)
    assert "too_few_clusters" in mixed.fit(sample, 0.05).flags


def test_units_within_clusters_are_sent_to_paired() -> None:
    sample = _pairs(np.arange(6.0), np.zeros(6))
    clustered = Sample(
        sample.unit, sample.outcome, sample.treated, sample.covariates, cluster=np.arange(12) // 4
    )
    with pytest.raises(SpecError, match="use 'paired'"):
        mixed.fit(clustered, 0.05)
