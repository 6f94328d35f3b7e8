"""The properties of a design, from answers that can be counted by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from causal_sae.diagnosis import diagnosands as of
from causal_sae.diagnosis.diagnosands import Answers


def answers(truth, estimate, rejected=None, reach=1.0):
    estimate = np.asarray(estimate, dtype=float)
    truth = np.broadcast_to(np.asarray(truth, dtype=float), estimate.shape)
    rejected = np.zeros(len(estimate), bool) if rejected is None else np.asarray(rejected)
    return Answers(truth, estimate, estimate - reach, estimate + reach, rejected)


BY_HAND = answers(2.0, [1.0, 3.0, 4.0, -2.0], [True, False, True, True])


def test_every_property_of_four_trials_by_hand():
    assert of.bias(BY_HAND).value == pytest.approx(-0.5)
    assert of.bias(BY_HAND).error == pytest.approx(np.std([-1, 1, 2, -4], ddof=1) / 2)
    assert of.rmse(BY_HAND).value == pytest.approx(np.sqrt(22 / 4))
    assert of.rejection(BY_HAND).value == 0.75
    assert of.rejection(BY_HAND).error == pytest.approx(np.sqrt(0.75 * 0.25 / 4))
    assert of.coverage(BY_HAND).value == 0.5  # [0, 2] and [2, 4] hold 2; [3, 5] and [-3, -1] not
    assert of.type_s(BY_HAND).value == pytest.approx(1 / 3)
    assert of.type_m(BY_HAND).value == pytest.approx((0.5 + 2 + 1) / 3)


def test_what_was_not_estimated_is_left_out():
    found = answers(0.0, [1.0, np.nan, -1.0])
    assert of.bias(found).value == 0
    assert of.coverage(found).value == 1.0
    assert of.rejection(found).value == 0


def test_nothing_rejected_has_no_sign_and_no_size():
    found = answers(1.0, [0.5, 1.5])
    assert np.isnan(of.type_s(found).value)
    assert np.isnan(of.type_m(found).value)


@given(st.integers(0, 2**32 - 1), st.floats(0.1, 10))
def test_the_unit_changes_neither_rates_nor_ratios(seed, scale):
    rng = np.random.default_rng(seed)
    estimate, rejected = rng.normal(0.3, 1, 30), rng.random(30) < 0.5
    one, other = answers(0.3, estimate, rejected), answers(0.3 * scale, estimate * scale, rejected)
    assert of.type_s(one) == of.type_s(other)
    assert of.rmse(other).value == pytest.approx(scale * of.rmse(one).value)
    if rejected.any():
        assert of.type_m(other).value == pytest.approx(of.type_m(one).value)


def test_monte_carlo_errors_are_the_spread_of_repeated_simulations():
    rng, found = np.random.default_rng(2), []
    for _ in range(400):
        estimate = rng.normal(0.5, 1.0, 200)
        found.append(answers(0.4, estimate, estimate > 1.0, reach=1.5))
    for measure in (of.bias, of.rmse, of.spread, of.rejection, of.coverage, of.type_m):
        values = [measure(one) for one in found]
        seen = np.std([one.value for one in values])
        # 400 simulations know a standard deviation to 3.5 percent: four of those.
        assert np.mean([one.error for one in values]) == pytest.approx(seen, rel=0.15), measure


def test_exaggeration_is_that_of_gelman_and_carlin():
    """Their worked example: an effect of 2 with a standard error of 8.1."""
    estimate = np.random.default_rng(1).normal(2, 8.1, 400_000)
    found = answers(2.0, estimate, np.abs(estimate) > stats.norm.isf(0.025) * 8.1)
    assert of.rejection(found).value == pytest.approx(0.06, abs=0.005)
    assert of.type_s(found).value == pytest.approx(0.24, abs=0.01)
    assert of.type_m(found).value == pytest.approx(9.6, abs=0.15)
