"""Dunnett's adjustment against published values, mvtnorm, and its own error rate."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from causal_sae.estimation import estimate
from causal_sae.estimation.multiplicity import dunnett
from causal_sae.flags import split

DUNNETT = {"multiplicity": {"method": "dunnett"}}


def _arms(names: list[str]) -> list[dict[str, Any]]:
    return [{"name": name, "intervention": {"kind": "none"}} for name in names]


def _table(frame: pd.DataFrame, outcome: str = "gap") -> pd.DataFrame:
    return pd.DataFrame(
        {
            "unit_id": [f"u{i:03d}" for i in range(len(frame))],
            "arm": frame["group"].to_numpy(),
            "outcome": outcome,
            "value": frame["y"].to_numpy(float),
        }
    )


def test_published_values_of_plant_growth(golden: Any) -> None:
    groups = {k: v["y"].to_numpy(float) for k, v in golden("data_plants").groupby("group")}
    pooled = sum(float(np.sum((v - v.mean()) ** 2)) for v in groups.values()) / 27
    for name, p_value in (("trt1", 0.322696), ("trt2", 0.153486)):
        t = abs(groups[name].mean() - groups["ctrl"].mean()) / np.sqrt(pooled * 0.2)
        found = 1 - dunnett.probability(t, np.sqrt([0.5, 0.5]), 27)
        assert found == pytest.approx(p_value, abs=5e-7)


@pytest.mark.parametrize(("arms", "limit"), [(2, 2.379), (3, 2.540), (4, 2.651)])
def test_published_critical_values(arms: int, limit: float) -> None:
    assert dunnett.critical(0.05, np.sqrt([0.5] * arms), 20) == pytest.approx(limit, abs=6e-4)


@pytest.mark.parametrize(("t", "df", "a"), [(2.0, 5.0, 0.7), (1.0, 1.5, 0.0), (4.0, 300.0, 0.99)])
def test_one_contrast_is_students_t(t: float, df: float, a: float) -> None:
    assert 1 - dunnett.probability(t, np.array([a]), df) == pytest.approx(
        2 * stats.t.sf(t, df), rel=1e-6
    )


def test_unequal_variances_agree_with_mvtnorm(make_trial: Any, golden: Any) -> None:
    trial = make_trial(
        arms=_arms(["ctrl", "low", "mid", "high"]),
        analysis={**DUNNETT, "estimator": "difference_in_means"},
    )
    effects = estimate(trial, _table(golden("data_doses"))).set_index("treatment")
    expected = golden("dunnett").set_index("treatment").astype(float)
    for column in ("p_adjusted", "conf_low", "conf_high"):
        found = effects.loc[expected.index, column].to_numpy(float)
        assert found == pytest.approx(expected[column].to_numpy(), abs=2e-6), column
    assert all("simultaneous_interval" in split(cell) for cell in effects["flags"])


def test_it_is_never_weaker_than_bonferroni_nor_stronger_than_none(
    make_trial: Any, golden: Any
) -> None:
    table = _table(golden("data_doses"))
    arms = _arms(["ctrl", "low", "mid", "high"])
    effects = estimate(make_trial(arms=arms, analysis=DUNNETT), table)
    p_value, p_adjusted = (effects[c].to_numpy(float) for c in ("p_value", "p_adjusted"))
    assert np.all(p_adjusted > p_value)
    assert np.all(p_adjusted < np.minimum(1, 3 * p_value))
    outside = (effects["conf_low"] > 0) | (effects["conf_high"] < 0)
    assert outside.tolist() == effects["reject"].tolist()


def test_outcomes_of_one_family_are_held_together(make_trial: Any, golden: Any) -> None:
    one = _table(golden("data_plants"))
    outcomes = [{"name": n, "role": "secondary", "metric": "entropy"} for n in ("gap", "other")]
    arms = _arms(["ctrl", "trt1", "trt2"])
    single = estimate(make_trial(arms=arms, analysis=DUNNETT, outcomes=outcomes[:1]), one)
    both = estimate(
        make_trial(arms=arms, analysis=DUNNETT, outcomes=outcomes),
        pd.concat([one, one.assign(outcome="other")]),
    )
    assert both["p_adjusted"][0] == pytest.approx(min(1.0, 2 * single["p_adjusted"][0]))
    assert both["family_size"].tolist() == [4] * 4
    assert both["conf_low"][0] < single["conf_low"][0]


def test_an_arm_without_variation_does_not_poison_the_family(make_trial: Any) -> None:
    rng = np.random.default_rng(0)
    y = np.concatenate([rng.normal(size=20), rng.normal(1, 1, size=20), np.full(20, np.nan)])
    frame = pd.DataFrame({"y": y, "group": np.repeat(["ctrl", "a", "b"], 20)})
    effects = estimate(make_trial(arms=_arms(["ctrl", "a", "b"]), analysis=DUNNETT), _table(frame))
    assert effects["family_size"].tolist() == [1, 1]
    assert effects["p_adjusted"][0] == pytest.approx(effects["p_value"][0], rel=1e-6)
    assert effects["reject"][1] is pd.NA


def test_guardrails_are_one_sided_and_stay_with_holm(make_trial: Any, golden: Any) -> None:
    outcome = {"name": "gap", "role": "guardrail", "metric": "kl", "margin": 0.5}
    arms, table = _arms(["ctrl", "trt1", "trt2"]), _table(golden("data_plants"))
    found, holm = (
        estimate(make_trial(arms=arms, analysis=a, outcomes=[outcome]), table)
        for a in (DUNNETT, {"estimator": "welch"})
    )
    assert found["p_adjusted"].tolist() == holm["p_adjusted"].tolist()
    assert found["conf_low"].tolist() == holm["conf_low"].tolist()
    assert found["correction"].tolist() == ["holm", "holm"]


def test_the_family_error_is_nominal_with_unequal_variances() -> None:
    """The maximum of three correlated statistics, each with a variance of its own."""
    rng = np.random.default_rng(3)
    sizes, sds = np.array([30, 15, 30, 20]), np.array([1.0, 3.0, 0.5, 2.0])
    wrong = []
    for _ in range(200):
        arms = [rng.normal(0, sd, n) for n, sd in zip(sizes, sds, strict=True)]
        v = np.array([arm.var(ddof=1) / len(arm) for arm in arms])
        errors = np.sqrt(v[1:] + v[0])
        df = errors**4 / (v[1:] ** 2 / (sizes[1:] - 1) + v[0] ** 2 / (sizes[0] - 1))
        t = np.abs([arm.mean() - arms[0].mean() for arm in arms[1:]]) / errors
        limits = np.array([_quick(float(d)) for d in df])
        loadings = np.sqrt(v[0]) / errors
        worst = int(np.argmax(t / limits))
        wrong.append(1 - dunnett.probability(float(t[worst]), loadings, float(df[worst])) <= 0.05)
    assert abs(np.mean(wrong) - 0.05) <= 3.29 * np.sqrt(0.05 * 0.95 / 200)


def _quick(df: float) -> float:
    return float(stats.t.isf(0.01, df))
