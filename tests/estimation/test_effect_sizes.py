from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from causal_sae.estimation import effect_sizes, estimate

GOLDENS = Path(__file__).parents[1] / "goldens" / "estimation"
SIZES = pd.read_csv(GOLDENS / "effect_sizes.csv").to_dict("records")


@pytest.mark.parametrize("row", SIZES, ids=lambda r: f"{r['kind']}-{r['data']}-{r['level']}")
def test_agrees_with_effectsize(row: dict[str, Any], golden: Any) -> None:
    frame = golden(f"data_{row['data']}").astype(float)
    treatment, reference = (frame.loc[frame["z"] == z, "y"].to_numpy() for z in (1, 0))
    alpha = 1 - row["level"]
    if row["kind"] == "hedges_g":
        size = effect_sizes.hedges_g(treatment, reference, alpha)
    else:
        size = effect_sizes.cohen_dz(treatment - reference, alpha)
    assert size.kind == row["kind"]
    assert size.value == pytest.approx(row["value"], abs=1e-9)
    assert (size.low, size.high) == pytest.approx((row["low"], row["high"]), abs=1e-6)


def test_average_spread_agrees_with_effectsize(golden: Any) -> None:
    """effectsize searches its limits by Nelder and Mead, to about 1e-6."""
    for row in golden("hedges_g_av").to_dict("records"):
        frame = golden(f"data_{row['data']}").astype(float)
        arms = (frame.loc[frame["z"] == z, "y"].to_numpy() for z in (1, 0))
        size = effect_sizes.hedges_g_av(*arms, row["alpha"])
        assert size.value == pytest.approx(row["value"], abs=1e-9)
        assert (size.low, size.high) == pytest.approx((row["low"], row["high"]), abs=1e-6)


def test_auto_gives_no_interval_of_values_too_skewed_for_one(
    make_trial: Any, make_observations: Any
) -> None:
    y = np.random.default_rng(0).lognormal(sigma=1.5, size=60)
    table = make_observations(y, ["treated", "control"] * 30)
    auto, declared = (
        estimate(make_trial(analysis={"effect_size": kind}), table).iloc[0]
        for kind in ("auto", "hedges_g_av")
    )
    assert auto["effect_size"] == declared["effect_size"]
    assert np.isnan(auto["effect_size_low"])
    assert np.isnan(auto["effect_size_high"])
    assert declared["effect_size_low"] < declared["effect_size"] < declared["effect_size_high"]
    for row in (auto, declared):
        assert "skewed_values" in row["flags"]


def test_noncentrality_limits_equal_r_roots(golden: Any) -> None:
    for row in golden("noncentral_t").to_dict("records"):
        low, high = effect_sizes.noncentrality_interval(row["t"], row["df"], 0.05)
        assert (low, high) == pytest.approx((row["low"], row["high"]), rel=1e-7, abs=1e-7)


@pytest.mark.parametrize("df", [3.0, 29.0, 500.0, 100_000.0])
@pytest.mark.parametrize("t", [-1e-9, 0.3, -5.0, 37.0, -90.0, 1500.0])
def test_noncentrality_interval_is_found_however_far_out(t: float, df: float) -> None:
    low, high = effect_sizes.noncentrality_interval(t, df, 0.05)
    assert low < t < high or abs(t) > 1000
    assert np.isfinite([low, high]).all()
    mirrored = effect_sizes.noncentrality_interval(-t, df, 0.05)
    assert mirrored == pytest.approx((-high, -low), rel=1e-6, abs=1e-9)


def test_cohen_dz_and_d_agree_with_pingouin(golden: Any) -> None:
    import pingouin as pg

    frame = golden("data_sleep").sort_values(["z", "unit"])
    x, y = (frame.loc[frame["z"] == z, "y"].to_numpy(float) for z in (1, 0))
    dz = effect_sizes.cohen_dz(x - y, 0.05).value
    assert dz == pytest.approx(pg.compute_effsize(x, y, paired=True, eftype="cohen_dz"))
    g = effect_sizes.hedges_g(x, y, 0.05).value / effect_sizes.small_sample_factor(18)
    assert g == pytest.approx(pg.compute_effsize(x, y, eftype="cohen"))


def test_risk_difference_is_newcombes(golden: Any) -> None:
    def outcomes(successes: float, n: float) -> np.ndarray:
        return np.repeat([1.0, 0.0], [int(successes), int(n - successes)])

    for row in golden("risk_differences").to_dict("records"):
        size = effect_sizes.risk_difference(
            outcomes(row["x1"], row["n1"]), outcomes(row["x0"], row["n0"]), 0.05
        )
        assert size.value == pytest.approx(row["x1"] / row["n1"] - row["x0"] / row["n0"])
        assert (size.low, size.high) == pytest.approx((row["low"], row["high"]), abs=1e-7)


def test_paired_risk_difference_is_newcombes_method_10(golden: Any) -> None:
    for row in golden("paired_risk_differences").to_dict("records"):
        counts = [int(row[cell]) for cell in ("both", "first", "second", "neither")]
        first, second = (
            np.repeat([1.0, 1.0, 0.0, 0.0], counts),
            np.repeat([1.0, 0.0, 1.0, 0.0], counts),
        )
        size = effect_sizes.paired_risk_difference(first, second, 0.05)
        expected = (row["value"], row["low"], row["high"])
        assert (size.value, size.low, size.high) == pytest.approx(expected, abs=1e-9)


def test_paired_risk_difference_covers() -> None:
    """Newcombe's method 10 keeps its level at a correlation where the unpaired one is too wide."""
    generator = np.random.default_rng(5)
    cells = np.array([0.55, 0.15, 0.05, 0.25])  # both, only treatment, only reference, neither
    covered = 0
    for _ in range(600):
        both, first, second, neither = generator.multinomial(60, cells)
        x = np.repeat([1.0, 1.0, 0.0, 0.0], [both, first, second, neither])
        y = np.repeat([1.0, 0.0, 1.0, 0.0], [both, first, second, neither])
        size = effect_sizes.paired_risk_difference(x, y, 0.05)
        covered += size.low <= 0.10 <= size.high
    assert 0.93 <= covered / 600 <= 0.985


def test_binary_pairs_without_correlation_reduce_to_the_independent_interval() -> None:
    x = np.array([1.0, 1.0, 0.0, 0.0] * 5)
    y = np.array([1.0, 0.0, 1.0, 0.0] * 5)
    paired = effect_sizes.paired_risk_difference(x, y, 0.05)
    independent = effect_sizes.risk_difference(x, y, 0.05)
    assert (paired.low, paired.high) == pytest.approx((independent.low, independent.high))


def test_noncentral_tails_hold_at_the_limits() -> None:
    low, high = effect_sizes.noncentrality_interval(2.5, 8, 0.1)
    assert stats.nct.cdf(2.5, 8, low) == pytest.approx(0.95, abs=1e-10)
    assert stats.nct.cdf(2.5, 8, high) == pytest.approx(0.05, abs=1e-10)
