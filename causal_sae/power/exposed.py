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

from causal_sae.estimation.skewness import SHRUNKEN, STRAIGHT

if TYPE_CHECKING:
    from causal_sae.estimation.sample import Vector

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
    possible = m >= 2
    m = np.where(possible, m, 2.0)
    node, weight = np.polynomial.hermite_e.hermegauss(NODES)
    spread = np.sqrt(6 * np.maximum(m - 2, 0) / ((m + 1) * (m + 3)))
    gamma = (1 + SHRUNKEN / m) * spread / np.sqrt(m) * node[:, None]
    df, shift = m - 1, effect / std_error
    reach = np.asarray(stats.t.isf(alpha / 2, df))
    above = np.maximum(reach, untransformed(reach, gamma))
    below = np.minimum(-reach, untransformed(-reach, gamma))
    right = stats.nct.sf(above, df, shift)
    left = stats.nct.cdf(below, df, shift)
    # Far out scipy's noncentral t is NaN, where the probability is 0 or 1 to the last digit.
    right = np.where(np.isnan(right), shift > above, right)
    left = np.where(np.isnan(left), shift < below, left)
    power = (weight / weight.sum()) @ (right + left)
    return np.where(possible, np.clip(power, 0.0, 1.0), 0.0)


def untransformed(quantile: Vector, gamma: Vector) -> Vector:
    """:func:`causal_sae.estimation.skewness.untransformed` of arrays."""
    straight = np.abs(gamma) < STRAIGHT
    safe = np.where(straight, 1.0, gamma)
    curved = 3 / safe * (np.cbrt(1 + safe * (quantile - safe / 6)) - 1)
    result: Vector = np.where(straight, quantile - gamma / 6 - gamma * quantile**2 / 3, curved)
    return result
