"""Boundaries and inference of trials with looks: against R's rpact, published values and chance."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special, stats

from causal_sae.estimation.inference import Estimate, student
from causal_sae.estimation.sequential import always_valid, nominal, repeated_p_value
from causal_sae.estimation.sequential.path import Regions, Stage, follow
from causal_sae.estimation.sequential.spending import classical, crossed, planned_spending
from causal_sae.estimation.sequential.stagewise import as_normal, ordered, rank
from causal_sae.spec.analysis import Looks

GOLDENS = Path(__file__).parents[1] / "goldens" / "sequential"
FIFTHS = [0.2, 0.4, 0.6, 0.8, 1.0]
QUARTERS = [0.25, 0.5, 0.75, 1.0]


def test_classical_boundaries_are_the_published_ones():
    found = classical("classical_obrien_fleming", 0.05, FIFTHS)
    np.testing.assert_allclose(found, [4.5617, 3.2256, 2.6337, 2.2809, 2.0401], atol=5e-5)
    pocock = classical("classical_pocock", 0.05, FIFTHS)
    np.testing.assert_allclose(pocock, 2.4132, atol=5e-5)


def boundary_cases():
    table = pd.read_csv(GOLDENS / "boundaries.csv")
    return [pytest.param(*key, rows) for key, rows in table.groupby(["spending", "alpha", "plan"])]


@pytest.mark.parametrize(("spending", "alpha", "plan", "rows"), boundary_cases())
def test_boundaries_and_spending_are_those_of_rpact(spending, alpha, plan, rows):
    times = rows["time"].tolist()
    spent = planned_spending(spending, alpha, times)
    # rpact solves to 1e-8 in the error, which far out moves a boundary by more than 1e-6.
    np.testing.assert_allclose(2 * spent, rows["spent"], atol=2e-8)
    stages = follow(times, spent, [0.0] * len(times), len(times))
    upper = np.array([stage.regions.upper for stage in stages])
    near = rows["boundary"].to_numpy() < 4.2
    np.testing.assert_allclose(upper[near], rows["boundary"][near], atol=1e-6)
    tails = special.ndtr(-upper[~near]), special.ndtr(-rows["boundary"][~near])
    np.testing.assert_allclose(*tails, atol=1e-8)
    lower = [stage.regions.lower for stage in stages]
    np.testing.assert_allclose(lower, -upper, atol=1e-9)


@pytest.mark.parametrize("row", list(pd.read_csv(GOLDENS / "final_analyses.csv").itertuples()))
def test_final_analyses_are_those_of_rpact(row):
    """rpact's are of tests with the upper boundary alone: the lower one is taken away."""
    names = {"asOF": "obrien_fleming", "asP": "pocock", "OF": "classical_obrien_fleming"}
    times = [float(time) for time in row.times.split()]
    z = [float(statistic) for statistic in row.statistics.split()]
    stages = one_sided(names[row.type], times, z)
    found = ordered(stages, Estimate(row.estimate, row.std_error, z[-1], np.nan), 0.05)
    at_zero = rank(stages, Estimate(row.estimate, row.std_error, z[-1], np.nan), 0.0)
    # rpact solves for its limits to about 1e-6.
    assert at_zero == pytest.approx(row.p, abs=1e-7)
    assert found.conf_low == pytest.approx(row.low, abs=5e-6)
    assert found.conf_high == pytest.approx(row.high, abs=5e-6)
    assert found.estimate == pytest.approx(row.median, abs=5e-6)


def one_sided(spending: str, times: list[float], z: list[float]) -> list[Stage]:
    """Stages of a one-sided test at .025, whose boundaries R gave."""
    table = pd.read_csv(GOLDENS / "final_boundaries.csv")
    known = table[(table["spending"] == spending) & (table["looks"] == len(times))]
    made = zip(times, known["boundary"], z, strict=False)
    return [Stage(s, np.nan, Regions(t, -np.inf, float(b)), "continue") for t, b, s in made]


