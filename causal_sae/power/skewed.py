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
from causal_sae.estimation.skewness import SHRUNKEN
from causal_sae.power.exposed import NODES, untransformed

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
    weight, gammas = _skewness(arms)
    reach = np.full(len(weight), float(stats.t.isf(alpha / 2, df)))
    above = np.max([reach, *(untransformed(reach, gamma) for gamma in gammas)], axis=0)
    below = np.min([-reach, *(untransformed(-reach, gamma) for gamma in gammas)], axis=0)
    wider, shift = reported / std_error, effect / std_error
    right = stats.nct.sf(above * wider, df, shift)
    left = stats.nct.cdf(below * wider, df, shift)
    # Far out scipy's noncentral t is NaN, where the probability is 0 or 1 to the last digit.
    right = np.where(np.isnan(right), shift > above * wider, right)
    left = np.where(np.isnan(left), shift < below * wider, left)
    return float(np.clip(weight @ (right + left), 0.0, 1.0))


def _skewness(arms: Arms) -> tuple[Vector, list[Vector]]:
    """[cases] probabilities, and the standardised third cumulants that the test finds there."""
    node, one = np.polynomial.hermite_e.hermegauss(NODES)
    one = one / one.sum()
    if len(arms) == 1:
        n, _ = arms[0]
        return one, [_factor(n) / np.sqrt(n) * _noise(n) * node]
    (n, of_n), (m, of_m) = arms
    first, second = (grid.ravel() for grid in np.meshgrid(_noise(n) * node, _noise(m) * node))
    own = _factor(n) * first * of_n**1.5 / np.sqrt(n) + _factor(m) * second * of_m**1.5 / np.sqrt(m)
    # From the shape that both arms have together: of estimates of variance 1.
    spread = of_n * n, of_m * m
    pooled = ((n - 1) * spread[0] + (m - 1) * spread[1]) / max(n + m - 2, 1.0)
    cubes = [(s * pooled) ** 0.75 / k**2 for s, k in zip(spread, (n, m), strict=True)]
    shape = _factor(n + m) * (n * first - m * second) / (n + m) * (cubes[0] - cubes[1])
    return np.outer(one, one).ravel(), [own, shape]


def _factor(n: float) -> float:
    return 1 + SHRUNKEN / n


def _noise(n: float) -> float:
    return float(np.sqrt(6 * max(n - 2, 0.0) / ((n + 1) * (n + 3))))
