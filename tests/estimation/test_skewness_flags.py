"""The warning about long tails is raised where Student's interval fails, and seldom elsewhere."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from causal_sae.estimation import estimate
from causal_sae.estimation.estimators import ESTIMATORS
from causal_sae.estimation.skewness import skewness_flags


def _two(make_sample: Any, treatment: Any, reference: Any) -> Any:
    y = np.concatenate([treatment, reference])
    z = np.repeat([1, 0], [len(treatment), len(reference)])
    return make_sample(pd.DataFrame({"y": y, "z": z}))


def _pairs(make_sample: Any, difference: Any) -> Any:
    n = len(difference)
    unit = [f"u{i:04d}" for i in range(n)]
    y = np.concatenate([difference, np.zeros(n)])
    frame = pd.DataFrame({"y": y, "z": np.repeat([1, 0], n), "unit": unit * 2})
    return make_sample(frame.sort_values(["unit", "z"], ascending=[True, False]))


def _rate(samples: list[Any]) -> float:
    return float(np.mean([bool(skewness_flags(sample)) for sample in samples]))


def test_long_tails_of_pairs_are_warned_of_and_normal_ones_are_not(make_sample: Any) -> None:
    rng = np.random.default_rng(1)
    long = [_pairs(make_sample, rng.lognormal(size=50)) for _ in range(100)]
    normal = [_pairs(make_sample, rng.normal(size=50)) for _ in range(100)]
    few = [_pairs(make_sample, rng.lognormal(size=10)) for _ in range(200)]
    few_normal = [_pairs(make_sample, rng.normal(size=10)) for _ in range(200)]
    assert _rate(few) > 0.5
    assert _rate(few_normal) < 0.1
    assert _rate(long) > 0.8
    assert _rate(normal) < 0.1


def test_equal_arms_cancel_and_unequal_ones_do_not(make_sample: Any) -> None:
    rng = np.random.default_rng(2)

    def draw(n: int, m: int) -> Any:
        return _two(make_sample, rng.lognormal(size=n), rng.lognormal(size=m))

    assert _rate([draw(15, 60) for _ in range(100)]) > 0.5
    assert _rate([draw(50, 50) for _ in range(100)]) < 0.4
    normal = [_two(make_sample, rng.normal(size=15), rng.normal(size=60)) for _ in range(100)]
    assert _rate(normal) < 0.1


def test_rank_and_redraw_methods_are_not_students() -> None:
    students = {name for name, estimator in ESTIMATORS.items() if estimator.students}
    assert {"welch", "ancova", "block", "cluster", "paired", "crossover", "mixed"} <= students
    assert not students & {"wilcoxon", "mann_whitney", "randomization", "sparse", "placebo_draws"}


@pytest.mark.parametrize("values", [np.zeros(8), np.ones(8)])
def test_constant_outcomes_have_no_skewness(make_sample: Any, values: Any) -> None:
    assert skewness_flags(_pairs(make_sample, values)) == ()
    assert skewness_flags(_two(make_sample, values, values)) == ()


def test_lin_says_when_the_covariates_means_matter(make_sample: Any) -> None:
    rng = np.random.default_rng(4)
    n = 80
    x = rng.normal(size=n)
    z = np.tile([0, 1], n // 2)
    moved = make_sample(pd.DataFrame({"y": x * z * 3 + rng.normal(size=n), "z": z, "x": x}), ("x",))
    same = make_sample(pd.DataFrame({"y": x + rng.normal(size=n), "z": z, "x": x}), ("x",))
    flags = ESTIMATORS["lin"].fit(moved, 0.05).flags
    assert [flag.partition(":")[0] for flag in flags] == ["covariate_means"]
    share = float(flags[0].partition(":")[2])
    assert share == pytest.approx(
        np.var(3 * x) / n / ESTIMATORS["lin"].fit(moved, 0.05).std_error ** 2, rel=0.3
    )
    assert ESTIMATORS["lin"].fit(same, 0.05).flags == ()
    exact = make_sample(pd.DataFrame({"y": x, "z": z, "x": x}), ("x",))
    assert ESTIMATORS["lin"].fit(exact, 0.05).estimate == pytest.approx(0.0, abs=1e-12)
    nothing = make_sample(pd.DataFrame({"y": 0.0 * x, "z": z, "x": x}), ("x",))
    assert ESTIMATORS["lin"].fit(nothing, 0.05).std_error == 0.0


def test_pooled_effect_sizes_warn_of_arms_that_spread_differently(
    make_trial: Any, make_observations: Any
) -> None:
    rng = np.random.default_rng(5)
    y = np.concatenate([3 * rng.normal(size=20), rng.normal(size=40)])
    table = make_observations(y, ["treated"] * 20 + ["control"] * 40)
    flags = {
        kind: _flags(make_trial(analysis={"effect_size": kind}), table)
        for kind in ("hedges_g", "cohen_d", "glass_delta", "auto")
    }
    warned = {kind for kind, cell in flags.items() if "unequal_spread:" in cell}
    assert warned == {"hedges_g", "cohen_d"}
    ranks = make_trial(analysis={"estimator": "mann_whitney", "effect_size": "cliff_delta"})
    assert "unequal_spread:" in _flags(ranks, table)


def test_few_differences_are_told_where_students_t_rests_on_them(
    make_trial: Any, make_observations: Any
) -> None:
    rng = np.random.default_rng(6)
    for n, few in ((19, True), (20, False)):
        units = [f"u{i:02d}" for i in range(n)]
        table = make_observations(rng.normal(size=2 * n), ["treated"] * n + ["control"] * n)
        table["unit_id"] = [*units, *units]
        crossover = {"assignment": {"method": "crossover"}}
        student = make_trial(**crossover, analysis={"estimator": "paired", "effect_size": "cles"})
        auto = make_trial(**crossover)
        ranks = make_trial(**crossover, analysis={"estimator": "wilcoxon", "effect_size": "cles"})
        assert (f"few_differences:{n}" in _flags(student, table)) is few
        assert (f"few_differences:{n}" in _flags(auto, table)) is few
        assert "few_differences" not in _flags(ranks, table)
        row = estimate(auto, table).iloc[0]
        assert np.isnan(row["effect_size_low"]) == few or "skewed_values" in row["flags"]


def _flags(trial: Any, table: Any) -> str:
    return str(estimate(trial, table)["flags"].iloc[0])
