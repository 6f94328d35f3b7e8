"""Assignments drawn again until arms are alike: close, unbiased, and never endless."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from causal_sae.acceptance import CollinearError, distance, limit, whitened
from causal_sae.errors import DataError
from causal_sae.randomization import assign
from causal_sae.spec import Trial

ARMS = [
    {"name": name, "intervention": {"kind": "none"}} for name in ("control", "ablate", "placebo")
]


def declare(until: dict, arms: int = 2, seed: int = 0, **assignment: object) -> Trial:
    rule = {"on": ["x", "w"], "until": until}
    return Trial.model_validate(
        {
            "schema": 1,
            "name": "again",
            "question": "Are the arms alike?",
            "seed": seed,
            "arms": ARMS[:arms],
            "assignment": {"method": "complete", "rerandomize": rule} | assignment,
            "outcomes": [{"name": "gap", "role": "primary", "metric": "entropy"}],
        }
    )


@pytest.fixture(scope="module")
def units() -> pd.DataFrame:
    rng = np.random.default_rng(2)
    return pd.DataFrame(
        {
            "unit_id": [f"u{i:02d}" for i in range(40)],
            "x": rng.normal(100, 20, 40),
            "w": rng.exponential(1, 40),
            "topic": ["a", "b"] * 20,
        }
    )


def test_with_two_arms_the_distance_is_mahalanobis(units):
    values = units[["x", "w"]].to_numpy()
    arms = np.arange(40) % 2
    difference = values[arms == 0].mean(axis=0) - values[arms == 1].mean(axis=0)
    covariance = np.cov(values.T) * (1 / 20 + 1 / 20)
    expected = difference @ np.linalg.solve(covariance, difference)
    white = whitened(values, np.zeros(40, dtype=int))
    assert distance(white, arms, 2) == pytest.approx(expected)
    assert limit(0.01, 2, 2) == pytest.approx(stats.chi2.ppf(0.01, 2))


@pytest.mark.parametrize("arms", [2, 3])
@pytest.mark.parametrize("method", [{}, {"method": "block", "block_by": ["topic"]}])
def test_every_assignment_is_within_the_distance(units, arms, method):
    block = np.unique(units["topic"], return_inverse=True)[1] if method else np.zeros(40, dtype=int)
    white = whitened(units[["x", "w"]].to_numpy(), block)
    for seed in range(5):
        table = assign(declare({"distance": 0.3}, arms, seed, **method), units)
        codes = np.unique(table["arm"], return_inverse=True)[1]
        assert distance(white, codes, arms) <= 0.3
        sizes = table["arm"].value_counts()
        assert sizes.max() - sizes.min() <= (2 if method else 1)


def test_each_unit_keeps_its_propensity(units):
    treated = np.zeros(40)
    for seed in range(150):
        table = assign(declare({"probability": 0.3}, seed=seed), units)
        treated += table["arm"].eq("ablate").to_numpy()
        assert (table["propensity"] == 0.5).all()
    # 40 rates of 150 draws each.
    assert np.abs(treated / 150 - 0.5).max() < 3.9 * np.sqrt(0.25 / 150)


def test_the_share_accepted_is_about_the_one_asked_for(units):
    first = [
        assign(declare({"probability": 1}, seed=seed), units)["arm"].eq("ablate").to_numpy()
        for seed in range(200)
    ]
    white = whitened(units[["x", "w"]].to_numpy(), np.zeros(40, dtype=int))
    within = [distance(white, arms.astype(int), 2) <= limit(0.2, 2, 2) for arms in first]
    assert np.mean(within) == pytest.approx(0.2, abs=0.095)


def test_rows_in_another_order_give_the_same_assignment(units):
    trial = declare({"probability": 0.05})
    shuffled = units.sample(frac=1, random_state=1)
    pd.testing.assert_frame_equal(assign(trial, units), assign(trial, shuffled))


def test_what_cannot_be_met_ends_with_a_sentence(units, monkeypatch):
    monkeypatch.setattr("causal_sae.randomization.rerandomize.MOST", 50)
    with pytest.raises(DataError, match="none of 50 assignments came within the distance 1e-09"):
        assign(declare({"distance": 1e-9}), units)


def test_covariates_that_do_not_serve_are_refused(units):
    trial = declare({"probability": 0.1})
    with pytest.raises(DataError, match="must vary"):
        assign(trial, units.assign(w=3.0))
    with pytest.raises(DataError, match="must vary"):
        assign(trial, units.assign(w=2 * units["x"] + 1))
    with pytest.raises(DataError, match="must be a number for every unit; it is 'many' for unit"):
        assign(trial, units.assign(w=["many", *units["w"][1:]]))
    with pytest.raises(CollinearError):
        whitened(np.ones((4, 1)), np.zeros(4, dtype=int))
