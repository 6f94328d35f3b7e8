"""What is missing, why, and Manski's bounds on what it could change."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from causal_sae.errors import DataError
from causal_sae.estimation import companions, estimate
from causal_sae.estimation.missingness import KNOWN, NO_OBSERVATION, NO_REASON, UNBOUNDED

RATE = {"name": "gap", "role": "primary", "metric": "keyword_rate", "keywords": ["x"]} | {
    "generate": {"max_new_tokens": 4}
}
CROSSOVER = {"method": "crossover"}


def _table(y: Any, z: Any, **columns: Any) -> pd.DataFrame:
    arm = np.where(np.asarray(z) == 1, "treated", "control")
    units = columns.pop("unit_id", np.arange(len(arm)))
    return pd.DataFrame({"unit_id": units, "arm": arm, "outcome": "gap", "value": y, **columns})


def _rows(trial: Any, table: pd.DataFrame) -> pd.DataFrame:
    found = companions(trial, table, estimate(trial, table))
    return found.get("missingness", pd.DataFrame())


def _lossy(seed: int = 0, n: int = 60) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    z = np.tile([1, 0], n // 2)
    y = rng.beta(2 + z, 2)
    y[rng.random(n) < 0.3 * y] = np.nan
    return y, z


def _welch(one: Any, zero: Any) -> tuple[float, float, float]:
    found = stats.ttest_ind(one, zero, equal_var=False).confidence_interval(0.95)
    return float(one.mean() - zero.mean()), float(found.low), float(found.high)


@pytest.mark.parametrize("rows_are_there", [True, False])
def test_bounds_are_the_estimator_on_the_extremes(rows_are_there: bool, make_trial: Any) -> None:
    """A unit whose row is absent is missing as one whose value is empty is."""
    y, z = _lossy()
    other = {"name": "other", "role": "secondary", "metric": "entropy"}
    table = _table(y, z)
    complete = table.assign(outcome="other", value=1.0 + np.arange(60))
    kept = table if rows_are_there else table[table["value"].notna()]
    trial = make_trial(outcomes=[RATE, other], analysis={"estimator": "welch"})
    (_, row), *rest = _rows(trial, pd.concat([kept, complete])).iterrows()
    assert not rest
    low = _welch(np.nan_to_num(y[z == 1], nan=0.0), np.nan_to_num(y[z == 0], nan=1.0))
    high = _welch(np.nan_to_num(y[z == 1], nan=1.0), np.nan_to_num(y[z == 0], nan=0.0))
    assert (row["bound_low"], row["conf_low"]) == pytest.approx(low[:2])
    assert (row["bound_high"], row["conf_high"]) == pytest.approx((high[0], high[2]))
    assert row["estimate"] == pytest.approx(np.nanmean(y[z == 1]) - np.nanmean(y[z == 0]))
    assert (row["n_treatment"], row["n_reference"]) == (30, 30)
    assert (row["missing_treatment"], row["missing_reference"]) == (
        np.isnan(y[z == 1]).sum(),
        np.isnan(y[z == 0]).sum(),
    )
    reason = NO_REASON if rows_are_there else NO_OBSERVATION
    assert row["reasons_treatment"] == f"{reason}: {row['missing_treatment']}"


def test_the_interval_covers_both_bounds_at_its_level() -> None:
    """Loss that depends on outcome and arm; the procedure is that of the test above."""
    rng = np.random.default_rng(5)
    shape = (4000, 40)
    one, zero = rng.beta(2.5, 2, shape), rng.beta(2, 2, shape)
    lost_one, lost_zero = (rng.random(shape) < p for p in (0.1 + 0.4 * one, 0.15 * (1 - zero)))

    def interval(at_one: float, at_zero: float) -> tuple[Any, Any, Any]:
        a, b = np.where(lost_one, at_one, one), np.where(lost_zero, at_zero, zero)
        found = stats.ttest_ind(a, b, axis=1, equal_var=False).confidence_interval(0.95)
        return (a.mean(axis=1) - b.mean(axis=1)).mean(), found.low, found.high

    (low, conf_low, _), (high, _, conf_high) = interval(0, 1), interval(1, 0)
    covered = np.mean((conf_low <= low) & (high <= conf_high))
    assert covered >= 0.95 - 3.29 * np.sqrt(0.05 * 0.95 / 4000)
    truth = 2.5 / 4.5 - 0.5
    assert np.mean((conf_low <= truth) & (truth <= conf_high)) > 0.99


@given(seed=st.integers(0, 500), design=st.sampled_from(["complete", "crossover"]))
@settings(max_examples=12, deadline=None)
def test_the_effect_of_all_units_is_between_the_bounds(
    seed: int, design: str, make_trial: Any
) -> None:
    rng = np.random.default_rng(seed)
    z = np.tile([1, 0], 20)
    whole = rng.integers(0, 2, 40).astype(float) if seed % 2 else rng.random(40)
    units = np.arange(40) if design == "complete" else np.arange(40) // 2
    y = np.where(rng.random(40) < 0.25, np.nan, whole)
    y[0] = np.nan
    found = _rows(
        make_trial(outcomes=[RATE], assignment={"method": design}), _table(y, z, unit_id=units)
    )
    effect = whole[z == 1].mean() - whole[z == 0].mean()
    row = found.iloc[0]
    assert row["bound_low"] - 1e-12 <= effect <= row["bound_high"] + 1e-12
    assert not row["conf_low"] > row["bound_low"]
    assert not row["conf_high"] < row["bound_high"]


def test_reasons_are_counted_by_arm_the_commonest_first(make_trial: Any) -> None:
    y, z = np.random.default_rng(0).random(40), np.tile([1, 0], 20)
    status = np.array(["ok"] * 40, dtype=object)
    for i, reason in ((0, "too long"), (2, "not finite"), (4, "not finite"), (1, None)):
        y[i], status[i] = np.nan, reason
    row = _rows(make_trial(outcomes=[RATE]), _table(y, z, status=status)).iloc[0]
    assert row["reasons_treatment"] == "not finite: 2; too long: 1"
    assert row["reasons_reference"] == f"{NO_REASON}: 1"


def test_nothing_missing_is_no_table(make_trial: Any) -> None:
    y, z = np.random.default_rng(0).random(20), np.tile([1, 0], 10)
    assert _rows(make_trial(outcomes=[RATE]), _table(y, z)).empty


def test_an_unbounded_outcome_has_counts_and_a_sentence(make_trial: Any) -> None:
    y, z = _lossy()
    trial = make_trial(outcomes=[{"name": "gap", "role": "primary", "metric": "entropy"}])
    row = _rows(trial, _table(y, z)).iloc[0]
    assert row["note"] == UNBOUNDED
    assert row["missing_treatment"] > 0
    assert np.isnan(row[["bound_low", "bound_high", "conf_low"]].to_numpy(float)).all()


def test_declared_bounds_bound_any_metric_and_hold_the_values(make_trial: Any) -> None:
    y, z = _lossy()
    outcome = {"name": "gap", "role": "primary", "metric": "entropy", "bounds": [0, 2]}
    trial = make_trial(outcomes=[outcome])
    row = _rows(trial, _table(y, z)).iloc[0]
    low = np.nan_to_num(y[z == 1], nan=0.0).mean() - np.nan_to_num(y[z == 0], nan=2.0).mean()
    assert row["bound_low"] == pytest.approx(low)
    y[2] = 2.5
    with pytest.raises(DataError, match=r"between its declared bounds 0 and 2, got 2.5 .*'2'"):
        estimate(trial, _table(y, z))


def test_values_outside_the_metrics_range_bound_nothing(make_trial: Any) -> None:
    y, z = _lossy()
    row = _rows(make_trial(outcomes=[RATE]), _table(100 * y, z)).iloc[0]
    assert "outside the metric's range" in row["note"]


def test_pairs_that_lack_an_arm_come_back_in_the_bounds(make_trial: Any) -> None:
    rng = np.random.default_rng(2)
    y, z, units = rng.random(40), np.tile([1, 0], 20), np.arange(40) // 2
    y[[0, 2, 5]] = np.nan
    paired = make_trial(outcomes=[RATE], assignment=CROSSOVER, analysis={"estimator": "paired"})
    row = _rows(paired, _table(y, z, unit_id=units)).iloc[0]
    assert (row["missing_treatment"], row["missing_reference"]) == (2, 1)
    worst = np.where(np.isnan(y), np.where(z == 1, 0, 1), y)
    expected = stats.ttest_1samp(worst[z == 1] - worst[z == 0], 0)
    assert row["bound_low"] == pytest.approx((worst[z == 1] - worst[z == 0]).mean())
    assert row["conf_low"] == pytest.approx(expected.confidence_interval(0.95).low)


def test_a_finite_claim_has_known_bounds(make_trial: Any) -> None:
    rng = np.random.default_rng(2)
    y, z, units = rng.random(40), np.tile([1, 0], 20), np.arange(40) // 2
    y[0] = np.nan
    population = {"prompts": "p.csv", "claim": "finite"}
    trial = make_trial(outcomes=[RATE], assignment=CROSSOVER, population=population)
    row = _rows(trial, _table(y, z, unit_id=units)).iloc[0]
    assert row["note"] == KNOWN
    assert row["bound_high"] - row["bound_low"] == pytest.approx(1 / 20)
    assert np.isnan(row["conf_low"])


def test_missing_units_keep_their_block_and_covariate(make_trial: Any) -> None:
    """Blocks and covariates of absent rows come from the unit's other outcome."""
    rng = np.random.default_rng(3)
    z, block = np.tile([1, 0], 24), np.arange(48) // 12
    x = rng.normal(size=48)
    table = _table(rng.random(48), z, block=block, x=x)
    other = {"name": "other", "role": "secondary", "metric": "entropy"}
    complete = table.assign(outcome="other")
    trial = make_trial(
        outcomes=[RATE, other],
        assignment={"method": "block", "block_by": ["block"]},
        analysis={"covariates": ["x"]},
    )
    filled = table.assign(value=np.where(np.arange(48) < 2, 1.0 * (z == 0), table["value"]))
    expected = estimate(trial, pd.concat([filled, complete])).iloc[0]
    row = _rows(trial, pd.concat([table.iloc[2:], complete])).iloc[0]
    assert row["bound_low"] == pytest.approx(expected["estimate"])
    assert row["conf_low"] == pytest.approx(expected["conf_low"])


def test_a_whole_arm_may_be_missing(make_trial: Any) -> None:
    y, z = np.random.default_rng(0).random(20), np.tile([1, 0], 10)
    y[z == 1] = np.nan
    row = _rows(make_trial(outcomes=[RATE]), _table(y, z)).iloc[0]
    assert np.isnan(row["estimate"])
    assert row["bound_high"] - row["bound_low"] == pytest.approx(1)
