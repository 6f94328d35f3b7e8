"""The effect of ablating each of many features, with intervals that hold for rare ones.

The method is that of :mod:`causal_sae.estimation.estimators.sparse`, for all features at once: the
share of exposed units times the mean effect among them, Wilson's and Hall's limits combined by the
recovery of variances. Here the mean may rest on a sample of a feature's exposed units while the
share is known from all of them: exposed units are drawn at random and every one of a feature has
the same probability, so their mean estimates the mean of all (simple random sampling; the units not
exposed are exactly zero and need not be run).

A screen asks for p-values of a thousandth and less, where skewed and heavy-tailed differences make
tests of a mean reject several times too often. Two things are therefore stricter than in a trial of
one feature: the degrees of freedom are those that the kurtosis leaves to the variance
(Satterthwaite: ``2 m / (kurtosis - 1)``), and no p-value is smaller than that of flipping signs, in
its normal approximation. ``docs/explanation/screens.md`` gives the error rates that come of it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from causal_sae.estimation.skewness import SHRUNKEN, STRAIGHT

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

PART = 0.4
"""How much of the skewness that all features have together is held against each; chosen by
simulation (``python -m benchmarks.screen_errors``)."""
FEWEST = 10
"""A feature with fewer exposed units measured has an estimate but no test: by flipping signs it
could not reach a p-value of a thousandth, and would only burden the family."""


@dataclass(frozen=True, eq=False)
class Differences:
    """What ablation changed, pair by pair. ``F`` features, ``n`` units, ``m`` pairs measured."""

    feature: Ints
    """``[m]``"""
    unit: Ints
    """``[m]`` from 0 to n - 1; no pair occurs twice."""
    value: Floats
    """``[m]`` the outcome after ablation minus the untouched one, where the feature fires."""
    exposed: Ints
    """``[F]`` on how many of the n units each feature fires, measured or not."""
    units: int
    """n"""


@dataclass(frozen=True, eq=False)
class Screened:
    """Each ``[F]``; NaN where there is nothing to tell."""

    measured: Ints
    """On how many exposed units the effect was measured."""
    estimate: Floats
    """The mean effect over all units."""
    among: Floats
    """The mean effect over exposed units."""
    std_error: Floats
    conf_low: Floats
    conf_high: Floats
    statistic: Floats
    p_value: Floats


def screened(differences: Differences, alpha: float) -> Screened:
    """The effects of all features.

    Parameters
    ----------
    differences:
        What was measured.
    alpha:
        Intervals have level ``1 - alpha``, one by one.
    """
    exposed = differences.exposed.astype(np.float64)
    among = means(differences, alpha)
    m, mean, error, p_value = among.measured, among.mean, among.std_error, among.p_value
    share, tested = exposed / differences.units, np.isfinite(p_value)
    rate = wilson(share, differences.units, alpha)
    low, high = combined(share, rate, mean, (among.low, among.high))
    # An interval leaves out zero exactly when p is below alpha.
    open_to_zero = p_value > alpha
    low, high = (
        np.where(open_to_zero, np.minimum(low, 0), low),
        np.where(open_to_zero, np.maximum(high, 0), high),
    )
    variance = (share * error) ** 2 + mean**2 * share * (1 - share) / differences.units
    silent = exposed == 0
    estimate = np.where(silent, 0.0, share * mean)
    return Screened(
        measured=m,
        estimate=estimate,
        among=mean,
        std_error=np.sqrt(variance),
        conf_low=np.where(tested, low, np.nan),
        conf_high=np.where(tested, high, np.nan),
        statistic=among.statistic,
        p_value=p_value,
    )


@dataclass(frozen=True, eq=False)
class Means:
    """Means over the units that were measured, each ``[F]``; NaN where there is nothing to tell."""

    measured: Ints
    mean: Floats
    std_error: Floats
    low: Floats
    high: Floats
    statistic: Floats
    p_value: Floats
    """Two-sided."""


def means(differences: Differences, alpha: float) -> Means:
    """The mean difference of each feature over the units on which it was measured.

    Parameters
    ----------
    differences:
        What was measured.
    alpha:
        Intervals have level ``1 - alpha``, one by one.
    """
    m, mean, spread, third, df, root = _moments(differences)
    tested = (m >= FEWEST) & (spread > 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        error = np.where(tested, spread / np.sqrt(m), np.nan)
        effect = _limits(mean, error, df, third, alpha)
        cautious = _limits(mean, error, df, _unseen(m, mean, spread, third, tested), alpha)
        flips = 2 * stats.norm.sf(np.abs(mean) * np.sqrt(m) / root)
    tail = np.maximum(effect.p_value, cautious.p_value)
    return Means(
        m.astype(np.int64),
        mean,
        error,
        effect.low,
        effect.high,
        np.where(tested, effect.statistic, np.nan),
        np.where(tested, np.maximum(tail, flips), np.nan),
    )


def _unseen(
    m: Floats, mean: Floats, spread: Floats, third: Floats, tested: NDArray[np.bool_]
) -> Floats:
    """``[F]`` third cumulants of the means as they would be with the skewness of all features.

    The mean of a sample that happens to lack its long tail is on the other side of that tail, and
    its own skewness does not show it. How skewed differences are is therefore learned from all
    features that are tested together: the root mean square of their skewness, without what chance
    alone makes of it (6 / m), and taken to point away from each feature's mean.
    """
    if not tested.any():
        return third
    with np.errstate(divide="ignore", invalid="ignore"):
        skewness = third * m**2 / spread**3 / (1 + SHRUNKEN / np.maximum(m, 1))
    known, size = skewness[tested], m[tested]
    common = np.sqrt(max(0.0, float(np.mean(known**2 - 6 / size))))
    with np.errstate(divide="ignore", invalid="ignore"):
        found: Floats = -np.sign(mean) * PART * common * spread**3 / m**2
    return np.where(tested, found, third)


def _moments(differences: Differences) -> tuple[Floats, Floats, Floats, Floats, Floats, Floats]:
    """Number, mean, spread, third cumulant of the mean, its df, root mean square; each ``[F]``."""
    feature, value = differences.feature, differences.value
    width = len(differences.exposed)

    def summed(values: Floats) -> Floats:
        return np.bincount(feature, values, minlength=width).astype(np.float64)

    m = summed(np.ones(len(value)))
    some = np.maximum(m, 1)
    mean = np.where(m > 0, summed(value) / some, np.nan)
    centred = value - mean[feature]
    # A second pass: sums of squares about zero would lose the digits of small spreads.
    second, cubed, fourth = (summed(centred**power) / some for power in (2, 3, 4))
    unbiased = second * some / np.maximum(m - 1, 1)
    level = summed(np.abs(value)) / some
    noise = unbiased > (1e-12 * level) ** 2
    spread = np.where(noise, np.sqrt(unbiased), 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        skewness = np.where((m > 2) & noise, cubed / second**1.5, 0.0)
    third = (1 + SHRUNKEN / some) * skewness * spread**3 / some**2
    with np.errstate(divide="ignore", invalid="ignore"):
        # A sample's kurtosis is too small, as its skewness is, and made larger in the same way.
        excess = np.where(noise, (fourth / second**2 - 1) * (1 + SHRUNKEN / some), 2.0)
        df = np.clip(2 * some / excess, 2.0, np.maximum(m - 1, 2.0))
    root = np.sqrt(np.maximum(summed(value**2) / some, 1e-300))
    return m, mean, spread, np.where(m < 3, 0.0, third), df, root


@dataclass(frozen=True, eq=False)
class _Limits:
    statistic: Floats
    p_value: Floats
    low: Floats
    high: Floats


def _limits(mean: Floats, error: Floats, df: Floats, third: Floats, alpha: float) -> _Limits:
    """:func:`causal_sae.estimation.skewness.limits`, feature by feature."""
    gamma = third / error**3
    plain = mean / error
    shifted = plain + gamma * plain**2 / 3 + gamma**2 * plain**3 / 27 + gamma / 6
    statistic = np.where(np.abs(shifted) < np.abs(plain), shifted, plain)
    reach: Floats = np.asarray(stats.t.ppf(1 - alpha / 2, np.maximum(df, 1)), dtype=np.float64)
    low = mean - error * np.maximum(reach, _untransformed(reach, gamma))
    high = mean - error * np.minimum(-reach, _untransformed(-reach, gamma))
    p_value: Floats = np.asarray(2 * stats.t.sf(np.abs(statistic), np.maximum(df, 1)))
    return _Limits(statistic, p_value, low, high)


def _untransformed(quantile: Floats, gamma: Floats) -> Floats:
    straight = np.abs(gamma) < STRAIGHT
    safe = np.where(straight, 1.0, gamma)
    curved = 3 / safe * (np.cbrt(1 + safe * (quantile - safe / 6)) - 1)
    return np.where(straight, quantile - gamma / 6 - gamma * quantile**2 / 3, curved)


def wilson(share: Floats, n: int, alpha: float) -> tuple[Floats, Floats]:
    """Wilson's score interval of shares of n units."""
    z = float(stats.norm.ppf(1 - alpha / 2))
    centre = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    reach = z / (1 + z**2 / n) * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    return np.maximum(centre - reach, 0.0), np.minimum(centre + reach, 1.0)


def combined(
    share: Floats, rate: tuple[Floats, Floats], mean: Floats, effect: tuple[Floats, Floats]
) -> tuple[Floats, Floats]:
    """:func:`causal_sae.estimation.estimators.sparse.combined`, feature by feature."""
    down = mean < 0
    size = np.abs(mean)
    near = np.where(down, -effect[1], effect[0])
    far = np.where(down, -effect[0], effect[1])
    estimate = share * size
    low = estimate - np.hypot(share * (size - near), size * (share - rate[0]))
    high = estimate + np.hypot(share * (far - size), size * (rate[1] - share))
    low = np.where(near > 0, np.maximum(low, rate[0] * near), np.minimum(low, 0.0))
    return np.where(down, -high, low), np.where(down, -low, high)
