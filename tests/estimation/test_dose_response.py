"""Dose-response against R, against brute force, and how often its intervals cover."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import optimize, stats

from causal_sae.estimation import companions, estimate
from causal_sae.estimation.arm_means import independent, within_units
from causal_sae.estimation.emax import Emax, curve, ed50_interval, fit_emax, misfit
from causal_sae.estimation.monotone import jonckheere, page

DOSES = np.array([0.0, 1.0, 2.0, 4.0, 8.0])
NAMES = [f"d{dose:g}" for dose in DOSES]
ENTRY = {"arms": NAMES, "test": True}


def _arms() -> list[dict[str, Any]]:
    clamps = [
        {"name": name, "intervention": {"kind": "clamp", "features": [3], "dose": dose}}
        for name, dose in zip(NAMES[1:], DOSES[1:], strict=True)
    ]
    return [{"name": "d0", "intervention": {"kind": "none"}}, *clamps]


def _trial(make_trial: Any, method: str = "complete", **analysis: Any) -> Any:
    declared = {"contrasts": [["d8", "d0"]], "dose_response": [ENTRY], **analysis}
    design = {"method": method}
    if method == "block":
        design["block_by"] = ["block"]
    return make_trial(arms=_arms(), assignment=design, analysis=declared)


def _table(frame: pd.DataFrame) -> pd.DataFrame:
    frame = frame.apply(pd.to_numeric)
    unit = frame["unit"] if "unit" in frame else pd.Series(range(len(frame)))
    table = pd.DataFrame(
        {
            "unit_id": [f"u{int(u):04d}" for u in unit],
            "arm": [f"d{dose:g}" for dose in frame["dose"]],
            "outcome": "gap",
            "value": frame["y"].to_numpy(float),
        }
    )
    return table.assign(block=frame["block"].to_numpy()) if "block" in frame else table


def _found(trial: Any, observations: pd.DataFrame) -> pd.DataFrame:
    made = companions(trial, observations, estimate(trial, observations))
    return made["dose_response"].set_index("quantity")


@pytest.mark.parametrize("data", ["parallel", "steady", "units"])
def test_numbers_agree_with_r(make_trial: Any, golden: Any, data: str) -> None:
    observations = _table(golden(f"data_dose_{data}"))
    trial = _trial(make_trial, "crossover" if data == "units" else "complete")
    ours = _found(trial, observations)
    expected = golden("dose_response")
    expected = expected[expected["data"] == data].set_index(["analysis", "quantity"])
    slope = ours.loc["slope per unit of dose"]
    r = expected.loc[("auto", "slope")]
    for column, near in (("estimate", 1e-8), ("std_error", 1e-8), ("df", 1e-4), ("p_value", 1e-6)):
        assert slope[column] == pytest.approx(float(r[column]), abs=near), column
    r = expected.loc[("auto", "trend")]
    assert ours.loc["z", "statistic"] == pytest.approx(float(r["statistic"]), abs=1e-8)
    assert ours.loc["z", "p_value"] == pytest.approx(float(r["p_value"]), rel=1e-6)
    for name in ("E0", "Emax", "ED50"):
        r = expected.loc[("emax", name)]
        assert ours.loc[name, "estimate"] == pytest.approx(float(r["estimate"]), rel=1e-7), name
        r = expected.loc[("DoseFinding", name)]
        assert ours.loc[name, "estimate"] == pytest.approx(float(r["estimate"]), rel=1e-6), name


def test_the_trend_is_a_row_of_the_effects_like_any_other(make_trial: Any, golden: Any) -> None:
    observations = _table(golden("data_dose_parallel"))
    trial = _trial(make_trial, estimator="difference_in_means")
    effects = estimate(trial, observations).set_index("treatment")
    row = effects.loc["trend d1..d8"]
    r = golden("dose_response").query("data == 'parallel' and analysis == 'difference_in_means'")
    for column in ("estimate", "std_error", "df", "p_value"):
        assert row[column] == pytest.approx(float(r[column].iloc[0]), abs=1e-8), column
    assert row["reference"] == "d0"
    assert row["estimand"].startswith("linear trend, ")
    assert list(effects["family_size"]) == [2, 2]
    assert row["p_adjusted"] >= row["p_value"]


def test_two_arms_in_a_row_of_doses_give_the_slope_between_them(
    make_trial: Any, make_observations: Any
) -> None:
    """With doses 0, 1, 2 the slope is half the difference of the outer arms: Welch's own test."""
    rng = np.random.default_rng(5)
    arm = np.repeat(NAMES, 12)
    observations = make_observations(rng.normal(size=60) + (arm == "d2"), arm)
    entry = {"arms": ["d2", "d0", "d1"], "test": True}
    trial = _trial(make_trial, contrasts=[["d2", "d0"]], dose_response=[entry], estimator="welch")
    effects = estimate(trial, observations)
    welch, slope = effects.iloc[0], effects.iloc[1]
    assert slope["treatment"] == "trend d1..d2"
    assert 2 * slope["estimate"] == pytest.approx(welch["estimate"])
    for column in ("df", "p_value"):
        assert slope[column] == pytest.approx(welch[column])


