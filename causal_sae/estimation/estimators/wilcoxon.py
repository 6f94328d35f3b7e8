"""Wilcoxon's signed-rank test within units, with the Hodges-Lehmann estimate and its interval.

``stats::wilcox.test(paired = TRUE, conf.int = TRUE)``. The estimate is the pseudo-median of the
differences: the median of the means of all pairs of them (each with itself too). It is the mean
only where the differences are symmetric, which the test assumes as well; a few huge differences
move it little.

As in R, units whose outcome did not change at all are left out of everything, so test, estimate
and interval speak of the units that changed; the flag ``zeros_dropped`` counts the others. Without
such zeros and without ties, and with fewer than 50 units, p and interval are exact; otherwise they
are those of the normal approximation with corrections for ties and continuity.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Literal

import numpy as np
from scipy import stats

from causal_sae.errors import Place, SpecError
from causal_sae.estimation.estimators.base import Estimator
from causal_sae.estimation.inference import NOISE_OF_LEVEL, NOISE_OF_RANGE, Estimate, unknown
from causal_sae.estimation.sample import Sample, Vector, differences

Alternative = Literal["two-sided", "less", "greater"]

EXACT = 50
"""Below this many units the exact distribution is used, as in R."""
MOST = 1500
"""Up to this many units all pairs' means are listed; beyond, their median is searched for."""


def fit(sample: Sample, alpha: float) -> Estimate:
    """The pseudo-median of the differences; every unit is expected to have both arms.

    Raises
    ------
    SpecError
        Units come in clusters, whose ranks are not independent.
    """
    if sample.cluster is not None:
        raise SpecError(
            "the estimator 'wilcoxon' takes units as independent, but here they come in clusters; "
            "use 'paired' or 'randomization', which allow for them.",
            Place(field="analysis.estimator"),
        )
    difference = differences(sample)
    changed, flags = _changed(sample, difference)
    if len(difference) < 2:
        return unknown("too_few_units")
    if not len(changed) or (np.ptp(changed) == 0 and len(changed) == len(difference)):
        return Estimate(float(difference.mean()), 0.0, flags=flags)
    exact = _is_exact(changed, len(difference))
    low, high = (_exact_interval if exact else _normal_interval)(changed, alpha)
    return Estimate(
        pseudo_median(changed),
        np.nan,
        statistic=float(_positive_ranks(changed)),
        p_value=_test(changed, "two-sided", exact),
        conf_low=low,
        conf_high=high,
        flags=(*flags, *(("no_interval",) if np.isnan(low) else ())),
    )


def beyond(sample: Sample, effect: float, side: int) -> float:
    """The one-sided p-value of the hypothesis that the pseudo-median is this large or further out.

    Parameters
    ----------
    sample:
        The units analysed; those that did not change are left out.
    effect:
        The hypothesis' effect.
    side:
        -1 when small estimates speak against the hypothesis, +1 when large ones do.
    """
    difference = differences(sample)
    shifted = _changed(sample, difference)[0] - effect
    shifted = shifted[shifted != 0]
    if not len(shifted):
        return 1.0
    exact = _is_exact(shifted, len(difference))
    return _test(shifted, "less" if side < 0 else "greater", exact)


def pseudo_median(values: Vector) -> float:
    """The Hodges-Lehmann estimate: the median of the means of all pairs of values.

    Parameters
    ----------
    values:
        [n] at least one.
    """
    if len(values) <= MOST:
        return float(np.median(_pair_means(values)))
    # The median of the pairs' means is where the signed-rank statistic crosses its mean.
    middle = len(values) * (len(values) + 1) / 4
    ordered = np.sort(values)
    ends = (float(ordered[0]), float(ordered[-1]))
    low = _step(lambda at: _pairs_above(ordered, at) > middle, ends)
    high = _step(lambda at: _pairs_above(ordered, at) >= middle, ends)
    return (low + high) / 2


def _pairs_above(ordered: Vector, at: float) -> float:
    """How many pairs' means are above a value, from sorted values [n]."""
    n = len(ordered)
    above = n - np.searchsorted(ordered, 2 * at - ordered, side="right")
    with_self = int(np.sum(ordered > at))
    return float((above.sum() - with_self) / 2 + with_self)


def _pair_means(values: Vector) -> Vector:
    rows, columns = np.triu_indices(len(values))
    means: Vector = (values[rows] + values[columns]) / 2
    return means


