"""Ratios of two risks, odds or mean counts.

Between units without covariates, risks and odds get score intervals; with covariates, and for
counts, the ratio is that of the means standardised by g-computation; within units and in clusters
the ratio of the arms' means. The last two have delta-method intervals on the logarithmic scale.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from scipy import optimize, stats

from causal_sae.estimation.effect_sizes.base import Analysed, EffectSize, missing
from causal_sae.estimation.linear_models import cr2, design
from causal_sae.estimation.sample import Sample, Vector, differences, within_units
from causal_sae.estimation.separation import separated, zeros_separated
from causal_sae.estimation.standardisation import BINOMIAL, POISSON, columns, standardised

REACH = 20.0
"""Logarithms of ratios are looked for as far out as this: e^20 is half a billion."""

Table = tuple[float, int, float, int]
"""Successes and units of the treatment, then of the reference."""
Score = Callable[[float, float, int, float, int], float]
"""A statistic of the logarithm of a ratio and a table."""


@dataclass(frozen=True)
class Scale:
    """The logarithmic scale on which two means are compared."""

    kind: str
    log: Callable[[float], float]
    """The logarithm of a mean, or of its odds."""
    slope: Callable[[float], float]
    """Its derivative."""


RISK = Scale("risk_ratio", np.log, lambda mean: 1 / mean)
ODDS = Scale("odds_ratio", lambda p: float(np.log(p / (1 - p))), lambda p: 1 / (p * (1 - p)))
RATE = Scale("rate_ratio", np.log, lambda mean: 1 / mean)


def of_risk_ratio(analysis: Analysed) -> EffectSize:
    """The ratio of two risks."""
    return _of_proportions(analysis, RISK)


def of_odds_ratio(analysis: Analysed) -> EffectSize:
    """The ratio of two odds."""
    return _of_proportions(analysis, ODDS)


def of_rate_ratio(analysis: Analysed) -> EffectSize:
    """The ratio of two mean counts."""
    sample, alpha = analysis.sample, analysis.alpha
    if analysis.structure != "plain":
        return ratio_of_means(sample, RATE, alpha)
    x, _ = columns(sample)
    if len(sample) <= x.shape[1] or zeros_separated(sample.outcome, x):
        return ratio_of_means(sample, RATE, alpha)
    return standardised_ratio(sample, RATE, alpha)


def _of_proportions(analysis: Analysed, scale: Scale) -> EffectSize:
    sample, alpha = analysis.sample, analysis.alpha
    if analysis.structure != "plain":
        return ratio_of_means(sample, scale, alpha)
    x, _ = columns(sample)
    adjustable = len(sample) > x.shape[1] > 2
    if adjustable and not separated(sample.outcome, x):
        return standardised_ratio(sample, scale, alpha)
    treatment, reference = sample.arms
    return score_ratio(treatment, reference, scale, alpha)


def standardised_ratio(sample: Sample, scale: Scale, alpha: float) -> EffectSize:
    """The ratio at the covariates of all units, by g-computation.

    Parameters
    ----------
    sample:
        Units for which the model has finite coefficients.
    scale:
        Risks and odds take a logistic model, counts a Poisson model.
    alpha:
        The interval has level ``1 - alpha``.
    """
    x, _ = columns(sample)
    means = standardised(sample.outcome, x, POISSON if scale is RATE else BINOMIAL)
    slopes = scale.slope(means.treatment), -scale.slope(means.reference)
    log = scale.log(means.treatment) - scale.log(means.reference)
    return _exponential(log, means.std_error(slopes), means.df, scale.kind, alpha)


def ratio_of_means(sample: Sample, scale: Scale, alpha: float) -> EffectSize:
    """The ratio of the arms' own means; in clusters with CR2 errors.

    Each outcome is multiplied by the derivative of the logarithm at its arm's mean: the variance
    of the difference of these is that of the logarithm of the ratio (delta method).

    Parameters
    ----------
    sample:
        Units in one arm or in both, in clusters or not.
    scale:
        What is compared.
    alpha:
        The interval has level ``1 - alpha``.
    """
    treatment, reference = sample.arms
    if min(len(treatment), len(reference)) < 2:
        return missing(scale.kind)
    means = float(treatment.mean()), float(reference.mean())
    top = 1.0 if scale is ODDS else np.inf
    if not all(0 < mean < top for mean in means):
        return EffectSize(_extreme(*means, scale), scale.kind, np.nan, np.nan)
    std_error, df = linearised_error(sample, (scale.slope(means[0]), scale.slope(means[1])))
    log = scale.log(means[0]) - scale.log(means[1])
    return _exponential(log, std_error, df, scale.kind, alpha)


def linearised_error(sample: Sample, slopes: tuple[float, float]) -> tuple[float, float]:
    """The standard error of a function of the arms' means, and its degrees of freedom.

    Parameters
    ----------
    sample:
        Units in one arm or in both, in clusters or not.
    slopes:
        How the function changes with the treatment's mean, and with the reference's, the latter
        with its sign turned.
    """
    scaled = replace(sample, outcome=sample.outcome * np.where(sample.treated, *slopes))
    if not within_units(sample):
        cluster = np.arange(len(sample)) if sample.cluster is None else sample.cluster
        effect = cr2(scaled.outcome, design(sample.treated), cluster)
        return effect.std_error, effect.df
    difference = differences(scaled)
    if sample.cluster is None:
        n = len(difference)
        return float(difference.std(ddof=1) / np.sqrt(n)), float(n - 1)
    mean = cr2(difference, np.ones((len(difference), 1)), sample.cluster[sample.treated])
    return mean.std_error, mean.df


def _exponential(log: float, std_error: float, df: float, kind: str, alpha: float) -> EffectSize:
    if not (np.isfinite(std_error) and df > 0):
        return EffectSize(float(np.exp(log)), kind, np.nan, np.nan)
    reach = float(stats.t.ppf(1 - alpha / 2, df)) * std_error
    low, high = float(np.exp(log - reach)), float(np.exp(log + reach))
    return EffectSize(float(np.exp(log)), kind, low, high)


def _extreme(treatment: float, reference: float, scale: Scale) -> float:
    """The ratio where a mean, or the odds of a risk, is zero or without bound; NaN for 0 / 0."""
    first, second = (_odds(mean) if scale is ODDS else mean for mean in (treatment, reference))
    if first == second:
        return np.nan
    if np.isinf(first) or second == 0:
        return np.inf
    return 0.0 if np.isinf(second) else first / second


def _odds(mean: float) -> float:
    return np.inf if mean == 1 else mean / (1 - mean)


def score_ratio(treatment: Vector, reference: Vector, scale: Scale, alpha: float) -> EffectSize:
    """The ratio of two risks or odds with the interval that inverts Miettinen's score test.

    Parameters
    ----------
    treatment, reference:
        [n] outcomes of 0 and 1.
    scale:
        :data:`RISK` or :data:`ODDS`.
    alpha:
        The interval has level ``1 - alpha``.

    Notes
    -----
    Miettinen and Nurminen (1985), with their factor ``N / (N - 1)``. It holds with empty cells: a
    ratio of 0 has an upper limit, and one without bound a lower one. statsmodels'
    ``confint_proportions_2indep(method="score")`` gives the same where no cell is empty, and fails
    or errs where one is.
    """
    table = (float(treatment.sum()), len(treatment), float(reference.sum()), len(reference))
    p, q = table[0] / table[1], table[2] / table[3]
    value = _extreme(p, q, scale)
    if scale is RISK and p == q > 0:
        value = 1.0
    if np.isnan(value):
        return missing(scale.kind)
    statistic = _risk_score if scale is RISK else _odds_score
    z = float(stats.norm.ppf(1 - alpha / 2))
    low, high = (_root(statistic, table, level) for level in (z, -z))
    return EffectSize(
        value, scale.kind, 0.0 if value == 0 else low, high if value < np.inf else value
    )


def _root(statistic: Score, table: Table, level: float) -> float:
    """The ratio at which a statistic that falls as the ratio grows is at a level."""

    def excess(log: float) -> float:
        return statistic(log, *table) - level

    if excess(-REACH) <= 0:
        return 0.0
    if excess(REACH) >= 0:
        return np.inf
    return float(np.exp(optimize.brentq(excess, -REACH, REACH, xtol=1e-13, rtol=1e-14)))


def _risk_score(log: float, x1: float, n1: int, x0: float, n0: int) -> float:
    """The score statistic of a log risk ratio: falls from plus to minus as it grows."""
    ratio, n = float(np.exp(log)), n1 + n0
    b, total = ratio * (n1 + x0) + n0 + x1, x1 + x0
    p = 2 * total / (b + float(np.sqrt(max(b**2 - 4 * n * ratio * total, 0.0))))
    q = min(ratio * p, 1.0)
    variance = (q * (1 - q) / n1 + ratio**2 * p * (1 - p) / n0) * n / (n - 1)
    distance = x1 / n1 - ratio * x0 / n0
    return distance / float(np.sqrt(variance)) if variance > 0 else 0.0


def _odds_score(log: float, x1: float, n1: int, x0: float, n0: int) -> float:
    """The score statistic of a log odds ratio: falls from plus to minus as it grows."""
    ratio, n, total = float(np.exp(log)), n1 + n0, x1 + x0
    a, b = n0 * (ratio - 1), n1 * ratio + n0 - total * (ratio - 1)
    p = 2 * total / (b + float(np.sqrt(b**2 + 4 * a * total)))
    q = p * ratio / (1 + p * (ratio - 1))
    spread = 1 / (n1 * q * (1 - q)) + 1 / (n0 * p * (1 - p))
    return (x1 - n1 * q) * float(np.sqrt(spread * (n - 1) / n))