# ---- trend tests --------------------------------------------------------------------------------


def _score(y: np.ndarray, rung: np.ndarray) -> float:
    return float(np.sum(np.sign(y[:, None] - y[None]) * (rung[:, None] > rung[None])))


def test_jonckheere_has_the_moments_of_all_permutations() -> None:
    y, rung = np.array([3.0, 1.0, 1.0, 5.0, 2.0, 2.0, 2.0]), np.array([0, 0, 1, 1, 2, 2, 2])
    scores = [_score(y[list(p)], rung) for p in permutations(range(7))]
    assert np.mean(scores) == pytest.approx(0)
    expected = _score(y, rung) / np.std(scores)
    assert jonckheere(y, rung).statistic == pytest.approx(expected, rel=1e-12)


def test_jonckheere_within_blocks_adds_up_the_blocks() -> None:
    rng = np.random.default_rng(2)
    y, rung, block = rng.normal(size=60).round(1), rng.integers(0, 3, 60), np.arange(60) % 4
    moved = y + 100 * block  # levels of blocks do not matter
    found = jonckheere(moved, rung, block)
    assert found == jonckheere(y, rung, block)
    parts = [_score(y[block == b], rung[block == b]) for b in range(4)]
    draws = np.array(
        [
            sum(_score(rng.permutation(y[block == b]), rung[block == b]) for b in range(4))
            for _ in range(4000)
        ]
    )
    assert found.statistic == pytest.approx(sum(parts) / draws.std(), rel=0.05)


def test_jonckheere_is_kendalls_test() -> None:
    rng = np.random.default_rng(3)
    y, rung = rng.poisson(2, 80).astype(float), rng.integers(0, 4, 80)
    kendall = stats.kendalltau(rung, y, method="asymptotic")
    assert jonckheere(y, rung).p_value == pytest.approx(kendall.pvalue, rel=1e-9)


def test_page_is_exact_where_it_is_small_and_the_same_both_ways() -> None:
    rng = np.random.default_rng(4)
    wide = rng.normal(size=(5, 4)) + np.arange(4) / 2
    up, down = page(wide), page(-wide)
    assert up.p_value == pytest.approx(down.p_value)
    assert up.statistic == pytest.approx(-down.statistic)
    exact = stats.page_trend_test(wide, method="exact").pvalue
    assert up.p_value == pytest.approx(2 * exact)


def test_page_does_not_count_units_on_which_nothing_happens() -> None:
    rng = np.random.default_rng(4)
    wide = rng.normal(size=(20, 4)) + np.arange(4) / 3
    silent = np.repeat(rng.normal(size=(80, 1)), 4, axis=1)
    assert page(np.vstack([wide, silent])).p_value == pytest.approx(page(wide).p_value)


