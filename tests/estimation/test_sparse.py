"""Interval and test where the edit leaves most units exactly as they were, and among the others.

``python tests/estimation/test_sparse.py 2000 200`` prints the coverage by share of exposed units
with 200 units, over samples with two exposed units or more.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from causal_sae.errors import DataError
from causal_sae.estimation import estimate
from causal_sae.estimation.estimators import ESTIMATORS, hall, sparse
from causal_sae.estimation.sample import Sample
from causal_sae.estimation.skewness import transformed, untransformed
from causal_sae.flags import split

GOLDENS = Path(__file__).parents[1] / "goldens" / "estimation"
CASES = pd.read_csv(GOLDENS / "sparse.csv")
CROSSOVER = {"method": "crossover"}


def _pairs(difference: np.ndarray, exposed: np.ndarray, base: float = 1.0) -> pd.DataFrame:
    units = [f"u{i:04d}" for i in range(len(difference))]
    rows = pd.DataFrame({"unit_id": units, "outcome": "gap", "exposed": exposed})
    return pd.concat(
        [
            rows.assign(arm="control", value=base),
            rows.assign(arm="treated", value=base + difference),
        ]
    )


def _zeros_and(among: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    return np.append(among, np.zeros(n - len(among))), np.arange(n) < len(among)


@pytest.mark.parametrize("row", CASES.to_dict("records"), ids=CASES["case"].tolist())
def test_agrees_with_r(row: dict[str, Any], make_trial: Any, golden: Any) -> None:
    data = golden("data_sparse")
    among = data.loc[data["case"] == row["case"], "x"].to_numpy(float)
    table = _pairs(*_zeros_and(among, int(row["n"])), base=0.0)
    trial = make_trial(assignment=CROSSOVER, analysis={"alpha": 1 - row["level"]})
    result = estimate(trial, table).iloc[0]
    assert result["estimator"] == "sparse"
    for column in ("estimate", "std_error", "statistic", "df", "p_value", "conf_low", "conf_high"):
        assert result[column] == pytest.approx(row[column], rel=1e-6, abs=1e-9), column


def test_the_estimate_is_the_mean_over_all_units(make_trial: Any) -> None:
    rng = np.random.default_rng(0)
    difference, exposed = _zeros_and(rng.lognormal(size=20), 200)
    row = estimate(make_trial(assignment=CROSSOVER), _pairs(difference, exposed)).iloc[0]
    assert row["estimate"] == pytest.approx(difference.mean())
    assert (row["n_treatment"], row["n_reference"]) == (200, 200)
    assert row["estimand"] == "treatment policy, superpopulation"
    found = {flag for flag in split(row["flags"]) if not flag.startswith("skewed_values")}
    assert found == {"few_active:20", "exposed_stratum:20"}


def _paired_because(name: str) -> tuple[dict[str, Any], pd.DataFrame]:
    rng = np.random.default_rng(0)
    table = _pairs(*_zeros_and(rng.normal(1, 1, 20), 60)).reset_index(drop=True)
    trial: dict[str, Any] = {"assignment": CROSSOVER}
    if name == "an unexposed unit moved":
        table.loc[119, "value"] = 1.0 + 1e-9
    elif name == "exposure unknown":
        table = table.drop(columns="exposed")
    elif name == "all exposed":
        table["exposed"] = True
    elif name == "clusters":
        trial["assignment"] = {"method": "crossover", "cluster_by": "c"}
        table["c"] = table["unit_id"].str[-1]
    elif name == "paired was asked for":
        trial["analysis"] = {"estimator": "paired"}
    else:
        edits: dict[str, dict[str, Any]] = {
            "dose floor": {"kind": "clamp", "features": [3], "dose": 2.0},
            "mean ablation": {"kind": "ablate", "features": [3], "to": "mean"},
        }
        trial["arms"] = [
            {"name": "control", "intervention": {"kind": "none"}},
            {"name": "treated", "intervention": edits[name]},
        ]
    return trial, table


@pytest.mark.parametrize(
    "why",
    [
        "an unexposed unit moved",
        "exposure unknown",
        "all exposed",
        "clusters",
        "paired was asked for",
        "dose floor",
        "mean ablation",
    ],
)
def test_anything_that_is_not_provably_sparse_stays_paired(why: str, make_trial: Any) -> None:
    trial, table = _paired_because(why)
    kept = "paired" if why in {"clusters", "paired was asked for"} else "hall"
    assert estimate(make_trial(**trial), table)["estimator"].tolist() == [kept]


def test_one_exposed_unit_is_no_inference(make_trial: Any) -> None:
    row = estimate(make_trial(assignment=CROSSOVER), _pairs(*_zeros_and(np.array([3.0]), 30))).iloc[
        0
    ]
    assert row["estimate"] == pytest.approx(0.1)
    assert row[["std_error", "p_value", "conf_low", "conf_high"]].isna().all()
    assert {"few_active:1", "too_few_exposed", "p_missing"} <= set(split(row["flags"]))


def test_no_exposed_unit_says_nothing_of_the_effect(make_trial: Any) -> None:
    """The differences are all zero because the edit had nothing to edit: not an effect of zero."""
    table = _pairs(np.zeros(30), np.zeros(30, dtype=bool))
    row = estimate(make_trial(assignment=CROSSOVER), table).iloc[0]
    assert row["estimate"] == 0.0
    assert row[["std_error", "p_value", "conf_low", "conf_high"]].isna().all()
    assert "exact_zero" not in split(row["flags"])
    assert {"few_active:0", "too_few_exposed"} <= set(split(row["flags"]))
    finite = make_trial(assignment=CROSSOVER, population={"prompts": "p.csv", "claim": "finite"})
    assert "finite_population_exact" in split(estimate(finite, table)["flags"][0])


def test_exposed_units_that_did_not_move_are_an_effect_of_zero(make_trial: Any) -> None:
    table = _pairs(np.zeros(30), np.arange(30) < 12)
    row = estimate(make_trial(assignment=CROSSOVER), table).iloc[0]
    assert (row["estimate"], row["p_value"], row["conf_low"], row["conf_high"]) == (0, 1, 0, 0)


def test_an_effect_without_spread_keeps_the_t_interval_over_all(make_trial: Any) -> None:
    difference, exposed = _zeros_and(np.ones(12), 40)
    row = estimate(make_trial(assignment=CROSSOVER), _pairs(difference, exposed)).iloc[0]
    assert row["p_value"] == pytest.approx(stats.ttest_1samp(difference, 0).pvalue)


@given(seed=st.integers(0, 10_000), m=st.integers(2, 40), shift=st.floats(-2, 2))
def test_zero_is_left_out_exactly_when_p_is_below_alpha(seed: int, m: int, shift: float) -> None:
    among = np.random.default_rng(seed).lognormal(size=m) - 1.6 + shift
    result = sparse._product(among, 100, 0.05)
    assert (result.conf_low > 0 or result.conf_high < 0) == (result.p_value < 0.05)
    assert result.conf_low < result.estimate < result.conf_high
    mirrored = sparse._product(-among, 100, 0.05)
    assert (mirrored.conf_low, mirrored.conf_high) == pytest.approx(
        (-result.conf_high, -result.conf_low)
    )


@given(st.floats(-30, 30), st.floats(-2, 2))
def test_the_transformation_is_undone(t: float, gamma: float) -> None:
    assert untransformed(transformed(t, gamma), gamma) == pytest.approx(t, rel=1e-5, abs=1e-5)


def rates(
    share: float, effects: str, repetitions: int, seed: int, n: int = 200
) -> dict[str, tuple[float, float]]:
    """Estimator -> how often its interval covers, and how often it leaves out zero."""
    rng = np.random.default_rng(seed)
    draw: Callable[[int], Any] = {
        "lognormal": lambda m: rng.lognormal(size=m),
        "exponential": lambda m: rng.exponential(size=m),
        "normal": lambda m: rng.normal(1, 1, size=m),
        "null": lambda m: rng.normal(size=m),
    }[effects]
    means = {"lognormal": float(np.exp(0.5)), "exponential": 1.0, "normal": 1.0, "null": 0.0}
    truth = means[effects] * share
    hits: dict[str, list[tuple[bool, bool]]] = {"paired": [], "sparse": []}
    for _ in range(repetitions):
        exposed = rng.random(n) < share
        if exposed.sum() < 2:
            continue  # `sparse` makes no inference there
        difference = np.zeros(n)
        difference[exposed] = draw(int(exposed.sum()))
        sample = _sample(difference, exposed)
        for name, found in hits.items():
            result = ESTIMATORS[name].fit(sample, 0.05)
            low, high = result.conf_low, result.conf_high
            found.append((bool(low <= truth <= high), bool(low > 0 or high < 0)))
    return {
        name: (float(np.mean(found, axis=0)[0]), float(np.mean(found, axis=0)[1]))
        for name, found in hits.items()
    }


def _sample(difference: np.ndarray, exposed: np.ndarray) -> Any:
    n = len(difference)
    return Sample(
        unit=np.repeat(np.arange(n), 2).astype(str),
        outcome=np.column_stack([difference, np.zeros(n)]).ravel(),
        treated=np.tile([True, False], n),
        covariates=np.empty((2 * n, 0)),
        exposed=np.repeat(exposed, 2),
    )


@pytest.mark.parametrize("share", [0.05, 0.3])
def test_it_covers_skewed_effects_where_t_does_not(share: float) -> None:
    found = rates(share, "lognormal", 300, seed=11)
    assert found["sparse"][0] >= 0.95 - 3.29 * np.sqrt(0.05 * 0.95 / 300)
    assert found["sparse"][0] > found["paired"][0]


def test_it_does_not_find_what_is_not_there() -> None:
    covers, rejects = rates(0.1, "null", 400, seed=5)["sparse"]
    assert covers >= 0.95 - 3.29 * np.sqrt(0.05 * 0.95 / 400)
    assert rejects <= 0.05 + 3.29 * np.sqrt(0.05 * 0.95 / 400)


def test_cace_is_the_analysis_among_exposed_units(make_trial: Any, make_observations: Any) -> None:
    rng = np.random.default_rng(0)
    difference, exposed = _zeros_and(rng.normal(1, 1, 20), 60)
    trial = make_trial(assignment=CROSSOVER, analysis={"estimator": "cace"})
    row = estimate(trial, _pairs(difference, exposed)).iloc[0]
    expected: Any = hall.fit(_sample(difference[:20], exposed[:20]), 0.05)
    assert row["estimate"] == pytest.approx(difference[:20].mean())
    assert row["std_error"] == pytest.approx(difference[:20].std(ddof=1) / np.sqrt(20))
    assert row["p_value"] == pytest.approx(expected.p_value)
    assert row["p_value"] >= stats.ttest_1samp(difference[:20], 0).pvalue
    assert (row["n_treatment"], row["df"]) == (20, 19)
    assert row["estimand"] == "principal stratum (exposed), superpopulation"

    y, arms, fires = rng.normal(size=80), ["treated", "control"] * 40, rng.random(80) < 0.5
    parallel = make_trial(analysis={"estimator": "cace"})
    row = estimate(parallel, make_observations(y, arms, exposed=fires)).iloc[0]
    treated = np.array(arms) == "treated"
    expected = stats.ttest_ind(y[fires & treated], y[fires & ~treated], equal_var=False)
    assert row["statistic"] == pytest.approx(expected.statistic, rel=0.05)
    assert row["df"] == pytest.approx(expected.df)


@pytest.mark.parametrize("columns", [{}, {"exposed": [True, pd.NA] * 10}])
def test_cace_needs_to_know_who_is_exposed(
    columns: Any, make_trial: Any, make_observations: Any
) -> None:
    table = make_observations(np.arange(20.0), ["treated", "control"] * 10, **columns)
    with pytest.raises(DataError, match="column 'exposed' of every row"):
        estimate(make_trial(analysis={"estimator": "cace"}), table)


def test_cace_refuses_exposure_that_differs_between_arms(make_trial: Any) -> None:
    table = _pairs(*_zeros_and(np.arange(5.0), 10)).reset_index(drop=True)
    table.loc[0, "exposed"] = False
    trial = make_trial(assignment=CROSSOVER, analysis={"estimator": "cace"})
    with pytest.raises(DataError, match="same in all rows of a unit"):
        estimate(trial, table)


if __name__ == "__main__":
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 3000
    size = int(sys.argv[2]) if len(sys.argv) > 2 else 200
    for kind in ("lognormal", "exponential", "normal", "null"):
        for part in (0.02, 0.05, 0.1, 0.3):
            by_name = rates(part, kind, count, seed=1, n=size)
            said = ", ".join(f"{k} covers {v[0]:.3f}" for k, v in by_name.items())
            print(f"{kind:10} {part:4.0%}: {said}; sparse rejects {by_name['sparse'][1]:.3f}")  # noqa: T201
