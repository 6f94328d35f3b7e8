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

from causal_sae.estimation.sample import Codes, Sample, Vector, within_units

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


ASYMMETRIC = 0.2
"""From this standardised skewness of an estimate on Student's t is warned of: there a 95% interval
leaves out 5.9% (the mean of 100 exponential values, 40,000 samples), at twice as much 8%."""
SURE = 2.0
"""A sample's skewness is taken for real beyond this many of its standard errors."""


def skewness_flags(sample: Sample) -> tuple[str, ...]:
    """``skewed`` where the estimate's own distribution is too skewed for Student's t.

    A mean of n values with skewness g has the skewness g / root n, and the error rate of a t-test
    departs from its level by terms of that order (Hall 1992). Two arms of one size and one skewness
    cancel; arms of unequal size or spread do not.

    Parameters
    ----------
    sample:
        The units analysed.
    """
    if len(sample) < 4:
        return ()
    pairs = _differences(sample)
    if pairs is not None:
        measures = [tuple(x / np.sqrt(len(pairs)) for x in (skewness(pairs), _noise(len(pairs))))]
    else:
        own, noise = _of_two(*sample.arms)  # third moments of two samples: half as trustworthy
        measures = [(own if abs(own) > 2 * ASYMMETRIC else 0.0, noise)]
        measures.append(_of_one_shape(*sample.arms))
    sure = [found for found, noise in measures if abs(found) > max(ASYMMETRIC, SURE * noise)]
    return (f"skewed:{max(sure, key=abs):.2f}",) if sure else ()


def _noise(n: int) -> float:
    """The standard error of the skewness of n normal values (Fisher 1930)."""
    return float(np.sqrt(6 * (n - 2) / ((n + 1) * (n + 3))))


def _differences(sample: Sample) -> Vector | None:
    """[pairs] differences within units or matched pairs; None where there are none."""
    if within_units(sample):
        return sample.outcome[sample.treated] - sample.outcome[~sample.treated]
    block: Codes | None = sample.block
    if block is None or np.any(np.bincount(np.unique(block, return_inverse=True)[1]) != 2):
        return None
    _, codes = np.unique(block, return_inverse=True)
    signed = np.where(sample.treated, sample.outcome, -sample.outcome)
    return np.bincount(codes, weights=signed).astype(np.float64)


def _of_two(treatment: Vector, reference: Vector) -> tuple[float, float]:
    """The standardised skewness of a difference of two means, and its noise under normality."""
    if min(len(treatment), len(reference)) < 3:
        return 0.0, 1.0
    spread = [float(arm.var()) for arm in (treatment, reference)]
    sizes = [len(treatment), len(reference)]
    variance = spread[0] / sizes[0] + spread[1] / sizes[1]
    if not variance > 0:
        return 0.0, 1.0
    parts = [s**1.5 / n**2 / variance**1.5 for s, n in zip(spread, sizes, strict=True)]
    found = parts[0] * skewness(treatment) - parts[1] * skewness(reference)
    noise = np.sqrt(sum(part**2 * 6 / n for part, n in zip(parts, sizes, strict=True)))
    return found, float(noise)


def _of_one_shape(treatment: Vector, reference: Vector) -> tuple[float, float]:
    """The same where both arms have one shape and spread, which is then known better."""
    n, m = len(treatment), len(reference)
    if min(n, m) < 3:
        return 0.0, 1.0
    own = skewness(np.concatenate([treatment - treatment.mean(), reference - reference.mean()]))
    weight = (1 / n**2 - 1 / m**2) / (1 / n + 1 / m) ** 1.5
    return own * weight, abs(weight) * float(np.sqrt(6 / (n + m)))


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
