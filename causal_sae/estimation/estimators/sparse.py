"""Share of exposed units times the effect among them; `auto` takes it where others are untouched.

Ablating or scaling a silent feature changes nothing, so the mean effect over all units is the
share of exposed units times the mean effect among them. Most differences are then exactly zero,
and a t-interval over all of them covers too seldom: its degrees of freedom count units that say
nothing of the effect's size, and the few that do are skewed. Here each factor gets an interval
that suits it, and the two are combined:

- the share: Wilson's score interval;
- the effect among exposed units: Student's t with the degrees of freedom of these units alone,
  widened to Hall's (1992) limits for a skewed mean (:mod:`causal_sae.estimation.skewness`);
- their product: the variance estimates recovered from both intervals (Zou and Donner 2008), and
  never nearer to zero's other side than the product of the factors' own limits.

The mean effect is zero exactly when the effect among exposed units is, so the test is theirs: the
interval leaves out zero exactly when p is below alpha.
"""

from __future__ import annotations

import numpy as np
from statsmodels.stats.proportion import proportion_confint

from causal_sae.estimation.estimators import paired
from causal_sae.estimation.estimators.base import Estimator
from causal_sae.estimation.inference import Estimate
from causal_sae.estimation.sample import Sample, Vector, differences, exposed_units
from causal_sae.estimation.skewness import (
    ONE_SIDED,
    SHRUNKEN,
    third_cumulant,
    widest,
    with_fractions,
)

Interval = tuple[float, float]


def applies(sample: Sample) -> bool:
    """Whether some units are not exposed, and those are exactly unchanged."""
    if sample.exposed is None or sample.cluster is not None:
        return False
    exposed = sample.exposed[sample.treated]
    if not np.array_equal(exposed, sample.exposed[~sample.treated]):
        return False
    silent = differences(sample)[~exposed]
    return bool(len(silent) and np.all(silent == 0.0))


def fit(sample: Sample, alpha: float) -> Estimate:
    """The mean effect over all units; :func:`applies` is expected to hold."""
    return _fit(sample, alpha, SHRUNKEN)


def fit_one_sided(sample: Sample, alpha: float) -> Estimate:
    """The same where only one limit counts."""
    return _fit(sample, alpha, ONE_SIDED)


def _fit(sample: Sample, alpha: float, shrunken: float) -> Estimate:
    difference = differences(sample)
    among = differences(exposed_units(sample))
    flags = ("covariates_absorbed",) if sample.covariate_names else ()
    if len(among) < 2:
        return Estimate(float(difference.mean()), np.nan, flags=(*flags, "too_few_exposed"))
    if np.ptp(among) == 0:  # nothing is known of the spread of the effect
        return paired.fit(sample, alpha)
    product = _product(among, len(difference), alpha, shrunken)
    return product.flagged(*flags, f"exposed_stratum:{len(among)}")


def _product(among: Vector, n: int, alpha: float, shrunken: float = SHRUNKEN) -> Estimate:
    """Share times mean.

    Parameters
    ----------
    among:
        [m] the differences of the exposed units.
    n:
        How many units there are.
    alpha:
        The interval has level ``1 - alpha``.
    shrunken:
        As for :func:`causal_sae.estimation.skewness.third_cumulant`.
    """
    m, share = len(among), len(among) / n
    mean, error = float(among.mean()), float(among.std(ddof=1) / np.sqrt(m))
    thirds = with_fractions((third_cumulant(among, shrunken),), shrunken)
    effect = widest(mean, error, m - 1, thirds, alpha)
    low, high = combined(share, wilson(m, n, alpha), mean, (effect.low, effect.high))
    variance = (share * error) ** 2 + mean**2 * share * (1 - share) / n
    return Estimate(
        share * mean,
        float(np.sqrt(variance)),
        effect.statistic,
        m - 1,
        effect.p_value,
        low,
        high,
    )


def wilson(count: float, n: float, alpha: float) -> Interval:
    """Wilson's score interval of a share."""
    low, high = proportion_confint(count, n, alpha=alpha, method="wilson")
    return float(low), float(high)


def combined(share: float, rate: Interval, mean: float, effect: Interval) -> Interval:
    """The interval of a share times a mean, from the intervals of both.

    Parameters
    ----------
    share, rate:
        The share, and its interval; above zero.
    mean, effect:
        The mean, and its interval; of any sign.
    """
    if mean < 0:
        low, high = combined(share, rate, -mean, (-effect[1], -effect[0]))
        return -high, -low
    estimate = share * mean
    low = estimate - float(np.hypot(share * (mean - effect[0]), mean * (share - rate[0])))
    high = estimate + float(np.hypot(share * (effect[1] - mean), mean * (rate[1] - share)))
    return (max(low, rate[0] * effect[0]) if effect[0] > 0 else min(low, 0.0)), high


ESTIMATOR = Estimator(
    fit,
    frozenset({"within-unit"}),
    covariates="allowed",
    applies=applies,
    margin_fit=fit_one_sided,
    students=False,
    copes_with=frozenset({"zero_inflated"}),
)