@pytest.mark.parametrize("test", ["jonckheere", "page"])
def test_trend_tests_reject_as_often_as_they_say(test: str) -> None:
    rng = np.random.default_rng(6)
    rung = np.repeat(np.arange(4), [8, 12, 10, 9])
    found = [
        jonckheere(rng.exponential(size=39), rung)
        if test == "jonckheere"
        else page(rng.exponential(size=(15, 4)).round(1))
        for _ in range(1000)
    ]
    rate = np.mean([one.p_value < 0.05 for one in found])
    assert abs(rate - 0.05) < 3.3 * np.sqrt(0.05 * 0.95 / 1000)


# ---- the curve ----------------------------------------------------------------------------------


def test_the_curve_is_the_best_one() -> None:
    rng = np.random.default_rng(7)
    dose = np.repeat(DOSES, [9, 12, 7, 14, 10])
    y = curve(dose, Emax(1, 2, 1.5)) + rng.normal(size=len(dose)) / 3
    means = np.array([y[dose == d].mean() for d in DOSES])
    found = fit_emax(DOSES, means, np.array([9.0, 12, 7, 14, 10]))
    best, _ = optimize.curve_fit(
        lambda d, e0, emax, ed50: e0 + emax * d / (ed50 + d), dose, y, p0=(0, 1, 1)
    )
    assert [found.e0, found.emax, found.ed50] == pytest.approx(list(best), rel=1e-5)


def test_exact_means_give_their_parameters_back() -> None:
    found = fit_emax(DOSES, curve(DOSES, Emax(-1, -3, 0.7)), np.ones(5))
    assert [found.e0, found.emax, found.ed50] == pytest.approx([-1, -3, 0.7], rel=1e-6)


@pytest.mark.parametrize("truth", [0.3, 1.5, 6.0])
def test_misfit_is_blind_to_the_curve_and_sees_others(truth: float) -> None:
    counts = np.array([9.0, 12, 7, 14, 10])
    weights = misfit(truth, DOSES, counts)
    assert weights.sum() == pytest.approx(0, abs=1e-12)
    assert weights @ curve(DOSES, Emax(2, 5, truth)) == pytest.approx(0, abs=1e-12)
    assert abs(weights @ curve(DOSES, Emax(2, 5, 3 * truth))) > 1e-3


def covers(rng: np.random.Generator, ed50: float, design: str) -> tuple[bool, bool]:
    """Whether the interval holds the truth, and whether it is bounded on both sides."""
    truth = curve(DOSES, Emax(0, 3, ed50))
    if design == "within":
        level = rng.normal(size=(30, 1)) * 2
        wide = level + truth * np.exp(rng.normal(size=(30, 1)) / 3) + rng.normal(size=(30, 5))
        wide -= truth * (np.exp(1 / 18) - 1)  # the mean over units is the curve
        model, counts = within_units(wide, None), np.full(5, 30.0)
    else:
        sizes = [20, 12, 16, 24, 14]
        arm = np.repeat(np.arange(5), sizes)
        y = truth[arm] + rng.normal(size=len(arm)) * (0.5 + arm / 3)
        model, counts = independent(y, arm, 5), np.array(sizes, dtype=float)
    fitted = fit_emax(DOSES, model.means, counts)
    if np.isnan(fitted.ed50):  # nothing is claimed
        return True, False
    low, high = ed50_interval(DOSES, counts, fitted, model.combine, 0.05)
    return low <= ed50 <= high, low > 0 and high < np.inf


@pytest.mark.parametrize("design", ["parallel", "within"])
def test_the_interval_of_ed50_covers(design: str) -> None:
    rng = np.random.default_rng(8)
    found = np.array([covers(rng, 1.5, design) for _ in range(150)])
    assert found[:, 0].mean() > 0.95 - 3.3 * np.sqrt(0.95 * 0.05 / 150)