@given(
    st.lists(st.floats(0.02, 1), min_size=1, max_size=6, unique=True),
    st.sampled_from(["obrien_fleming", "pocock", "classical_obrien_fleming", "classical_pocock"]),
    st.floats(0.001, 0.2),
)
@settings(max_examples=40, deadline=None)
def test_all_of_alpha_is_spent_and_no_more(shares, spending, alpha):
    times = sorted(share / max(shares) for share in shares)
    times = [t for i, t in enumerate(times) if i == 0 or t - times[i - 1] > 1e-3]
    times[-1] = 1.0
    spent = planned_spending(spending, alpha, times)
    assert (np.diff(spent) >= -1e-12).all()
    stages = follow(times, spent, [0.0] * len(times), len(times))
    upper = [stage.regions.upper for stage in stages]
    # Two boundaries with independent numerics: the one integrates, the other one solves.
    assert crossed(times, upper)[-1] == pytest.approx(alpha / 2, abs=1e-9)


def test_information_as_found_spends_by_the_function_not_by_the_plan():
    planned = planned_spending("obrien_fleming", 0.05, [0.5, 1.0])
    found = planned_spending("obrien_fleming", 0.05, [0.4, 1.0])
    assert found[0] < planned[0]
    stages = follow([0.4, 1.0], found, [0.0, 0.0], 2)
    upper = [stage.regions.upper for stage in stages]
    assert crossed([0.4, 1.0], upper)[-1] == pytest.approx(0.025, abs=1e-10)


def test_one_look_is_students_t():
    fitted = student(1.3, 0.5, 11.4, 0.05)
    spent = planned_spending("pocock", 0.05, [1.0])
    stages = follow([1.0], spent, [as_normal(fitted.statistic, fitted.df)], 1)
    found = ordered(stages, fitted, 0.05)
    assert found.estimate == pytest.approx(fitted.estimate, abs=1e-9)
    assert found.p_value == pytest.approx(fitted.p_value, rel=1e-9)
    assert found.conf_low == pytest.approx(fitted.conf_low, abs=1e-9)
    assert found.conf_high == pytest.approx(fitted.conf_high, abs=1e-9)


@given(
    st.lists(st.floats(-4, 4), min_size=4, max_size=4),
    st.sampled_from(["obrien_fleming", "pocock"]),
    st.sampled_from([None, 0.1, 0.3]),
)
@settings(max_examples=60, deadline=None)
def test_a_boundary_is_crossed_exactly_when_p_is_what_was_spent(z, spending, futility):
    spent = planned_spending(spending, 0.05, QUARTERS)
    stages = follow(QUARTERS, spent, z, 4, futility)
    last = stages[-1]
    found = ordered(stages, Estimate(last.z, 1.0, last.z, np.nan), 0.05)
    reject = last.decision == "reject"
    assert reject == (found.p_value <= 2 * last.spent + 1e-9)
    assert found.conf_low <= found.estimate <= found.conf_high
    if reject and last.spent < 0.0249:
        assert found.conf_low > 0 or found.conf_high < 0
        if futility is None:
            # Trials stop early when chance helps: the estimate is drawn back towards zero.
            assert abs(found.estimate) <= abs(last.z) + 1e-6


def test_what_is_found_mirrors_when_the_arms_change_places():
    spent = planned_spending("pocock", 0.05, QUARTERS)
    for futility in (None, 0.2):
        up = follow(QUARTERS, spent, [1.2, 2.0, 2.6, 0], 4, futility)
        down = follow(QUARTERS, spent, [-1.2, -2.0, -2.6, 0], 4, futility)
        assert [s.decision for s in up] == [s.decision for s in down]
        high = ordered(up, Estimate(2.6, 1.0, 2.6, np.nan), 0.05)
        low = ordered(down, Estimate(-2.6, 1.0, -2.6, np.nan), 0.05)
        assert high.p_value == pytest.approx(low.p_value, rel=1e-9)
        assert high.estimate == pytest.approx(-low.estimate, abs=1e-8)
        assert high.conf_low == pytest.approx(-low.conf_high, abs=1e-8)


def test_a_futility_rule_stops_in_the_middle_and_frees_alpha():
    spent = planned_spending("obrien_fleming", 0.05, QUARTERS)
    assert follow(QUARTERS, spent, [0.1], 4, 0.2)[-1].decision == "futile"
    kept = follow(QUARTERS, spent, [1.5, 1.9, 2.0, 0.0], 4, 0.2)
    free = follow(QUARTERS, spent, [1.5, 1.9, 2.0, 0.0], 4)
    assert kept[-1].regions.upper < free[-1].regions.upper
    assert kept[-1].regions.lower == -np.inf  # from above the middle nothing rejects downwards


