"""Inference on all features at once is that on each alone, and holds its levels."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from causal_sae.estimation.estimators import sparse
from causal_sae.estimation.screens import (
    Differences,
    adjusted,
    adjustment,
    paired_power,
    placebo_share,
    screened,
    shrunken,
)
from causal_sae.estimation.screens.adjustment import sign_flips
from causal_sae.estimation.screens.effects import FEWEST
from causal_sae.randomness import generator

NOISE = {
    "normal": lambda draw, shape: (
        (draw.standard_normal(shape) + draw.standard_normal((shape[0], 1))) / np.sqrt(2)
    ),
    "heavy": lambda draw, shape: draw.standard_t(3, shape) / np.sqrt(3),
    "skewed": lambda draw, shape: draw.exponential(size=shape) - 1,
    "mixed": lambda draw, shape: draw.exponential(size=shape) - 1,
}
"""How differences scatter: normal and shared by all features, t with 3 degrees of freedom,
exponential; and exponential times a factor of the unit."""


def planted(draw, features, units, effects, density=(0.02, 0.6), world="mixed"):
    """Ablation of feature j moves the units that it fires on by ``effects[j]`` on average."""
    rate = np.exp(draw.uniform(*np.log(density), features))
    fires = draw.random((units, features)) < rate
    push = 0.5 + draw.exponential(0.5, size=(units, 1)) if world == "mixed" else 1.0
    values = np.where(fires, push * (effects + NOISE[world](draw, fires.shape)), 0.0)
    unit, feature = fires.nonzero()
    differences = Differences(feature, unit, values[unit, feature], fires.sum(axis=0), units)
    return differences, values


def test_each_feature_gets_the_sparse_estimators_effect_and_an_interval_no_shorter():
    draw = np.random.default_rng(0)
    differences, values = planted(draw, 60, 120, draw.normal(0, 1, 60))
    found = screened(differences, 0.05)
    for j in range(60):
        among = values[:, j][values[:, j] != 0]
        if len(among) < FEWEST or len(among) == 120:
            continue
        wanted = sparse._product(among, 120, 0.05)
        assert found.estimate[j] == pytest.approx(wanted.estimate, rel=1e-9)
        assert found.std_error[j] == pytest.approx(wanted.std_error, rel=1e-9)
        assert found.statistic[j] == pytest.approx(wanted.statistic, rel=1e-9)
        # Stricter, never laxer: fewer degrees of freedom, and the flips of signs.
        assert found.p_value[j] >= wanted.p_value * (1 - 1e-9)
        assert found.conf_low[j] <= wanted.conf_low + 1e-12
        assert found.conf_high[j] >= wanted.conf_high - 1e-12
        outside = not found.conf_low[j] <= 0 <= found.conf_high[j]
        assert outside == (found.p_value[j] <= 0.05)


def test_features_with_few_exposed_units_are_estimated_but_not_tested():
    value = np.array([1.0, 2.0, 3.0, 2.0, 2.0, 2.0, 2.0, 2.0])
    feature = np.array([0, 0, 0, 1, 1, 1, 1, 1])
    unit = np.array([0, 1, 2, 0, 1, 2, 3, 4])
    found = screened(Differences(feature, unit, value, np.array([3, 5, 0]), 30), 0.05)
    np.testing.assert_allclose(found.estimate, [0.2, 1 / 3, 0.0])
    assert np.isnan(found.p_value).all(), "too few; no spread; none at all"


def test_a_sample_of_the_exposed_units_estimates_the_effect_of_all():
    """Feature 0 fires on 400 of 1,000 units; 40 of them are measured."""
    draw = np.random.default_rng(1)
    inside, errors = 0, []
    for _ in range(1500):
        fires = draw.random(1000) < 0.4
        values = np.where(fires, 1 + draw.exponential(1, 1000), 0.0)
        unit = draw.choice(np.flatnonzero(fires), 40, replace=False)
        one = Differences(np.zeros(40, int), unit, values[unit], np.array([fires.sum()]), 1000)
        found = screened(one, 0.05)
        inside += found.conf_low[0] <= 0.8 <= found.conf_high[0]
        errors.append(found.estimate[0] - 0.8)
    assert abs(np.mean(errors)) < 0.01
    assert inside / 1500 >= 0.93


@pytest.mark.parametrize(
    ("world", "method"), [("normal", "bh"), ("heavy", "bh"), ("skewed", "bh"), ("mixed", "bh")]
)
def test_the_false_discovery_rate_of_screens_is_below_its_level(world, method):
    """500 screens of 300 features, 30 of them with an effect; most are rare."""
    draw = np.random.default_rng(2)
    effects = np.zeros(300)
    effects[:30] = np.repeat([1.0, -1.0], 15)
    rates, power = [], []
    for _ in range(500):
        differences, _ = planted(draw, 300, 100, effects, world=world)
        reject = adjusted(method, screened(differences, 0.05).p_value, 0, 0.05) <= 0.05
        rates.append(reject[30:].sum() / max(reject.sum(), 1))
        power.append(reject[:30].mean())
    assert np.mean(rates) <= 0.05
    assert np.mean(power) > 0.1, "a screen that finds nothing errs never"


def test_features_left_out_by_a_shortlist_count_in_the_family():
    p_values = np.array([1e-5, 0.001, 0.03, np.nan])
    whole = multipletests([1e-5, 0.001, 0.03, *np.ones(97)], method="fdr_bh")[1][:3]
    np.testing.assert_allclose(adjusted("bh", p_values, 97, 0.05)[:3], whole)
    assert np.isnan(adjusted("bh", p_values, 97, 0.05)[3])


def test_choosing_by_the_outcome_does_not_raise_the_error_rate():
    """No feature does anything; the 20 of 300 that seem to most are tested."""
    draw = np.random.default_rng(3)
    false = 0
    for _ in range(300):
        differences, _ = planted(draw, 300, 80, np.zeros(300), density=(0.2, 0.9), world="heavy")
        found = screened(differences, 0.05)
        best = np.argsort(-np.abs(found.estimate / found.std_error))[:20]
        false += bool((adjusted("bh", found.p_value[best], 280, 0.05) <= 0.05).any())
    assert false / 300 <= 0.05 + 3.3 * np.sqrt(0.05 * 0.95 / 300)


def test_sign_flips_hold_the_familywise_error_rate_and_find_what_is_planted(monkeypatch):
    monkeypatch.setattr(adjustment, "FLIPS", 199)
    draw = np.random.default_rng(4)
    false, found = 0, []
    for screen in range(150):
        effects = np.where(np.arange(60) < 5, 1.2, 0.0)
        differences, _ = planted(draw, 60, 80, effects, density=(0.2, 0.9), world="heavy")
        p_values = screened(differences, 0.05).p_value
        rng = generator(screen, "flips")
        reject = sign_flips(differences, ~np.isnan(p_values), rng) <= 0.05
        false += bool(reject[5:].any())
        found.append(reject[:5].mean())
    assert false / 150 <= 0.05 + 3.3 * np.sqrt(0.05 * 0.95 / 150)
    assert np.mean(found) > 0.8


def test_sign_flips_are_step_down_max_t(monkeypatch):
    """Against flips written out: every unit's differences change sign together."""
    monkeypatch.setattr(adjustment, "FLIPS", 99)
    draw = np.random.default_rng(5)
    differences, values = planted(draw, 12, 30, np.linspace(0, 1, 12), density=(0.5, 0.9))
    tested = np.ones(12, bool)
    got = sign_flips(differences, tested, generator(1, "x"))
    signs = generator(1, "x").integers(0, 2, (30, 99)).astype(float) * 2 - 1

    def student(table):
        chosen = [column[column != 0] for column in table.T]
        return np.array([abs(stats.ttest_1samp(c, 0).statistic) for c in chosen])

    observed = student(values)
    drawn = np.stack([student(values * signs[:, [b]]) for b in range(99)])
    wanted = np.empty(12)
    order = np.argsort(-observed)
    for rank, j in enumerate(order):
        largest = drawn[:, order[rank:]].max(axis=1)
        wanted[j] = (1 + (largest >= observed[j] * (1 - 1e-6)).sum()) / 100
    wanted[order] = np.maximum.accumulate(wanted[order])
    np.testing.assert_allclose(got, wanted, atol=1e-12)


