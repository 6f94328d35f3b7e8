"""Each measure of a feature's quality, on features planted to have it or to lack it."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse, stats

from causal_sae.estimation.effect_sizes.dominance import cliff_delta
from causal_sae.saes.features.auroc import auroc
from causal_sae.saes.features.quality import (
    best_match,
    bimodality,
    cohesion,
    concept_scores,
    kurtosis,
    one_to_one,
    sharpness,
)
from causal_sae.saes.features.quality.absorption import absorption, typical


def sums(mass):
    """[contexts, F] -> the two sums that sharpness is made from."""
    logs = np.where(mass > 0, mass * np.log(np.where(mass > 0, mass, 1)), 0)
    return mass.sum(axis=0), logs.sum(axis=0), len(mass)


def test_sharpness_is_zero_when_spread_evenly_and_one_in_a_single_context():
    mass = np.zeros((50, 4))
    mass[:, 0], mass[7, 1], mass[:5, 2] = 3.0, 2.0, 1.0
    found = sharpness(*sums(mass))
    np.testing.assert_allclose(found[:3], [0, 1, 1 - np.log(5) / np.log(50)], atol=1e-12)
    assert np.isnan(found[3])
    assert np.isnan(sharpness(*sums(mass[:1]))).all()


def test_sharpness_does_not_depend_on_the_units_of_activation():
    mass = np.random.default_rng(0).exponential(size=(40, 3))
    np.testing.assert_allclose(sharpness(*sums(mass)), sharpness(*sums(100 * mass)), atol=1e-12)


def powers(values):
    scaled = values / values.mean()
    return np.array([float(len(values))]), np.array([[(scaled**p).sum()] for p in (1, 2, 3, 4)])


def test_kurtosis_is_scipys():
    values = np.random.default_rng(1).gamma(2.0, size=500)
    assert kurtosis(*powers(values))[0] == pytest.approx(stats.kurtosis(values), rel=1e-9)


def test_bimodality_tells_two_modes_from_one():
    draw = np.random.default_rng(2)
    two = np.concatenate([draw.normal(1, 0.1, 500), draw.normal(5, 0.1, 500)])
    one = draw.normal(5, 1, 1000)
    assert bimodality(*powers(two))[0] > 0.9
    assert bimodality(*powers(one))[0] == pytest.approx(1 / 3, abs=0.05)
    assert bimodality(*powers(draw.uniform(size=20_000)))[0] == pytest.approx(5 / 9, abs=0.01)
    g1, g2 = stats.skew(two, bias=False), stats.kurtosis(two, bias=False)
    n = len(two)
    wanted = (g1**2 + 1) / (g2 + 3 * (n - 1) ** 2 / ((n - 2) * (n - 3)))
    assert bimodality(*powers(two))[0] == pytest.approx(wanted, rel=1e-9)


def test_equal_or_few_values_have_no_shape():
    for values in (np.full(10, 0.3), np.array([1.0, 2.0])):
        assert np.isnan(kurtosis(*powers(values)))
        assert np.isnan(bimodality(*powers(values)))


def test_cohesion_is_the_mean_pairwise_cosine_above_that_of_random_contexts():
    draw = np.random.default_rng(3)
    random = draw.normal(size=(60, 16))
    topic = draw.normal(size=16)
    planted = topic + 0.1 * draw.normal(size=(8, 16))
    loose = draw.normal(size=(8, 16))
    contexts = np.concatenate([planted, loose, planted[:1]])
    owner = np.repeat([0, 1, 2], [8, 8, 1])
    found = cohesion(contexts, owner, 4, random)

    def pairs(vectors):
        unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        return (unit @ unit.T)[np.triu_indices(len(unit), 1)].mean()

    np.testing.assert_allclose(found[0], pairs(planted) - pairs(random), atol=1e-12)
    np.testing.assert_allclose(found[1], pairs(loose) - pairs(random), atol=1e-12)
    assert found[0] > 0.9
    assert abs(found[1]) < 0.2
    assert np.isnan(found[2:]).all()


def test_auroc_is_cliffs_delta_on_another_scale_and_its_interval_no_shorter():
    draw = np.random.default_rng(4)
    scores = np.round(draw.normal(size=(35, 6)), 1)
    positive = np.arange(35) < 14
    scores[positive, 1] += 1.0
    scores[positive, 2] += 50.0  # all above
    scores[positive, 3] -= 50.0  # all below
    scores[:, 4] *= draw.random(35) < 0.2  # mostly exact zeros
    scores[:, 5] = 0.0
    found = auroc(scores, positive, 0.05)
    for j in range(6):
        wanted = cliff_delta(scores[positive, j], scores[~positive, j], 0.05)
        values = (found.value[j], found.low[j], found.high[j])
        expected = [(1 + v) / 2 for v in (wanted.value, wanted.low, wanted.high)]
        assert values[0] == pytest.approx(expected[0], abs=1e-12)
        assert values[1] <= expected[1] + 1e-12
        assert values[2] >= expected[2] - 1e-12
        if j in (2, 3):  # all above, or all below: the very same limits
            np.testing.assert_allclose(values, expected, atol=1e-12)
        if j < 5:
            test = stats.mannwhitneyu(
                scores[positive, j], scores[~positive, j], use_continuity=False, method="asymptotic"
            )
            assert found.p_value[j] == pytest.approx(test.pvalue, rel=1e-9)
    assert found.p_value[5] == 1.0


@pytest.mark.parametrize(("inside", "rate", "more"), [(20, 0.15, 0.0), (60, 0.05, 0.3)])
def test_intervals_of_sparse_features_cover(inside, rate, more):
    """Most documents are exactly zero; within a kind, activations have one distribution."""
    draw = np.random.default_rng(5)
    positive = np.arange(160) < inside
    share = np.where(positive, rate + more, rate)[:, None]
    scores = draw.exponential(size=(160, 2000)) * (draw.random((160, 2000)) < share)
    found = auroc(scores, positive, 0.05)
    truth = 0.5 + 0.5 * more
    covered = float(((found.low <= truth) & (found.high >= truth)).mean())
    assert covered >= 0.935
    if not more:
        # 0.05 and 3.3 standard errors
        assert float((found.p_value <= 0.05).mean()) <= 0.066


def test_a_planted_detector_has_its_sensitivity_and_specificity():
    positive = np.repeat([True, False], [20, 30])
    activation = np.zeros((50, 3))
    activation[:18, 0], activation[20:23, 0] = 2.0, 1.0
    activation[:, 1] = 1.0
    found = concept_scores(activation, positive, 0.05)
    np.testing.assert_allclose(found.sensitivity, [0.9, 1.0, 0.0])
    np.testing.assert_allclose(found.specificity, [0.9, 0.0, 1.0])
    # R: prop.test(18, 20, correct = FALSE)
    assert found.sensitivity_low[0] == pytest.approx(0.6989664, abs=1e-6)
    assert found.sensitivity_high[0] == pytest.approx(0.9721335, abs=1e-6)
    assert found.ranking.value[0] > 0.9
    assert found.ranking.value[1] == 0.5


def test_a_planted_absorber_is_found():
    """Feature 0 fires on token 1, but where token 2 precedes it feature 1 does in its place."""
    draw = np.random.default_rng(6)
    n = 4000
    tokens = draw.integers(0, 10, n)
    special = draw.random(n) < 0.3
    fires = np.zeros((n, 4))
    fires[:, 0] = (tokens == 1) & ~special
    fires[:, 1] = (tokens == 1) & special
    fires[:, 2] = draw.random(n) < 0.3  # fires anywhere
    fires[:, 3] = (tokens == 1) & special  # in the same places, but writes elsewhere
    cosine = np.full((4, 4), 0.3)
    cosine[0, 3] = cosine[3, 0] = 0.0
    on_token = sparse.csr_matrix(
        np.stack([[fires[tokens == t, j].sum() for t in range(10)] for j in range(4)])
    )
    chosen = typical(on_token, np.bincount(tokens, minlength=10))
    assert chosen.toarray()[0].tolist() == [0, 1, *[0] * 8]
    expected = (chosen.toarray()[:, tokens] > 0).T
    lost, found = expected * (1 - fires), expected * fires
    hint, by = absorption(
        lost.T @ fires, lost.sum(axis=0), found.T @ fires, found.sum(axis=0), cosine
    )
    assert by[0] == 1
    assert hint[0] == pytest.approx(1.0)
    assert np.isnan(hint[2])
    assert by[2] == -1


def test_features_found_again_in_another_order_are_stable():
    draw = np.random.default_rng(7)
    decoder = draw.normal(size=(30, 64))
    order = draw.permutation(30)
    other = 3.0 * decoder[order]
    other[order == 4] = draw.normal(size=64)  # feature 4 is not found again
    value, place = best_match(decoder, other)
    again = np.arange(30) != 4
    np.testing.assert_allclose(value[again], 1.0)
    assert (order[place[again]] == np.arange(30)[again]).all()
    assert value[4] < 0.6
    value, place = one_to_one(decoder, other)
    assert len(set(place)) == 30
    assert (order[place[again]] == np.arange(30)[again]).all()
    value, place = one_to_one(decoder, other[:20])
    assert (place == -1).sum() == 10
    assert np.isnan(value[place == -1]).all()
