"""Exact powers of t-tests by the noncentral t, and what they solve for: sizes and effects.

The powers of R's ``pwr`` and of ``stats::power.t.test(strict = TRUE)``: both tails of a two-sided
test count. statsmodels' ``TTestPower`` gives the same numbers where it gives any (for large effects
it is NaN); here the standard error, the degrees of freedom and the spread of the estimate are given
one by one, because most designs of this package are no textbook t-test.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, stats

Vector: TypeAlias = NDArray[np.float64]
Numbers: TypeAlias = float | Vector

LEAST_DF = 1e-3
"""With fewer degrees of freedom the noncentral t is lost in rounding, and there is no test."""
LARGEST = 1e9
"""No trial has more units than this: beyond it there is no answer."""


def t_power(
    effect: Numbers,
    std_error: Numbers,
    df: Numbers,
    alpha: float,
    sides: int = 2,
    reported: Numbers | None = None,
) -> Vector:
    """The probability that a t-test rejects; NaN without degrees of freedom or variation.

    Parameters
    ----------
    effect:
        What the estimate is on average, in any unit; with one side, towards that side.
    std_error:
        How much the estimate varies between trials, in the same unit.
    df:
        The degrees of freedom of the test.
    alpha:
        The level.
    sides:
        2, or 1 for a test against effects of zero and less.
    reported:
        What the test takes for the standard error; default: the true one.

    Returns
    -------
    The powers, of the shape that the arguments have together.
    """
    effect, std_error, df = np.broadcast_arrays(
        *(np.asarray(x, dtype=np.float64) for x in (effect, std_error, df))
    )
    possible = (df > LEAST_DF) & (std_error > 0)
    df, std_error = np.where(possible, df, 1.0), np.where(possible, std_error, 1.0)
    limit = stats.t.isf(alpha / sides, df)
    if reported is not None:
        limit = limit * np.asarray(reported) / std_error
    shift = effect / std_error
    if sides == 2:
        shift = np.abs(shift)
    # Far out scipy's noncentral t is NaN, where the probability is 0 or 1 to the last digit.
    power = stats.nct.sf(limit, df, shift)
    power = np.where(np.isnan(power), shift > limit, power)
    if sides == 2:
        power = power + np.nan_to_num(stats.nct.cdf(-limit, df, shift), nan=0.0)
    return np.where(possible, np.clip(power, 0.0, 1.0), np.nan)


def one_sample(d: float, n: float, alpha: float = 0.05, sides: int = 2) -> float:
    """The power of a one-sample or paired t-test: ``pwr.t.test(type = "one.sample")``.

    Parameters
    ----------
    d:
        The mean (or mean difference) in standard deviations of the values (the differences).
    n:
        Values, or pairs.
    alpha, sides:
        As for :func:`t_power`.
    """
    return float(t_power(d, 1 / np.sqrt(n), n - 1, alpha, sides))


def two_sample(d: float, n: float, m: float, alpha: float = 0.05, sides: int = 2) -> float:
    """The power of a two-sample t-test with equal variances: ``pwr.t2n.test``.

    Parameters
    ----------
    d:
        The difference in standard deviations.
    n, m:
        Units in the two arms.
    alpha, sides:
        As for :func:`t_power`.
    """
    return float(t_power(d, np.sqrt(1 / n + 1 / m), n + m - 2, alpha, sides))


def proportions(
    p: float, q: float, n: float, m: float, alpha: float = 0.05, sides: int = 2
) -> float:
    """The power of a test of two proportions by Cohen's h: ``pwr.2p2n.test``.

    Parameters
    ----------
    p, q:
        The two proportions.
    n, m:
        Units in the two arms.
    alpha, sides:
        As for :func:`t_power`; with one side, towards p above q.
    """
    h = 2 * np.arcsin(np.sqrt(p)) - 2 * np.arcsin(np.sqrt(q))
    shift = h * np.sqrt(n * m / (n + m))
    limit = float(stats.norm.isf(alpha / sides))
    power = float(stats.norm.sf(limit - shift))
    return power + float(stats.norm.cdf(-limit - shift)) if sides == 2 else power


def analysis_of_variance(f: float, groups: int, n: float, alpha: float = 0.05) -> float:
    """The power of the test that several arms are all alike: ``pwr.anova.test``.

    Parameters
    ----------
    f:
        Cohen's f: the standard deviation of the arms' means over that of the units.
    groups:
        Arms, of equal size.
    n:
        Units in each.
    alpha:
        The level.
    """
    between, total = groups - 1, groups * n
    return f_power(f**2 * total, between, total - groups, alpha)


def regression(f2: float, effects: int, df: float, alpha: float = 0.05) -> float:
    """The power of the joint test of several terms of a linear model: ``pwr.f2.test``.

    Parameters
    ----------
    f2:
        Cohen's f squared: what the terms explain over what is left.
    effects:
        Terms tested together, such as the main effects and interactions of a factorial.
    df:
        Of the residuals.
    alpha:
        The level.
    """
    return f_power(f2 * (effects + df + 1), effects, df, alpha)


def f_power(noncentrality: float, above: float, below: float, alpha: float) -> float:
    """The probability that an F-test with these degrees of freedom rejects."""
    limit = stats.f.isf(alpha, above, below)
    return float(stats.ncf.sf(limit, above, below, noncentrality))


def chi_square(w: float, df: int, n: float, alpha: float = 0.05) -> float:
    """The power of Pearson's test of a table: ``pwr.chisq.test``.

    Parameters
    ----------
    w:
        Cohen's w.
    df:
        Rows less one times columns less one.
    n:
        Units in all.
    alpha:
        The level.
    """
    return float(stats.ncx2.sf(stats.chi2.isf(alpha, df), df, n * w**2))


def welch_df(variance: tuple[float, float], n: tuple[float, float]) -> float:
    """Welch's and Satterthwaite's degrees of freedom at the true variances of two arms."""
    of_mean = [v / k for v, k in zip(variance, n, strict=True)]
    squares = sum(s**2 / (k - 1) for s, k in zip(of_mean, n, strict=True) if k > 1)
    if min(n) <= 1:
        return np.nan
    return sum(of_mean) ** 2 / squares if squares > 0 else sum(n) - 2


def size_for(power: Callable[[float], float], target: float, least: float = 2.0) -> float:
    """The smallest size, not rounded, with the power that is wanted; NaN where there is none.

    Parameters
    ----------
    power:
        Of a size; grows with it. NaN counts as 0.
    target:
        Between 0 and 1.
    least:
        The smallest size that is looked at.
    """

    def lack(size: float) -> float:
        found = power(size)
        return (0.0 if np.isnan(found) else found) - target

    if lack(least) >= 0:
        return least
    high = 2 * least
    while lack(high) < 0:
        high *= 2
        if high > LARGEST:
            return np.nan
    return float(optimize.brentq(lack, high / 2, high, xtol=1e-9, rtol=1e-14))


def effect_for(power: Callable[[float], float], target: float, scale: float) -> float:
    """The smallest effect above zero that is found with the power that is wanted.

    Parameters
    ----------
    power:
        Of an effect; grows with it.
    target:
        Between 0 and 1.
    scale:
        An effect of the right order, such as a standard error.
    """

    def lack(effect: float) -> float:
        found = power(effect)
        return (0.0 if np.isnan(found) else found) - target

    high = scale
    for _ in range(60):
        if lack(high) >= 0:
            return float(optimize.brentq(lack, 0.0, high, xtol=1e-12 * high, rtol=1e-14))
        high *= 2
    return np.nan
