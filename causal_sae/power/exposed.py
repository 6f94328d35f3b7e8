"""The power among exposed units, by the test that is made there: Student's, with Hall's limits.

``sparse`` rejects only what Student's t and Hall's transformation both reject. For normal values
the t statistic and the sample's skewness are independent, so the power is that of a t-test with
the limits of a given skewness, averaged over the skewness that such samples have. That is nearly
normal, with the exact variance ``6 (m - 2) / ((m + 1) (m + 3))`` (Fisher 1930).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import stats

from causal_sae.estimation.skewness import ONE_SIDED, SHRUNKEN, STRAIGHT, fractions

if TYPE_CHECKING:
    from causal_sae.estimation.sample import Matrix, Vector

NODES = 9
"""Of the Gauss-Hermite quadrature over the skewness."""


def exposed_power(effect: Vector, std_error: Vector, m: Vector, alpha: float) -> Vector:
    """The power with m exposed units; 0 where there are too few to test.

    Parameters
    ----------
    effect, std_error:
        [cases] of the mean difference among exposed units.
    m:
        [cases] how many there are.
    alpha:
        The level.
    """
    weight, below, above = _limits(m, alpha / 2, SHRUNKEN)
    df, shift = np.maximum(m, 2.0) - 1, effect / std_error
    power = weight @ (tail(above, df, shift, 1) + tail(below, df, shift, -1))
    return np.where(m >= 2, np.clip(power, 0.0, 1.0), 0.0)


def exposed_power_against(margin: Vector, std_error: Vector, m: Vector, alpha: float) -> Vector:
    """The power of showing that an effect of zero is below a margin, by one side's test.

    Parameters
    ----------
    margin:
        [cases] on the scale of the mean difference among exposed units.
    std_error, m, alpha:
        As for :func:`exposed_power`.
    """
    weight, below, _ = _limits(m, alpha, ONE_SIDED)
    df = np.maximum(m, 2.0) - 1
    power = weight @ tail(below, df, -margin / std_error, -1)
    return np.where(m >= 2, np.clip(power, 0.0, 1.0), 0.0)


def _limits(m: Vector, level: float, shrunken: float) -> tuple[Vector, Matrix, Matrix]:
    """[nodes] weights, and [nodes, cases] what t must be below, or above, to reject."""
    m = np.maximum(m, 2.0)
    node, weight = np.polynomial.hermite_e.hermegauss(NODES)
    spread = np.sqrt(6 * np.maximum(m - 2, 0) / ((m + 1) * (m + 3)))
    gamma = (1 + shrunken / m) * spread / np.sqrt(m) * node[:, None]
    reach = np.asarray(stats.t.isf(level, m - 1))
    gammas = [gamma * part for part in fractions(shrunken)]
    above = np.max([reach + 0 * gamma, *(untransformed(reach, g) for g in gammas)], axis=0)
    below = np.min([-reach + 0 * gamma, *(untransformed(-reach, g) for g in gammas)], axis=0)
    return weight / weight.sum(), below, above


def tail(limit: Vector, df: Vector | float, shift: Vector | float, side: int) -> Vector:
    """The probability that a noncentral t lies beyond a limit, above (1) or below (-1) it."""
    found = (stats.nct.sf if side > 0 else stats.nct.cdf)(limit, df, shift)
    # Far out scipy's noncentral t is NaN, where the probability is 0 or 1 to the last digit.
    result: Vector = np.where(np.isnan(found), side * (shift - limit) > 0, found)
    return result


def untransformed(quantile: Vector, gamma: Vector) -> Vector:
    """:func:`causal_sae.estimation.skewness.untransformed` of arrays."""
    straight = np.abs(gamma) < STRAIGHT
    safe = np.where(straight, 1.0, gamma)
    curved = 3 / safe * (np.cbrt(1 + safe * (quantile - safe / 6)) - 1)
    result: Vector = np.where(straight, quantile - gamma / 6 - gamma * quantile**2 / 3, curved)
    return result
