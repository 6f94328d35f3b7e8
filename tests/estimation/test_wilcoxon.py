from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from causal_sae.errors import SpecError
from causal_sae.estimation import estimate
from causal_sae.estimation.estimators import wilcoxon
from causal_sae.estimation.sample import Sample
from causal_sae.flags import split


def _of(difference: Any, **design: Any) -> Sample:
    n = len(difference)
    units = np.array([f"u{i:05d}" for i in range(n)]).repeat(2)
    y = np.column_stack([difference, np.zeros(n)]).astype(np.float64).ravel()
    return Sample(units, y, np.tile([True, False], n), np.empty((2 * n, 0)), **design)


@pytest.mark.parametrize("level", [0.95, 0.9])
@pytest.mark.parametrize(
    "name", ["small", "exact49", "normal61", "ties", "zeros", "tied_zeros", "sleep"]
)
def test_agrees_with_r(name: str, level: float, golden: Any) -> None:
    difference = golden("data_within_differences").query("set == @name")["d"].to_numpy(float)
    expected = golden("wilcoxon").query("set == @name and level == @level").iloc[0]
    result = wilcoxon.fit(_of(difference), 1 - level)
    for column in ("estimate", "statistic", "p_value", "conf_low", "conf_high"):
        assert getattr(result, column) == pytest.approx(expected[column], rel=1e-9, abs=1e-12)
    assert wilcoxon.beyond(_of(difference), 0.7, -1) == pytest.approx(expected["below"], rel=1e-9)
    zeros = int(np.sum(difference == 0))
    assert "hodges_lehmann" in result.flags
    assert (f"zeros_dropped:{zeros}" in result.flags) == (zeros > 0)


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 10_000), n=st.integers(6, 55))
def test_the_interval_holds_the_shifts_that_are_not_rejected(seed: int, n: int) -> None:
    difference = np.random.default_rng(seed).exponential(size=n) - 0.5
    result = wilcoxon.fit(_of(difference), 0.05)
    width = result.conf_high - result.conf_low
    for edge, inward in ((result.conf_low, 1), (result.conf_high, -1)):
        for offset, rejected in ((-1e-9, True), (1e-9, False)):
            shifted = wilcoxon.fit(_of(difference - edge - inward * offset * width), 0.05)
            assert (shifted.p_value <= 0.05) == rejected


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 10_000), n=st.integers(5, 60), zeros=st.integers(0, 9))
def test_rows_may_be_shuffled_and_arms_swapped(seed: int, n: int, zeros: int) -> None:
    rng = np.random.default_rng(seed)
    difference = np.concatenate([rng.normal(0.3, 1, n), np.zeros(zeros)])
    result = wilcoxon.fit(_of(difference), 0.1)
    shuffled = wilcoxon.fit(_of(rng.permutation(difference)), 0.1)
    swapped = wilcoxon.fit(_of(-difference), 0.1)
    assert shuffled.estimate == pytest.approx(result.estimate)
    assert swapped.estimate == pytest.approx(-result.estimate)
    assert shuffled.p_value == pytest.approx(result.p_value) == swapped.p_value
    assert -swapped.conf_high == pytest.approx(result.conf_low, nan_ok=True)


@pytest.mark.parametrize("n", [1501, 1502])
def test_the_pseudo_median_of_many_is_that_of_all_pairs(n: int) -> None:
    values = np.random.default_rng(0).exponential(size=n)
    rows, columns = np.triu_indices(n)
    expected = np.median((values[rows] + values[columns]) / 2)
    assert wilcoxon.pseudo_median(values) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(("n", "repetitions"), [(12, 400), (60, 120)])
def test_error_rate_and_coverage_are_nominal(n: int, repetitions: int) -> None:
    rng = np.random.default_rng(1)
    found = [wilcoxon.fit(_of(rng.standard_t(2, n) + 1), 0.05) for _ in range(repetitions)]
    covered = np.mean([one.conf_low <= 1 <= one.conf_high for one in found])
    assert 0.95 - 3.29 * np.sqrt(0.05 * 0.95 / repetitions) < covered
    shifted = (_of(rng.standard_t(2, n) + 1) for _ in found)
    beyond = np.mean([wilcoxon.beyond(sample, 1.0, -1) < 0.05 for sample in shifted])
    assert beyond < 0.05 + 3.29 * np.sqrt(0.05 * 0.95 / repetitions)


def test_a_huge_difference_moves_it_little() -> None:
    difference = np.random.default_rng(2).normal(1, 0.5, 30)
    spoilt = np.append(difference[:-1], 1e6)
    shift = wilcoxon.fit(_of(spoilt), 0.05).estimate - wilcoxon.fit(_of(difference), 0.05).estimate
    assert abs(shift) < 0.2


@pytest.mark.parametrize(
    ("difference", "flags"),
    [
        ([], {"too_few_units"}),
        ([1.0], {"too_few_units"}),
        ([1.0, 2.0, 3.0], {"hodges_lehmann", "no_interval"}),
        ([2.0, 0.0, 0.0, 0.0], {"hodges_lehmann", "zeros_dropped:3", "no_interval"}),
        ([2.0, 2.0, 0.0], {"hodges_lehmann", "zeros_dropped:1", "no_interval"}),
    ],
)
def test_little_to_go_on(difference: Any, flags: set[str]) -> None:
    result = wilcoxon.fit(_of(difference), 0.05)
    assert set(result.flags) == flags
    assert np.isnan(result.conf_low)


@pytest.mark.parametrize(("shift", "flag"), [(0.0, "exact_zero"), (0.3, "no_variance")])
def test_differences_without_variation(shift: float, flag: str, make_trial: Any) -> None:
    table = pd.concat(
        [
            pd.DataFrame({"unit_id": range(20), "arm": arm, "outcome": "gap", "value": value})
            for arm, value in (("treated", shift), ("control", 0.0))
        ]
    )
    trial = make_trial(assignment={"method": "crossover"}, analysis={"estimator": "wilcoxon"})
    row = estimate(trial, table).iloc[0]
    assert row["estimate"] == pytest.approx(shift)
    assert flag in split(row["flags"])


def test_clusters_are_refused() -> None:
    with pytest.raises(SpecError, match="use 'paired' or 'randomization'"):
        wilcoxon.fit(_of(np.arange(6.0), cluster=np.arange(12) // 4), 0.05)


def test_a_guardrail_is_tested_against_its_margin(make_trial: Any) -> None:
    rng = np.random.default_rng(3)
    base, change = rng.normal(size=30), rng.normal(0.1, 0.3, 30)
    table = pd.concat(
        [
            pd.DataFrame({"unit_id": range(30), "arm": arm, "outcome": name, "value": value})
            for name in ("gap", "drift")
            for arm, value in (("treated", base + change), ("control", base))
        ]
    )
    outcomes = [
        {"name": "gap", "role": "primary", "metric": "entropy"},
        {"name": "drift", "role": "guardrail", "metric": "entropy", "margin": 0.4},
    ]
    trial = make_trial(
        assignment={"method": "crossover"}, outcomes=outcomes, analysis={"estimator": "wilcoxon"}
    )
    row = estimate(trial, table).set_index("outcome").loc["drift"]
    assert row["p_value"] == pytest.approx(wilcoxon.beyond(_of(change), 0.4, -1), rel=1e-6)
    assert "non_inferior" in split(row["flags"])
    assert row["conf_high"] < 0.4