@pytest.mark.parametrize("futility", [None, 0.2])
@pytest.mark.parametrize("drift", [0.0, 3.0])
def test_ranks_are_uniform_under_the_true_effect(drift, futility):
    """A uniform rank means: p-value, interval and median-unbiased estimate hold what they say."""
    spent = planned_spending("pocock", 0.05, QUARTERS)
    rng = np.random.default_rng(7)
    ranks, rejected = [], 0
    for _ in range(700):
        paths = np.cumsum(rng.normal(drift / 4, 0.5, 4)) / np.sqrt(QUARTERS)
        stages = follow(QUARTERS, spent, paths.tolist(), 4, futility)
        rejected += stages[-1].decision == "reject"
        se = 1 / np.sqrt(stages[-1].regions.time)
        last = stages[-1].z
        ranks.append(rank(stages, Estimate(last * se, se, last, np.nan), drift))
    assert stats.kstest(ranks, "uniform").pvalue > 0.001
    if drift == 0:
        assert abs(rejected / 700 - 0.05) < 3.29 * np.sqrt(0.05 * 0.95 / 700)


def test_a_confidence_sequence_excludes_zero_exactly_when_p_is_alpha():
    for time in (0.1, 0.5, 1.0, 3.0):
        bound = always_valid.boundary(0.05, time)
        assert always_valid.p_value(0.05, time, bound) == pytest.approx(0.05, rel=1e-9)
        assert always_valid.reach(0.05, 0.05, time) == pytest.approx(bound)
        assert bound > special.ndtri(0.975)
    assert always_valid.p_value(0.05, 0.5, 0.0) == 1.0


def test_the_sequence_is_close_to_the_shortest_at_full_information():
    tuned = always_valid.boundary(0.05, 1.0)
    ratios = np.geomspace(0.1, 100, 500)
    best = np.sqrt((1 + 1 / ratios) * np.log((ratios + 1) / 0.05**2)).min()
    assert best <= tuned < 1.001 * best


def test_a_confidence_sequence_holds_at_all_of_many_looks():
    rng = np.random.default_rng(3)
    times = np.arange(1, 201) / 100
    bounds = np.array([always_valid.boundary(0.05, t) for t in times])
    walks = np.cumsum(rng.normal(0, 0.1, (4000, 200)), axis=1) / np.sqrt(times)
    assert np.mean((np.abs(walks) >= bounds).any(axis=1)) <= 0.05


@pytest.mark.parametrize("spending", ["obrien_fleming", "pocock", "always_valid"])
def test_repeated_intervals_hold_whatever_stops_the_trial(spending):
    """The worst rule stops where the outcome is furthest out; all looks together err by alpha."""
    looks = Looks(at=(0.25, 0.5, 0.75, 1.0), spending=spending)
    limits = np.array([special.ndtri(1 - nominal(looks, k, 0.05) / 2) for k in range(1, 5)])
    steps = np.random.default_rng(8).standard_normal((40_000, 4))
    z = np.cumsum(steps, axis=1) / np.sqrt(np.arange(1, 5))
    missed = float((np.abs(z) > limits).any(axis=1).mean())
    assert missed == pytest.approx(0.05, abs=0.004) or (
        spending == "always_valid" and missed < 0.05
    )


def test_repeated_levels_are_the_published_boundaries():
    fifths = (0.2, 0.4, 0.6, 0.8, 1.0)
    classical = Looks(at=fifths, spending="classical_obrien_fleming")
    constants = (4.5617, 3.2256, 2.6337, 2.2809, 2.0401)
    for number, constant in enumerate(constants, 1):
        level = 2 * special.ndtr(-constant)
        assert nominal(classical, number, 0.05) == pytest.approx(level, rel=2e-3)
        assert repeated_p_value(classical, number, level) == pytest.approx(0.05, rel=2e-3)


@pytest.mark.parametrize("spending", ["obrien_fleming", "pocock", "always_valid"])
def test_repeated_p_values_go_with_the_intervals(spending):
    looks = Looks(at=(0.5, 1.0), spending=spending)
    for alpha in (0.001, 0.05, 0.4):
        level = nominal(looks, 1, alpha)
        assert repeated_p_value(looks, 1, level) == pytest.approx(alpha, rel=1e-4)
        assert level <= alpha
    assert repeated_p_value(looks, 1, 0.999) == 1.0
