"""Student's t for an estimate with a skewed distribution: Hall's (1992) limits, with caution.

Hall's transformation takes the skewness out of the t statistic. With few values their skewness is
itself underestimated, so it is multiplied by ``1 + 10 / n`` first; and because it is noisy, a limit
is never nearer to the estimate than Student's own. A test of one side cannot borrow from the other
side's caution, so there the factor is ``1 + 60 / n``, and smaller cumulants count too, because
beyond a standardised skewness of 0.7 Hall's limit comes nearer again. Both numbers were chosen by
simulation: ``python -m benchmarks.calibration`` measures what they give.

For two arms the skewness of the difference is known in two ways, and the wider limits count: from
each arm's own values (Zhou and Dinh 2005), which is noisy in a small arm; and from the shape that
both arms' residuals have together, with each arm's spread drawn half-way towards the pooled one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from scipy import stats

from causal_sae.estimation.sample import Codes, Sample, Vector, within_units

Beyond: TypeAlias = Callable[[float, int], float]

STRAIGHT = 1e-5
"""Below this standardised third cumulant the transformation is replaced by its first terms."""
SHRUNKEN, ONE_SIDED = 10.0, 60.0
"""The skewness of n values is multiplied by one plus this over n; where only one side is tested."""
FRACTIONS = (1.0, 0.5, 0.25)
"""Of a third cumulant, which count where only one side is tested."""


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
FEWEST = 20
"""Of fewer differences not even a large skewness is seen: that of ten normal ones varies by 0.7."""
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


def few_differences(sample: Sample) -> tuple[str, ...]:
    """``few_differences`` where there are too few, within units or pairs, to show a skewness."""
    pairs = _differences(sample) if len(sample) else None
    return (f"few_differences:{len(pairs)}",) if pairs is not None and len(pairs) < FEWEST else ()


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


def third_cumulant(values: Vector, shrunken: float = SHRUNKEN) -> float:
    """The estimated third cumulant of the values' mean, for few values made larger."""
    n = len(values)
    if n < 3:
        return 0.0
    return (1 + shrunken / n) * skewness(values) * float(values.std(ddof=1)) ** 3 / n**2


def cumulant_of_sum(parts: Vector, shrunken: float = SHRUNKEN) -> float:
    """The third cumulant of an estimate, from what each of n units contributes to it.

    Parameters
    ----------
    parts:
        [n] of :data:`causal_sae.estimation.contributions.OF_UNITS`: their squares add up to the
        squared standard error.
    shrunken:
        For few units it is made larger, by one plus this over n.
    """
    n = len(parts)
    return (1 + shrunken / n) * float(np.sum(parts**3)) if n >= 3 else 0.0


def cumulants_of_difference(
    treatment: Vector, reference: Vector, shrunken: float = SHRUNKEN
) -> tuple[float, float]:
    """The third cumulant of a difference between two arms: from each arm, and from their shape.

    Parameters
    ----------
    treatment, reference:
        [n], [m] what their units contribute to the estimate, signs and all.
    shrunken:
        As for :func:`cumulant_of_sum`.
    """
    own = cumulant_of_sum(treatment, shrunken) + cumulant_of_sum(reference, shrunken)
    n, m = len(treatment), len(reference)
    if min(n, m) < 2:
        return own, own
    # A unit's contribution times its arm's size is its residual; the reference's are subtracted.
    residuals = treatment * n, -reference * m
    spread = [float(np.mean(arm**2)) for arm in residuals]
    pooled = ((n - 1) * spread[0] + (m - 1) * spread[1]) / (n + m - 2)
    cubes = [(s * pooled) ** 0.75 / size**2 for s, size in zip(spread, (n, m), strict=True)]
    both = (1 + shrunken / (n + m)) * skewness(np.concatenate(residuals))
    return own, both * (cubes[0] - cubes[1])


def with_fractions(thirds: tuple[float, ...], shrunken: float) -> tuple[float, ...]:
    """The third cumulants that count: where only one side is tested, fractions of them as well.

    Parameters
    ----------
    thirds:
        The third cumulant of an estimate, in one way or more.
    shrunken:
        What they were made with.
    """
    return tuple(third * fraction for third in thirds for fraction in fractions(shrunken))


def fractions(shrunken: float) -> tuple[float, ...]:
    """Which parts of a third cumulant count, by what it was made with."""
    return FRACTIONS if shrunken == ONE_SIDED else (1.0,)


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


def widest(
    estimate: float, std_error: float, df: float, thirds: tuple[float, ...], alpha: float
) -> Limits:
    """The limits and the test that hold for each of several third cumulants."""
    found = [limits(estimate, std_error, df, third, alpha) for third in thirds]
    return Limits(
        min((one.statistic for one in found), key=abs),
        max(one.p_value for one in found),
        min(one.low for one in found),
        max(one.high for one in found),
    )


def beyond(estimate: float, std_error: float, df: float, thirds: tuple[float, ...]) -> Beyond:
    """The one-sided test of an effect that goes with :func:`widest`.

    Parameters
    ----------
    estimate, std_error, df, thirds:
        As for :func:`widest`.

    Returns
    -------
    An effect, and the side of estimates that speaks against it (-1: small ones), in; the p-value
    out.
    """

    def p_value(effect: float, side: int) -> float:
        plain = (estimate - effect) / std_error
        gammas = [third / std_error**3 for third in thirds]
        towards = [-side * t for t in (plain, *(transformed(plain, g) for g in gammas))]
        return float(stats.t.cdf(max(towards), df))

    return p_value


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
