"""Student's t for the mean of a skewed quantity: Hall's (1992) transformation, used with caution.

Hall's transformation takes the skewness out of the t statistic. With few values their skewness is
itself underestimated, so it is multiplied by ``1 + 6 / n`` first; and because it is noisy, a limit
is never nearer to the estimate than Student's own. The factor 6 was chosen by simulation: see
``tests/estimation/test_sparse.py``, which prints the coverage that it gives.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from causal_sae.estimation.sample import Vector

STRAIGHT = 1e-5
"""Below this standardised third cumulant the transformation is replaced by its first terms."""
SHRUNKEN = 6.0
"""The skewness of n values is multiplied by one plus this over n."""


@dataclass(frozen=True)
class Limits:
    """A test of zero and an interval, which leaves out zero exactly when p is below alpha."""

    statistic: float
    p_value: float
    low: float
    high: float


def skewness(values: Vector) -> float:
    """The moment coefficient of skewness; 0 for fewer than three values and for constants."""
    centred = values - values.mean()
    spread = float(np.mean(centred**2))
    return float(np.mean(centred**3)) / spread**1.5 if len(values) > 2 and spread > 0 else 0.0


def third_cumulant(values: Vector) -> float:
    """The estimated third cumulant of the values' mean, for few values made larger."""
    n = len(values)
    if n < 3:
        return 0.0
    return (1 + SHRUNKEN / n) * skewness(values) * float(values.std(ddof=1)) ** 3 / n**2


def limits(estimate: float, std_error: float, df: float, third: float, alpha: float) -> Limits:
    """Test and interval of an estimate whose distribution may be skewed.

    Parameters
    ----------
    estimate, std_error:
        In the outcome's units; the standard error is above zero.
    df:
        Degrees of freedom of the standard error.
    third:
        The third cumulant of the estimate: :func:`third_cumulant` for a mean. Cumulants of
        independent terms add up.
    alpha:
        The interval has level ``1 - alpha``.
    """
    gamma = third / std_error**3
    plain = estimate / std_error
    statistic = min(plain, transformed(plain, gamma), key=abs)
    reach = float(stats.t.ppf(1 - alpha / 2, df))
    low = estimate - std_error * max(reach, untransformed(reach, gamma))
    high = estimate - std_error * min(-reach, untransformed(-reach, gamma))
    return Limits(statistic, float(2 * stats.t.sf(abs(statistic), df)), low, high)


def transformed(t: float, gamma: float) -> float:
    """Hall's monotone cubic ``t + gamma t^2 / 3 + gamma^2 t^3 / 27 + gamma / 6``.

    Parameters
    ----------
    t:
        The t statistic of an estimate.
    gamma:
        Its standardised third cumulant: for a mean of n values their skewness over root n.
    """
    return float(t + gamma * t**2 / 3 + gamma**2 * t**3 / 27 + gamma / 6)


def untransformed(quantile: float, gamma: float) -> float:
    """The t whose transformation is the quantile: the inverse of :func:`transformed`."""
    if abs(gamma) < STRAIGHT:
        return float(quantile - gamma / 6 - gamma * quantile**2 / 3)
    return float(3 / gamma * (np.cbrt(1 + gamma * (quantile - gamma / 6)) - 1))
