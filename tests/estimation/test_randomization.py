"""Randomisation inference against every assignment listed in R, and against its own promises."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from causal_sae.estimation import estimate, redraws
from causal_sae.estimation.estimators import ESTIMATORS, randomization
from causal_sae.estimation.sample import Sample
from causal_sae.flags import split

GOLDENS = Path(__file__).parents[1] / "goldens" / "estimation"
CASES = pd.read_csv(GOLDENS / "redraw_p.csv")
FIT = ESTIMATORS["randomization"].fit


def _paired_order(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.sort_values(["unit", "z"], ascending=[True, False]) if "unit" in frame else frame


def _redraws(sample: Sample) -> Any:
    found = randomization.drawn(sample)
    assert found is not None
    return found


@pytest.mark.parametrize("name", CASES["data"].unique())
def test_agrees_with_every_assignment_listed_in_r(name: str, make_sample: Any, golden: Any) -> None:
    drawn = _redraws(make_sample(_paired_order(golden(f"data_redraw_{name}"))))
    assert drawn.listed
    for row in CASES[CASES["data"] == name].itertuples():
        assert drawn.p_value(row.tau) == pytest.approx(row.p_value, abs=1e-12)


@pytest.mark.parametrize(("paired", "p_value"), [(True, 0.00390625), (False, 0.081447963800905)])
def test_sleep(paired: bool, p_value: float, make_sample: Any, golden: Any) -> None:
    frame = golden("data_sleep")
    sample = make_sample(_paired_order(frame) if paired else frame.drop(columns="unit"))
    result = FIT(sample, 0.05)
    assert result.p_value == pytest.approx(p_value, rel=1e-12)
    assert (result.conf_low > 0) == (p_value < 0.05)


@pytest.mark.parametrize(
    ("data", "same"),
    [
        ("mtcars", "difference_in_means"),
        ("blocked", "block"),
        ("pairs", "block"),
        ("clustered", "cluster"),
        ("paired", "paired"),
    ],
)
def test_estimate_and_standard_error_are_those_of_the_design(
    data: str, same: str, make_sample: Any, golden: Any
) -> None:
    frame = golden(f"data_{data}")
    frame = frame.drop(columns="cluster") if data == "mtcars" else _paired_order(frame)
    result, other = (ESTIMATORS[n].fit(make_sample(frame), 0.05) for n in ("randomization", same))
    assert result.estimate == pytest.approx(other.estimate, rel=1e-10)
    assert result.std_error == pytest.approx(other.std_error, rel=1e-10)
    assert result.statistic == pytest.approx(other.statistic, rel=1e-9)


def test_the_interval_holds_the_effects_that_are_not_rejected(
    make_sample: Any, golden: Any
) -> None:
    for name in ("blocked", "clustered", "small_blocks", "paired"):
        sample = make_sample(_paired_order(golden(f"data_{name}")))
        drawn, result = _redraws(sample), FIT(sample, 0.05)
        nudge = 1e-6 * result.std_error
        for limit, outwards in ((result.conf_low, -1), (result.conf_high, 1)):
            assert drawn.p_value(limit - outwards * nudge) > 0.05
            assert drawn.p_value(limit + outwards * nudge) <= 0.05


def _table(seed: int, n: int = 60) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    arms = np.array(["treated", "control"] * (n // 2))
    units = [f"u{i:03d}" for i in range(n)]
    y = rng.exponential(size=n) + 0.5 * (arms == "treated")
    return pd.DataFrame({"unit_id": units, "arm": arms, "outcome": "gap", "value": y})


def test_draws_follow_from_the_seed_and_nothing_else(make_trial: Any) -> None:
    table = _table(0)
    trial = make_trial(analysis={"estimator": "randomization"}, seed=5)
    first = estimate(trial, table)
    again = estimate(trial, table.sample(frac=1, random_state=1))
    pd.testing.assert_frame_equal(first, again, check_exact=True)
    other = estimate(make_trial(analysis={"estimator": "randomization"}, seed=6), table)
    assert other["p_value"][0] != first["p_value"][0]
    row = first.iloc[0]
    assert row["p_value"] == pytest.approx(other["p_value"][0], abs=0.01)
    assert row["p_value"] >= 1 / 10_000
    assert "assignments_drawn:9999" in split(row["flags"])


def test_blocks_are_kept_when_arms_are_drawn_again(make_trial: Any) -> None:
    """Blocks so far apart that shuffling across them would drown the effect."""
    rng = np.random.default_rng(1)
    block = np.repeat(np.arange(6), 10)
    table = _table(1).assign(block=block)
    table["value"] = 100.0 * block + rng.normal(size=60) + (table["arm"] == "treated")
    blocked = make_trial(
        analysis={"estimator": "randomization"}, assignment={"method": "block", "block_by": ["b"]}
    )
    ignored = make_trial(analysis={"estimator": "randomization"})
    assert estimate(blocked, table)["p_value"][0] < 0.01
    assert estimate(ignored, table)["p_value"][0] > 0.5


def test_whole_clusters_change_arms(make_trial: Any) -> None:
    rng = np.random.default_rng(2)
    cluster = np.repeat(np.arange(6), 10)
    arm = np.where(cluster % 2 == 0, "treated", "control")
    table = _table(2).assign(cluster=cluster, arm=arm)
    table["value"] = (arm == "treated") * 5.0 + rng.normal(size=60)
    trial = make_trial(
        analysis={"estimator": "randomization"},
        assignment={"method": "cluster", "cluster_by": "c"},
    )
    row = estimate(trial, table).iloc[0]
    assert row["p_value"] == pytest.approx(2 / 20)  # of 20 ways to choose 3 of 6 clusters
    assert np.isnan(row["conf_low"])
    assert {"assignments_listed:20", "no_interval"} <= set(split(row["flags"]))


def test_a_guardrail_gets_the_one_sided_test_of_its_margin(make_trial: Any) -> None:
    outcome = {"name": "gap", "role": "guardrail", "metric": "kl", "margin": 1.5}
    table = _table(3)
    by_draws = make_trial(outcomes=[outcome], analysis={"estimator": "randomization"})
    by_t = make_trial(outcomes=[outcome])
    found, expected = (estimate(trial, table).iloc[0] for trial in (by_draws, by_t))
    assert found["p_value"] == pytest.approx(expected["p_value"], abs=0.02)
    assert "margin_test" in split(found["flags"])
    mirrored = table.assign(value=-table["value"])
    down = make_trial(
        outcomes=[{**outcome, "harm": "decrease"}], analysis={"estimator": "randomization"}
    )
    assert estimate(down, mirrored)["p_value"][0] == pytest.approx(found["p_value"], abs=1e-9)


def test_identical_arms_are_exactly_zero(make_trial: Any) -> None:
    table = _table(4).assign(value=2.5)
    row = estimate(make_trial(analysis={"estimator": "randomization"}), table).iloc[0]
    assert (row["estimate"], row["p_value"]) == (0.0, 1.0)


@pytest.mark.parametrize(
    ("units", "draws"), [(20, 9999), (2000, 9999), (5000, 4000), (10**6, 1999)]
)
def test_many_units_are_drawn_less_often(units: int, draws: int) -> None:
    assert redraws.affordable(units) == draws


def test_it_is_right_where_welch_is_not_exact() -> None:
    """Six units an arm, skewed: the test has its level whatever the distribution."""
    rng = np.random.default_rng(5)
    repetitions, rejected, covered = 250, 0, 0
    for _ in range(repetitions):
        treated = rng.permutation(np.arange(12) < 5)
        y = rng.lognormal(0, 2, 12) + 3.0 * treated
        result = FIT(_sample(y, treated), 0.05)
        covered += result.conf_low <= 3.0 <= result.conf_high
        rejected += FIT(_sample(y - 3.0 * treated, treated), 0.05).p_value <= 0.05
    slack = 3.29 * np.sqrt(0.05 * 0.95 / repetitions)
    assert rejected / repetitions <= 0.05 + slack
    assert covered / repetitions >= 0.95 - slack


def _sample(y: np.ndarray, treated: np.ndarray) -> Sample:
    return Sample(np.arange(len(y)).astype(str), y, treated, np.empty((len(y), 0)))


def test_large_samples_agree_with_t(make_trial: Any) -> None:
    rng = np.random.default_rng(6)
    treated = rng.permutation(np.arange(400) < 200)
    y = rng.normal(size=400) * (1 + treated) + 0.2 * treated
    result = FIT(_sample(y, treated), 0.05)
    expected = stats.ttest_ind(y[treated], y[~treated], equal_var=False)
    interval = expected.confidence_interval()
    assert result.p_value == pytest.approx(expected.pvalue, abs=0.012)
    assert result.conf_low == pytest.approx(interval.low, abs=0.02)
    assert result.conf_high == pytest.approx(interval.high, abs=0.02)
