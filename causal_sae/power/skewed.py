"""The power of a test that allows for skewness, which costs a little where there is none.

``auto`` rejects what both Student's t and Hall's transformation reject. For normal values the t
statistic and the skewness of the residuals are independent, so the power is that of a t-test with
the limits of a given skewness, averaged over the skewness that such samples have. That is nearly
normal, with the variance ``6 (n - 2) / ((n + 1) (n + 3))`` in each arm (Fisher 1930).
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from scipy import stats

from causal_sae.estimation.sample import Vector
from causal_sae.estimation.skewness import ONE_SIDED, SHRUNKEN, fractions
from causal_sae.power.exposed import NODES, tail, untransformed

Arms: TypeAlias = tuple[tuple[float, float], ...]
"""For each arm its units and its share of the estimate's variance; pairs count as one arm."""


def skewed_power(
    effect: float, std_error: float, reported: float, df: float, arms: Arms, alpha: float
) -> float:
    """The power of the two-sided test; NaN without degrees of freedom.

    Parameters
    ----------
    effect, std_error:
        Of the estimate.
    reported:
        What the test takes for the standard error.
    df:
        Its degrees of freedom.
    arms:
        One for pairs, two for independent arms.
    alpha:
        The level.
    """
    if not (df > 0 and std_error > 0):
        return np.nan
    weight, below, above = _limits(arms, df, alpha / 2, SHRUNKEN)
    wider, shift = reported / std_error, effect / std_error
    found = tail(above * wider, df, shift, 1) + tail(below * wider, df, shift, -1)
    return float(np.clip(weight @ found, 0.0, 1.0))


def skewed_power_against(
    margin: float, std_error: float, reported: float, df: float, arms: Arms, alpha: float
) -> float:
    """The power of showing that an effect of zero is below a margin, by one side's test.

    That test allows more for skewness than the two-sided one, because it cannot borrow from the
    other side's caution (:data:`causal_sae.estimation.skewness.ONE_SIDED`).

    Parameters
    ----------
    margin:
        In the unit of the estimate.
    std_error, reported, df, arms, alpha:
        As for :func:`skewed_power`.
    """
    if not (df > 0 and std_error > 0):
        return np.nan
    weight, below, _ = _limits(arms, df, alpha, ONE_SIDED)
    found = tail(below * (reported / std_error), df, -margin / std_error, -1)
    return float(np.clip(weight @ found, 0.0, 1.0))


def _limits(arms: Arms, df: float, level: float, shrunken: float) -> tuple[Vector, Vector, Vector]:
    """[cases] probabilities, and what t must be below, or above, to reject."""
    weight, gammas = _skewness(arms, shrunken)
    gammas = [gamma * part for gamma in gammas for part in fractions(shrunken)]
    reach = np.full(len(weight), float(stats.t.isf(level, df)))
    above = np.max([reach, *(untransformed(reach, gamma) for gamma in gammas)], axis=0)
    below = np.min([-reach, *(untransformed(-reach, gamma) for gamma in gammas)], axis=0)
    return weight, below, above


def _skewness(arms: Arms, shrunken: float) -> tuple[Vector, list[Vector]]:
    """[cases] probabilities, and the standardised third cumulants that the test finds there."""
    node, one = np.polynomial.hermite_e.hermegauss(NODES)
    one = one / one.sum()
    if len(arms) == 1:
        n, _ = arms[0]
        return one, [(1 + shrunken / n) / np.sqrt(n) * _noise(n) * node]
    (n, of_n), (m, of_m) = arms
    first, second = (grid.ravel() for grid in np.meshgrid(_noise(n) * node, _noise(m) * node))
    own = (1 + shrunken / n) * first * of_n**1.5 / np.sqrt(n)
    own = own + (1 + shrunken / m) * second * of_m**1.5 / np.sqrt(m)
    # From the shape that both arms have together: of estimates of variance 1.
    spread = of_n * n, of_m * m
    pooled = ((n - 1) * spread[0] + (m - 1) * spread[1]) / max(n + m - 2, 1.0)
    cubes = [(s * pooled) ** 0.75 / k**2 for s, k in zip(spread, (n, m), strict=True)]
    both = (1 + shrunken / (n + m)) * (n * first - m * second) / (n + m)
    return np.outer(one, one).ravel(), [own, both * (cubes[0] - cubes[1])]


def _noise(n: float) -> float:
    return float(np.sqrt(6 * max(n - 2, 0.0) / ((n + 1) * (n + 3))))
