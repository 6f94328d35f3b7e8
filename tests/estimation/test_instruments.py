"""The arm as an instrument: against R, in simulation, and where it is weak, absent or invalid."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from causal_sae.errors import DataError, SpecError
from causal_sae.estimation import check_analysis, estimate
from causal_sae.estimation.estimators import ESTIMATORS, anderson_rubin
from causal_sae.estimation.sample import Sample
from causal_sae.flags import split
from causal_sae.spec.rules import broken_rules

GOLDENS = Path(__file__).parents[1] / "goldens" / "estimation"
CASES = pd.read_csv(GOLDENS / "instruments.csv")
INSTRUMENTS = ("wald", "anderson_rubin", "dowhy_iv")
ARMS = ["treated", "control"]


def _sample(y: Any, z: Any, d: Any) -> Sample:
    y, z, d = np.asarray(y, float), np.asarray(z, bool), np.asarray(d, bool)
    return Sample(np.arange(len(y)).astype(str), y, z, np.empty((len(y), 0)), received=d)


def _golden(frame: pd.DataFrame) -> Sample:
    return _sample(frame["y"], frame["z"] == 1, frame["d"] == 1)


@pytest.mark.parametrize("row", CASES.to_dict("records"), ids=CASES["case"] + "-" + CASES["data"])
def test_agrees_with_r(row: dict[str, Any], golden: Any) -> None:
    result = ESTIMATORS[row["case"]].fit(_golden(golden(f"data_{row['data']}")), 0.05)
    assert result.estimate == pytest.approx(row["estimate"], rel=1e-9)
    assert result.df == row["df"]
    assert result.p_value == pytest.approx(row["p_value"], rel=1e-6)
    limits = (row["conf_low"], row["conf_high"])
    assert (result.conf_low, result.conf_high) == pytest.approx(limits, rel=1e-6, nan_ok=True)
    if row["case"] == "wald":
        assert result.std_error == pytest.approx(row["std_error"], rel=1e-8)
        weak = [code for code in result.flags if code.startswith("weak_instrument")]
        strength = row["first_stage"]
        assert weak == ([f"weak_instrument:{strength:.1f}"] if strength < 10 else [])


def test_dowhy_gives_walds_estimate(golden: Any) -> None:
    sample = _golden(golden("data_takeup"))
    dowhy, wald = (ESTIMATORS[name].fit(sample, 0.05) for name in ("dowhy_iv", "wald"))
    assert dowhy.estimate == pytest.approx(wald.estimate, abs=1e-10)
    assert (dowhy.std_error, dowhy.df) == (wald.std_error, wald.df)
    assert dowhy.conf_low == pytest.approx(wald.conf_low, abs=1e-9)


def test_perfect_uptake_is_the_difference_in_means() -> None:
    rng = np.random.default_rng(0)
    y, z = rng.normal(size=30), np.arange(30) < 12
    plain = ESTIMATORS["difference_in_means"].fit(_sample(y, z, z), 0.05)
    for name in ("wald", "anderson_rubin"):
        result = ESTIMATORS[name].fit(_sample(y, z, z), 0.05)
        for field in ("estimate", "std_error", "p_value", "conf_low", "conf_high"):
            assert getattr(result, field) == pytest.approx(getattr(plain, field), rel=1e-9)
        assert result.flags == ()


def _one_sided(rng: np.random.Generator, exposed: float, effect: float, n: int = 100) -> Sample:
    able, z = rng.random(n) < exposed, rng.permutation(np.arange(n) < n // 2)
    y = rng.normal(size=n) + 0.8 * able + effect * (able & z)
    return _sample(y, z, able & z)


@pytest.mark.parametrize("name", ["wald", "anderson_rubin"])
def test_intervals_cover_where_the_instrument_is_strong(name: str) -> None:
    rng = np.random.default_rng(4)
    results = [ESTIMATORS[name].fit(_one_sided(rng, 0.6, 1.0), 0.05) for _ in range(400)]
    covered = np.mean([r.conf_low <= 1 <= r.conf_high for r in results])
    assert abs(covered - 0.95) <= 3.29 * np.sqrt(0.05 * 0.95 / 400)


def test_anderson_and_rubins_test_holds_where_the_instrument_is_weak() -> None:
    """Rejecting the truth 5% of the time is what covering it 95% of the time means here."""
    rng = np.random.default_rng(5)
    samples = [_one_sided(rng, 0.06, 1.0) for _ in range(400)]
    results = [ESTIMATORS["anderson_rubin"].fit(s, 0.05) for s in samples if s.received.any()]
    assert any("unbounded_interval" in r.flags for r in results)
    kept = [
        2 * min(anderson_rubin.beyond(s, 1.0, side) for side in (-1, 1)) > 0.05
        for s in samples
        if s.received.any()
    ]
    assert abs(np.mean(kept) - 0.95) <= 3.29 * np.sqrt(0.05 * 0.95 / len(kept))


def test_the_limits_are_where_the_test_begins_to_reject(golden: Any) -> None:
    sample = _golden(golden("data_contaminated"))
    result = ESTIMATORS["anderson_rubin"].fit(sample, 0.1)
    assert anderson_rubin.beyond(sample, result.conf_low, 1) == pytest.approx(0.05, abs=1e-9)
    assert anderson_rubin.beyond(sample, result.conf_high, -1) == pytest.approx(0.05, abs=1e-9)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), name=st.sampled_from(["wald", "anderson_rubin"]))
def test_order_is_nothing_and_the_outcomes_units_scale(seed: int, name: str) -> None:
    rng = np.random.default_rng(seed)
    sample = _one_sided(rng, 0.5, 1.0, 40)
    one = ESTIMATORS[name].fit(sample, 0.05)
    rows = rng.permutation(40)
    shuffled = _sample(sample.outcome[rows], sample.treated[rows], sample.received[rows])
    again = ESTIMATORS[name].fit(shuffled, 0.05)
    assert again.estimate == pytest.approx(one.estimate, rel=1e-9)
    assert again.conf_low == pytest.approx(one.conf_low, rel=1e-7, nan_ok=True)
    turned = _sample(5 - 2 * sample.outcome, sample.treated, sample.received)
    other = ESTIMATORS[name].fit(turned, 0.05)
    assert other.estimate == pytest.approx(-2 * one.estimate, rel=1e-8)
    limits = (-2 * one.conf_high, -2 * one.conf_low)
    assert (other.conf_low, other.conf_high) == pytest.approx(limits, rel=1e-6, nan_ok=True)
    assert other.p_value == pytest.approx(one.p_value, rel=1e-6)


def _table(make_observations: Any, n: int = 80, **columns: Any) -> pd.DataFrame:
    rng = np.random.default_rng(1)
    arm = np.array(ARMS * (n // 2))
    exposed = rng.random(n) < 0.5
    y = rng.normal(size=n) + exposed * (arm == "treated")
    given = {"exposed": exposed, "received": exposed & (arm == "treated"), **columns}
    return make_observations(y, arm, **{k: v for k, v in given.items() if v is not None})


@pytest.mark.parametrize("name", INSTRUMENTS)
def test_a_row_says_whose_effect_it_is(name: str, make_trial: Any, make_observations: Any) -> None:
    trial = make_trial(analysis={"estimator": name})
    row = estimate(trial, _table(make_observations)).iloc[0]
    assert (row["estimator"], row["n_treatment"]) == (name, 40)
    assert row["estimand"] == "principal stratum (exposed), superpopulation"
    assert row["effect_size_kind"] == "hedges_g_adjusted"
    ratio = row["effect_size"] / row["estimate"]
    assert row["effect_size_low"] == pytest.approx(row["conf_low"] * ratio)


def test_exposure_stands_in_for_uptake_in_ablations_only(
    make_trial: Any, make_observations: Any
) -> None:
    recorded, exposed = _table(make_observations), _table(make_observations, received=None)
    trial = make_trial(analysis={"estimator": "wald"})
    pd.testing.assert_frame_equal(estimate(trial, recorded), estimate(trial, exposed))
    arms = [
        {"name": "control", "intervention": {"kind": "none"}},
        {"name": "treated", "intervention": {"kind": "add", "features": [3], "dose": 2.0}},
    ]
    with pytest.raises(DataError, match="'received'"):
        estimate(make_trial(arms=arms, analysis={"estimator": "wald"}), exposed)


def test_uptake_must_be_recorded_and_one_sided(make_trial: Any, make_observations: Any) -> None:
    trial = make_trial(analysis={"estimator": "anderson_rubin"})
    with pytest.raises(DataError, match="'received'"):
        estimate(trial, _table(make_observations, received=None, exposed=None))
    with pytest.raises(DataError, match="cace"):
        estimate(trial, _table(make_observations, received=True))


@pytest.mark.parametrize("name", INSTRUMENTS)
def test_what_cannot_be_estimated_is_flagged(
    name: str, make_trial: Any, make_observations: Any
) -> None:
    trial = make_trial(analysis={"estimator": name})
    nobody = estimate(trial, _table(make_observations, received=False)).iloc[0]
    assert np.isnan(nobody["estimate"])
    assert "no_first_stage" in split(nobody["flags"])
    one = make_observations([1.0, 2.0], ARMS, received=[True, False])
    assert "too_few_units" in split(estimate(trial, one).iloc[0]["flags"])
    constant = _table(make_observations).assign(value=0.3)
    row = estimate(trial, constant).iloc[0]
    assert (row["estimate"], row["p_value"], row["conf_high"]) == (0.0, 1.0, 0.0)


@pytest.mark.parametrize("field", ["estimator", "supplementary"])
@pytest.mark.parametrize(
    "changes",
    [
        {"assignment": {"method": "crossover"}},
        {"assignment": {"method": "block", "block_by": ["topic"]}},
        {"assignment": {"method": "cluster", "cluster_by": "template"}},
        {"arms": [{"name": "sham", "intervention": {"kind": "splice"}}]},
        {"analysis": {"covariates": ["x"]}},
    ],
    ids=["crossover", "block", "cluster", "sham", "covariates"],
)
def test_designs_without_an_instrument_are_sent_to_cace(
    field: str, changes: Any, make_trial: Any
) -> None:
    analysis: dict[str, Any] = {field: "wald" if field == "estimator" else ["wald"]}
    analysis |= changes.get("analysis", {})
    if "arms" in changes:
        treated = {"name": "treated", "intervention": {"kind": "ablate", "features": [3]}}
        changes = {"arms": [*changes["arms"], treated]}
        analysis["reference"] = "sham"
    trial = make_trial(analysis=analysis, **{k: v for k, v in changes.items() if k != "analysis"})
    told = [problem.message for problem in broken_rules(trial)]
    assert len(told) == 1
    assert "cace" in told[0]
    with pytest.raises(SpecError, match="cace"):
        check_analysis(trial)
