"""Hall's (1992) transformation: Student's t for the mean of a skewed quantity."""

from __future__ import annotations

import numpy as np

from causal_sae.estimation.sample import Vector

STRAIGHT = 1e-5
"""Below this skewness over root n the transformation is replaced by its first terms."""


def skewness(values: Vector) -> float:
    """The moment coefficient of skewness; 0 for fewer than three values and for constants."""
    centred = values - values.mean()
    spread = float(np.mean(centred**2))
    return float(np.mean(centred**3)) / spread**1.5 if len(values) > 2 and spread > 0 else 0.0


def transformed(t: float, skew: float, n: int) -> float:
    """Hall's monotone cubic ``t + a t^2 + a^2 t^3 / 3 + skew / (6 root n)``, a = skew / (3 root n).

    Parameters
    ----------
    t:
        The t statistic of a mean.
    skew:
        The skewness of the values.
    n:
        How many values there are.
    """
    a = skew / (3 * np.sqrt(n))
    return float(t + a * t**2 + a**2 * t**3 / 3 + skew / (6 * np.sqrt(n)))


def untransformed(quantile: float, skew: float, n: int) -> float:
    """The t whose transformation is the quantile: the inverse of :func:`transformed`."""
    a = skew / np.sqrt(n)
    if abs(a) < STRAIGHT:
        return float(quantile - a / 6 - a * quantile**2 / 3)
    return float(3 / a * (np.cbrt(1 + a * (quantile - a / 6)) - 1))
