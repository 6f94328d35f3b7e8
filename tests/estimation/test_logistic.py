"""Adjusted risk differences against R, their error rates, and outcomes that are separated."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

from causal_sae.estimation import estimate
from causal_sae.estimation.estimators import ESTIMATORS
from causal_sae.estimation.sample import Sample
from causal_sae.estimation.separation import separated
from causal_sae.flags import split

GOLDENS = Path(__file__).parents[1] / "goldens" / "estimation"
CASES = pd.read_csv(GOLDENS / "logistic.csv", keep_default_na=False)
LOGISTIC = {"estimator": "logistic", "covariates": ["x"]}


@pytest.mark.parametrize("row", CASES.to_dict("records"), ids=CASES["case"].tolist())
def test_agrees_with_r(row: dict[str, Any], make_sample: Any, golden: Any) -> None:
    sample = make_sample(golden(f"data_{row['data']}"), tuple(str(row["covariates"]).split()))
    result = ESTIMATORS["logistic"].fit(sample, 0.05)
    assert result.estimate == pytest.approx(row["estimate"], rel=1e-8)
    assert result.std_error == pytest.approx(row["std_error"], rel=1e-8)
    assert result.df == row["df"]
    assert result.p_value == pytest.approx(row["p_value"], rel=1e-6)
    assert result.conf_low == pytest.approx(row["conf_low"], rel=1e-6)
    assert result.conf_high == pytest.approx(row["conf_high"], rel=1e-6)


def test_published_risk_difference(make_sample: Any, golden: Any) -> None:
    result = ESTIMATORS["logistic"].fit(make_sample(golden("data_cars"), ("w",)), 0.05)
    assert result.estimate == pytest.approx(-0.36029572, abs=5e-9)


def _binary(rng: np.random.Generator, effect: float, n: int = 120) -> tuple[Sample, float]:
    """A strong covariate whose shape the model gets wrong."""
    x, treated = rng.normal(size=n), rng.permutation(np.arange(n) < n // 2)
    risk = expit(1.5 * x + 0.5 * x**2 - 0.5 + effect * treated)
    grid = np.linspace(-8, 8, 4001)
    density = np.exp(-(grid**2) / 2) / np.sqrt(2 * np.pi) * (grid[1] - grid[0])
    level = 1.5 * grid + 0.5 * grid**2 - 0.5
    truth = float(np.sum((expit(level + effect) - expit(level)) * density))
    y = (rng.random(n) < risk).astype(float)
    return Sample(np.arange(n).astype(str), y, treated, x[:, None], ("x",)), truth


def test_error_rate_and_coverage_are_nominal_under_a_wrong_model() -> None:
    rng = np.random.default_rng(8)
    repetitions, slack = 200, 3.29 * np.sqrt(0.05 * 0.95 / 200)
    null = [ESTIMATORS["logistic"].fit(_binary(rng, 0.0)[0], 0.05) for _ in range(repetitions)]
    assert abs(np.mean([r.p_value <= 0.05 for r in null]) - 0.05) <= slack
    covered = []
    for _ in range(repetitions):
        sample, truth = _binary(rng, 1.0)
        result = ESTIMATORS["logistic"].fit(sample, 0.05)
        covered.append(result.conf_low <= truth <= result.conf_high)
    assert abs(np.mean(covered) - 0.95) <= slack


def test_adjustment_gains_precision() -> None:
    sample, _ = _binary(np.random.default_rng(1), 1.0, n=400)
    adjusted, plain = (ESTIMATORS[n].fit(sample, 0.05) for n in ("logistic", "welch"))
    assert adjusted.std_error < 0.93 * plain.std_error


@pytest.mark.parametrize(
    ("y", "x", "found"),
    [
        ([0, 0, 0, 0, 1, 1, 1, 1], [1, 2, 3, 4, 5, 6, 7, 8], True),  # complete
        ([0, 0, 0, 1, 0, 1, 1, 1], [1, 2, 3, 4, 4, 6, 7, 8], True),  # quasi-complete
        ([0, 1, 0, 1, 0, 1, 1, 1], [1, 2, 3, 4, 5, 6, 7, 8], False),
    ],
)
def test_separation_is_found_exactly(y: list[float], x: list[float], found: bool) -> None:
    columns = np.column_stack([np.ones(8), (np.array(x) - 4.5) / 4])
    assert separated(np.array(y, float), columns) is found


def test_separated_outcomes_fall_back_to_the_plain_difference(
    make_trial: Any, make_observations: Any
) -> None:
    x = np.arange(40.0)
    table = make_observations((x > 20.5).astype(float), ["treated", "control"] * 20, x=x)
    row = estimate(make_trial(analysis=LOGISTIC), table).iloc[0]
    plain = estimate(make_trial(analysis={"estimator": "welch"}), table).iloc[0]
    assert "separation" in split(row["flags"])
    assert row["estimate"] == plain["estimate"]
    assert row["p_value"] == plain["p_value"]


def test_an_arm_without_any_event_is_separated(make_trial: Any, make_observations: Any) -> None:
    arms = np.array(["treated", "control"] * 20)
    y = np.where(arms == "treated", 0.0, np.tile([0.0, 0.0, 0.0, 1.0], 10))
    x = np.random.default_rng(0).normal(size=40)
    row = estimate(make_trial(analysis=LOGISTIC), make_observations(y, arms, x=x)).iloc[0]
    assert "separation" in split(row["flags"])
    assert row["estimate"] == pytest.approx(-0.5)


def test_outcomes_that_are_not_binary_get_the_linear_adjustment(
    make_trial: Any, make_observations: Any
) -> None:
    rng = np.random.default_rng(0)
    table = make_observations(
        rng.normal(size=40), ["treated", "control"] * 20, x=rng.normal(size=40)
    )
    assert estimate(make_trial(analysis=LOGISTIC), table)["estimator"].tolist() == ["hall"]
    table["value"] = (table["value"] > 0).astype(float)
    row = estimate(make_trial(analysis=LOGISTIC), table).iloc[0]
    assert (row["estimator"], row["effect_size_kind"]) == ("logistic", "risk_difference")
    assert row["effect_size_low"] == row["conf_low"]
