"""Adjusted differences of mean counts: against R, in simulation, and with counts of zero only."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from causal_sae.estimation import estimate
from causal_sae.estimation.estimators import ESTIMATORS
from causal_sae.estimation.sample import Sample
from causal_sae.estimation.separation import zeros_separated
from causal_sae.flags import split

GOLDENS = Path(__file__).parents[1] / "goldens" / "estimation"
CASES = pd.read_csv(GOLDENS / "counts.csv", keep_default_na=False)
FIT = ESTIMATORS["poisson"].fit
POISSON = {"estimator": "poisson", "covariates": ["x"]}


@pytest.mark.parametrize("row", CASES.to_dict("records"), ids=CASES["case"].tolist())
def test_agrees_with_r(row: dict[str, Any], make_sample: Any, golden: Any) -> None:
    sample = make_sample(golden(f"data_{row['data']}"), tuple(str(row["covariates"]).split()))
    result = FIT(sample, 0.05)
    assert result.estimate == pytest.approx(row["estimate"], rel=1e-8)
    assert result.std_error == pytest.approx(row["std_error"], rel=1e-8)
    assert result.df == row["df"]
    assert result.p_value == pytest.approx(row["p_value"], rel=1e-6)
    assert result.conf_low == pytest.approx(row["conf_low"], rel=1e-6)
    assert result.conf_high == pytest.approx(row["conf_high"], rel=1e-6)


def test_without_covariates_it_is_the_difference_in_means(make_sample: Any, golden: Any) -> None:
    frame = golden("data_counts")
    result = FIT(make_sample(frame), 0.05)
    means = frame.groupby("z")["y"].mean()
    assert result.estimate == pytest.approx(means[1] - means[0], rel=1e-12)


def _counts(rng: np.random.Generator, effect: float, n: int = 100) -> tuple[Sample, float]:
    """Counts that vary more than Poisson's, with a link that the model gets wrong."""
    x, treated = rng.uniform(0, 2, n), rng.permutation(np.arange(n) < n // 2)
    mean = 0.5 + 2 * x + effect * treated
    y = rng.negative_binomial(2, 2 / (2 + mean)).astype(float)
    return Sample(np.arange(n).astype(str), y, treated, x[:, None], ("x",)), effect


@pytest.mark.parametrize("effect", [0.0, 1.5])
def test_coverage_is_nominal_under_a_wrong_model(effect: float) -> None:
    rng = np.random.default_rng(8)
    covered = []
    for _ in range(150):
        sample, truth = _counts(rng, effect)
        result = FIT(sample, 0.05)
        covered.append(result.conf_low <= truth <= result.conf_high)
    assert abs(np.mean(covered) - 0.95) <= 3.29 * np.sqrt(0.05 * 0.95 / 150)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_order_is_nothing_and_swapped_arms_flip_the_sign(seed: int) -> None:
    rng = np.random.default_rng(seed)
    sample, _ = _counts(rng, 1.0, 40)
    one = FIT(sample, 0.05)
    rows = rng.permutation(len(sample))
    again = FIT(
        Sample(
            sample.unit[rows],
            sample.outcome[rows],
            sample.treated[rows],
            sample.covariates[rows],
            ("x",),
        ),
        0.05,
    )
    assert again.estimate == pytest.approx(one.estimate, rel=1e-9, abs=1e-12)
    assert again.std_error == pytest.approx(one.std_error, rel=1e-9)
    swapped = Sample(sample.unit, sample.outcome, ~sample.treated, sample.covariates, ("x",))
    other = FIT(swapped, 0.05)
    assert other.estimate == pytest.approx(-one.estimate, rel=1e-9, abs=1e-12)
    assert other.std_error == pytest.approx(one.std_error, rel=1e-9)


@pytest.mark.parametrize(
    ("y", "x", "found"),
    [
        ([0, 0, 0, 0, 2, 1, 3, 1], [1, 1, 1, 1, 0, 0, 0, 0], True),  # a group without counts
        ([0, 0, 1, 0, 2, 1, 3, 1], [1, 1, 1, 1, 0, 0, 0, 0], False),
        ([0, 0, 0, 0, 2, 2, 2, 2], [9, 8, 7, 6, 5, 5, 5, 5], True),  # only zeros have an x of more
        ([0, 0, 0, 0, 2, 1, 3, 1], [1, 2, 3, 4, 5, 6, 7, 8], False),
        ([1, 2, 3, 4, 2, 1, 3, 1], [1, 1, 1, 1, 0, 0, 0, 0], False),
    ],
)
def test_separation_is_found_exactly(y: list[float], x: list[float], found: bool) -> None:
    columns = np.column_stack([np.ones(8), (np.array(x) - 4.0) / 4])
    assert zeros_separated(np.array(y, float), columns) is found


def test_an_arm_of_zeros_falls_back_to_the_plain_difference(
    make_trial: Any, make_observations: Any
) -> None:
    rng = np.random.default_rng(0)
    arms = np.array(["treated", "control"] * 20)
    y = np.where(arms == "treated", 0.0, rng.poisson(2, 40))
    table = make_observations(y, arms, x=rng.normal(size=40))
    row = estimate(make_trial(analysis=POISSON), table).iloc[0]
    plain = estimate(make_trial(), table).iloc[0]
    assert "zero_counts" in split(row["flags"])
    assert (row["estimate"], row["p_value"]) == (plain["estimate"], plain["p_value"])


@pytest.mark.parametrize("y", [[0.0] * 12, [2.0] * 12, [3.0, 1.0] * 6, [0.0, 3.0] * 6])
def test_counts_without_variation_never_fail(
    y: list[float], make_trial: Any, make_observations: Any
) -> None:
    trial = make_trial(analysis={"estimator": "poisson"})
    row = estimate(trial, make_observations(y, ["treated", "control"] * 6)).iloc[0]
    assert row["estimate"] == pytest.approx(y[0] - y[1])
    assert set(split(row["flags"])) & {"exact_zero", "no_variance"}


def test_outcomes_that_are_not_counts_get_what_auto_takes(
    make_trial: Any, make_observations: Any
) -> None:
    rng = np.random.default_rng(0)
    arms, x = ["treated", "control"] * 20, rng.normal(size=40)
    expected = {"poisson": rng.poisson(2, 40), "hall": rng.normal(size=40)}
    for name, y in expected.items():
        table = make_observations(y.astype(float), arms, x=x)
        assert estimate(make_trial(analysis=POISSON), table)["estimator"].tolist() == [name]
    table = make_observations(rng.integers(0, 2, 40).astype(float), arms, x=x)
    assert estimate(make_trial(analysis=POISSON), table)["estimator"].tolist() == ["hall"]
