"""Trend tests that ask for no more than order: Jonckheere and Terpstra's, and Page's."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from causal_sae.estimation.sample import Codes, Matrix, Vector

EXACT_UNITS, EXACT_ARMS = 12, 6
"""Up to these many units and arms, without ties, Page's p-value is exact."""


@dataclass(frozen=True)
class Trend:
    """A two-sided test of no trend against one that goes steadily up or steadily down."""

    statistic: float
    """Standardised: positive where the outcome rises with the dose."""
    p_value: float


NO_TREND = Trend(np.nan, np.nan)


def jonckheere(outcome: Vector, rung: Codes, block: Codes | None = None) -> Trend:
    """Jonckheere and Terpstra's test: independent units, arms in the order of their doses.

    Parameters
    ----------
    outcome:
        [n] the outcomes.
    rung:
        [n] the place of each unit's arm in the order of doses.
    block:
        [n] the block of each unit: pairs are compared within blocks only, and the blocks' counts
        added up.

    Notes
    -----
    The normal approximation with the variance under ties of Hollander and Wolfe (1999, 6.19),
    which is that of Kendall's S: ``cor.test(method = "kendall", exact = FALSE)`` in R gives the
    same z.
    """
    blocks = np.zeros(len(outcome), np.int64) if block is None else block
    excess, variance = 0.0, 0.0
    for one in np.unique(blocks):
        score, spread = _kendall(outcome[blocks == one], rung[blocks == one])
        excess, variance = excess + score, variance + spread
    return _normal(excess, variance)


def _kendall(outcome: Vector, rung: Codes) -> tuple[float, float]:
    """Pairs that rise minus pairs that fall, and the variance of that if nothing does."""
    score = 0.0
    for place in np.unique(rung):
        lower, upper = np.sort(outcome[rung < place]), outcome[rung == place]
        below = np.searchsorted(lower, upper, "left")
        above = len(lower) - np.searchsorted(lower, upper, "right")
        score += float(np.sum(below - above))
    n = float(len(outcome))
    if n < 3:
        return score, float(n == 2 and len(np.unique(outcome)) == 2 == len(np.unique(rung)))
    arms, ties = _counts(rung), _counts(outcome)
    first = (_linear(np.array([n])) - _linear(arms) - _linear(ties)) / 18
    second = _triples(arms) * _triples(ties) / (9 * n * (n - 1) * (n - 2))
    return score, first + second + _pairs(arms) * _pairs(ties) / (2 * n * (n - 1))


def _counts(values: Vector | Codes) -> Vector:
    counts: Vector = np.unique(values, return_counts=True)[1].astype(np.float64)
    return counts


def _linear(t: Vector) -> float:
    return float(np.sum(t * (t - 1) * (2 * t + 5)))


def _pairs(t: Vector) -> float:
    return float(np.sum(t * (t - 1)))


def _triples(t: Vector) -> float:
    return float(np.sum(t * (t - 1) * (t - 2)))


def page(wide: Matrix) -> Trend:
    """Page's test: every unit in every arm, arms in the order of their doses.

    Parameters
    ----------
    wide:
        [units, k] the outcomes.

    Notes
    -----
    With few units and no ties the p-value is exact (:func:`scipy.stats.page_trend_test`, twice the
    smaller of both directions). Otherwise it is normal, with the variance given each unit's ties:
    ``coin::friedman_test`` with ordered groups. scipy's own approximation takes no account of
    ties, of which a feature that is silent on a prompt makes as many as there are arms.
    """
    ranks = stats.rankdata(wide, axis=1)
    n, k = wide.shape
    scores = np.arange(1, k + 1) - (k + 1) / 2
    excess = float(np.sum(ranks @ scores))
    within = np.sum((ranks - (k + 1) / 2) ** 2, axis=1)
    normal = _normal(excess, float(np.sum(within) * np.sum(scores**2) / (k - 1)))
    untied = np.allclose(within, k * (k**2 - 1) / 12)
    if not untied or n > EXACT_UNITS or k > EXACT_ARMS:
        return normal
    tails = [
        float(stats.page_trend_test(r, ranked=True, method="exact").pvalue)
        for r in (ranks, k + 1 - ranks)
    ]
    return Trend(normal.statistic, min(1.0, 2 * min(tails)))


def _normal(excess: float, variance: float) -> Trend:
    if not variance > 0:
        return NO_TREND
    statistic = excess / float(np.sqrt(variance))
    return Trend(statistic, float(2 * stats.norm.sf(abs(statistic))))