def test_an_effect_is_held_against_features_that_fire_alike():
    draw = np.random.default_rng(6)
    alike = draw.normal(size=(400, 2))
    effect = draw.normal(size=400) * np.exp(alike[:, 0])  # what fires more does more
    effect[7] = 100.0
    share = placebo_share(effect, alike)
    assert share[7] == pytest.approx(1 / 51)
    assert np.mean(share <= 0.1) == pytest.approx(0.1, abs=0.05)
    assert np.isnan(placebo_share(effect[:60], alike[:60])).all()


def test_shrinking_takes_the_winners_curse_off():
    draw = np.random.default_rng(7)
    truth = draw.normal(0, 1, 5000)
    error = np.full(5000, 1.5)
    estimate = truth + error * draw.standard_normal(5000)
    best = np.argsort(-np.abs(estimate))[:100]
    plain = np.abs(estimate[best]).mean()
    kept = np.abs(shrunken(estimate, error)[best]).mean()
    real = (truth[best] * np.sign(estimate[best])).mean()
    assert abs(kept - real) < 0.25 * (plain - real)
    # Chosen ones are too large already: the factor is then learned from ones drawn at random.
    chosen = np.abs(estimate) > 2
    learned = shrunken(estimate[:4000], error[:4000], np.arange(4000) < 400)
    assert np.abs(shrunken(estimate[chosen], error[chosen])[0]) > np.abs(learned[chosen[:4000]][0])
    assert (shrunken(error * draw.standard_normal(5000) * 0.9, error) == 0).all()


def test_power_is_that_of_the_paired_t_test():
    # pwr::pwr.t.test(d = 8 / (16 * sqrt(.8)), n = 40, type = "paired")
    power = paired_power(np.array([8.0]), np.array([16 * np.sqrt(0.8)]), 40, 0.05)
    assert power[0] == pytest.approx(0.93152483, abs=1e-6)
    assert paired_power(np.array([50.0]), np.array([0.1]), 400, 0.05)[0] == 1.0