def _changed(sample: Sample, difference: Vector) -> tuple[Vector, tuple[str, ...]]:
    """The differences that are more than rounding, and the flags."""
    flags = ("covariates_absorbed",) if sample.covariate_names else ()
    if not len(difference):
        return difference, flags
    size = float(np.abs(sample.outcome).max())
    noise = NOISE_OF_RANGE * float(np.ptp(sample.outcome)) + NOISE_OF_LEVEL * size
    changed = difference[np.abs(difference) > noise]
    zeros = len(difference) - len(changed)
    dropped = (f"zeros_dropped:{zeros}",) if zeros and len(changed) else ()
    return changed, (*flags, "hodges_lehmann", *dropped)


def _positive_ranks(values: Vector) -> float:
    return float(np.sum(stats.rankdata(np.abs(values))[values > 0]))


def _is_exact(values: Vector, units: int) -> bool:
    """Whether R would use the exact distribution: few units, no ties, nothing dropped."""
    tied = len(np.unique(np.abs(values))) < len(values)
    return units < EXACT and not tied and len(values) == units


def _test(values: Vector, alternative: Alternative, exact: bool) -> float:
    """The p-value of the hypothesis that the values [n], none of them 0, lie around 0."""
    found = stats.wilcoxon(
        values,
        zero_method="wilcox",
        correction=True,
        alternative=alternative,
        method="exact" if exact else "approx",
    )
    return float(found.pvalue)


def _exact_interval(values: Vector, alpha: float) -> tuple[float, float]:
    """The effects that the exact test does not reject; NaN where it rejects none at this level."""
    n = len(values)
    counts = np.ones(1)
    for rank in range(1, n + 1):  # how many sets of ranks have each sum
        longer = np.zeros(len(counts) + rank)
        longer[: len(counts)] += counts
        longer[rank:] += counts
        counts = longer
    left_out = int(np.sum(np.cumsum(counts) / 2.0**n < alpha / 2))
    if left_out == 0:
        return np.nan, np.nan
    means = np.sort(_pair_means(values))
    return float(means[left_out - 1]), float(means[-left_out])


def _normal_interval(values: Vector, alpha: float) -> tuple[float, float]:
    """Where the normal approximation begins to reject; NaN where it rejects nothing between."""
    ends = (float(values.min()), float(values.max()))
    limit = float(stats.norm.isf(alpha / 2))
    if not (_normal(values, ends[0]) >= limit and _normal(values, ends[1]) <= -limit):
        return np.nan, np.nan
    search = partial(_jump, np.unique(_pair_means(values))) if len(values) <= MOST else _step
    return (
        search(lambda at: _normal(values, at) > limit, ends),
        search(lambda at: _normal(values, at) > -limit, ends),
    )


def _normal(values: Vector, at: float) -> float:
    """The signed-rank statistic of a shift, standardised; ties and continuity corrected."""
    shifted = values - at
    shifted = shifted[shifted != 0]
    n = len(shifted)
    if n == 0:
        return 0.0
    ties = np.unique(np.abs(shifted), return_counts=True)[1].astype(np.float64)
    variance = n * (n + 1) * (2 * n + 1) / 24 - float(np.sum(ties**3 - ties)) / 48
    distance = _positive_ranks(shifted) - n * (n + 1) / 4
    return float((distance - 0.5 * np.sign(distance)) / np.sqrt(variance))


def _step(holds: Callable[[float], bool], ends: tuple[float, float]) -> float:
    """Where a condition that holds at the first end, and not at the last, ceases to hold."""
    low, high = ends
    middle = low / 2 + high / 2
    while low < middle < high:
        low, high = (middle, high) if holds(middle) else (low, middle)
        middle = low / 2 + high / 2
    return high


def _jump(points: Vector, holds: Callable[[float], bool], _ends: tuple[float, float]) -> float:
    """The same, where the condition can only change at one of these sorted points."""
    first, last = 0, len(points) - 1
    while first < last:
        middle = (first + last) // 2
        if holds(float(points[middle] / 2 + points[middle + 1] / 2)):
            first = middle + 1
        else:
            last = middle
    return float(points[first])


ESTIMATOR = Estimator(
    fit, frozenset({"within-unit"}), covariates="allowed", beyond=beyond, students=False
)
