"""The rank-sum test of two arms, with the Hodges-Lehmann shift and its interval.

``stats::wilcox.test(conf.int = TRUE)``. The estimate is the median of the differences between
every unit of the treatment and every unit of the reference: how far one arm has to be moved for
its ranks to balance. It is the difference in means only where the arms are shifted as wholes or
both symmetric, and so is the interval; a few huge outcomes move it little. The test is right for
arms that have the same distribution; where they differ in spread alone it can reject as well.

Without ties and with fewer than 50 units in each arm p and interval are exact; otherwise they are
those of the normal approximation with corrections for ties and continuity. (There R looks for the
estimate where its approximation is zero; here it is the median in both cases.)
"""

from __future__ import annotations

from functools import cache
from typing import Literal

import numpy as np
from scipy import stats

from causal_sae.estimation.estimators.base import Estimator
from causal_sae.estimation.inference import Estimate, unknown
from causal_sae.estimation.sample import Sample, Vector
from causal_sae.estimation.spread import spread_flags

EXACT = 50
"""Below this many units in each arm the exact distribution is used, as in R."""
MOST = 4_000_000
"""Up to this many pairs their differences are listed; beyond, order statistics are searched for."""

Alternative = Literal["two-sided", "less", "greater"]


def fit(sample: Sample, alpha: float) -> Estimate:
    """The Hodges-Lehmann shift of the treatment against the reference."""
    treatment, reference = sample.arms
    if min(len(treatment), len(reference)) < 2:
        return unknown("too_few_units")
    if np.ptp(sample.outcome) == 0:
        return Estimate(0.0, 0.0)
    statistic, p_value = _test(treatment, reference, "two-sided")
    low, high = _interval(treatment, reference, alpha)
    told = ("no_interval",) if np.isnan(low) else ()
    flags = ("hodges_lehmann", *told, *spread_flags(sample.arms))
    return Estimate(
        shift(treatment, reference),
        np.nan,
        statistic=statistic,
        p_value=p_value,
        conf_low=low,
        conf_high=high,
        flags=flags,
    )


def beyond(sample: Sample, effect: float, side: int) -> float:
    """The one-sided p-value of the hypothesis that the shift is this large or further out.

    Parameters
    ----------
    sample:
        The units analysed.
    effect:
        The hypothesis' shift.
    side:
        -1 when small estimates speak against the hypothesis, +1 when large ones do.
    """
    treatment, reference = sample.arms
    if min(len(treatment), len(reference)) < 2:
        return np.nan
    return _test(treatment - effect, reference, "less" if side < 0 else "greater")[1]


def shift(treatment: Vector, reference: Vector) -> float:
    """The median of the differences of all pairs.

    Parameters
    ----------
    treatment, reference:
        [m], [n] the arms' outcomes.
    """
    pairs = len(treatment) * len(reference)
    low, high = _ordered(treatment, reference, ((pairs + 1) // 2, pairs // 2 + 1))
    return (low + high) / 2


def _is_exact(treatment: Vector, reference: Vector) -> bool:
    both = np.concatenate([treatment, reference])
    return max(len(treatment), len(reference)) < EXACT and len(np.unique(both)) == len(both)


def _test(treatment: Vector, reference: Vector, alternative: Alternative) -> tuple[float, float]:
    """The treatment's U statistic and the p-value."""
    import pingouin as pg  # noqa: PLC0415 - takes a second

    method: Literal["exact", "asymptotic"]
    method = "exact" if _is_exact(treatment, reference) else "asymptotic"
    if np.ptp(np.concatenate([treatment, reference])) == 0:
        return len(treatment) * len(reference) / 2, 1.0
    if len(treatment) * len(reference) > MOST:  # pingouin forms the matrix of all pairs
        found = stats.mannwhitneyu(treatment, reference, alternative=alternative, method=method)
        return float(found.statistic), float(found.pvalue)
    table = pg.mwu(treatment, reference, alternative=alternative, method=method)
    # pingouin 0.6 calls its columns U-val and p-val, 0.7 U_val and p_val.
    return float(table.filter(regex="^U").iloc[0, 0]), float(table.filter(regex="^p").iloc[0, 0])


def _interval(treatment: Vector, reference: Vector, alpha: float) -> tuple[float, float]:
    """The shifts that are not rejected; NaN where none can be rejected at this level."""
    m, n = len(treatment), len(reference)
    if _is_exact(treatment, reference):
        left_out = int(np.sum(np.cumsum(null_distribution(m, n)) < alpha / 2))
    else:
        # Between the pairs' differences a shifted arm ties with itself only: the spread is the
        # same all the way, and the limits are order statistics here as well.
        ties = sum(_tied(arm) for arm in (treatment, reference))
        spread = np.sqrt(m * n / 12 * (m + n + 1 - ties / ((m + n) * (m + n - 1))))
        reach = float(stats.norm.isf(alpha / 2) * spread)
        left_out = int(np.ceil(m * n / 2 - 0.5 - reach))
    if left_out < 1:
        return np.nan, np.nan
    return _ordered(treatment, reference, (left_out, m * n + 1 - left_out))


def _tied(arm: Vector) -> float:
    count = np.unique(arm, return_counts=True)[1].astype(np.float64)
    return float(np.sum(count**3 - count))


@cache
def null_distribution(m: int, n: int) -> Vector:
    """[m n + 1] the probabilities of U = 0, 1, ... where the arms are alike and nothing is tied.

    Parameters
    ----------
    m, n:
        The arms' sizes.
    """
    # ways[k, u]: the sets of k of the ranks so far whose sum exceeds its least by u.
    ways = np.zeros((m + 1, m * n + 1))
    ways[0, 0] = 1.0
    for rank in range(m + n):
        for k in range(min(m, rank + 1), 0, -1):
            above = rank - (k - 1)  # how far this rank is above the least that a k-th can have
            if above <= n:
                ways[k, above:] += ways[k - 1, : m * n + 1 - above]
    probabilities: Vector = ways[m] / ways[m].sum()
    return probabilities


def _ordered(treatment: Vector, reference: Vector, places: tuple[int, int]) -> tuple[float, float]:
    """The pairs' differences at two places of their order, counted from 1."""
    if len(treatment) * len(reference) > MOST:
        first, second = (_searched(treatment, np.sort(reference), place) for place in places)
        return first, second
    differences = np.subtract.outer(treatment, reference).ravel()
    at = [place - 1 for place in places]
    found = np.partition(differences, at)[at]
    return float(found[0]), float(found[1])


def _searched(treatment: Vector, ordered: Vector, place: int) -> float:
    """The pairs' difference at one place of their order, by halving the range."""
    low = float(treatment.min() - ordered[-1])
    high = float(treatment.max() - ordered[0])
    if len(ordered) * len(treatment) - _pairs_above(treatment, ordered, low) >= place:
        return low
    middle = low / 2 + high / 2
    while low < middle < high:
        enough = len(ordered) * len(treatment) - _pairs_above(treatment, ordered, middle) >= place
        low, high = (low, middle) if enough else (middle, high)
        middle = low / 2 + high / 2
    return _nearest(treatment, ordered, high)


def _nearest(treatment: Vector, ordered: Vector, at: float) -> float:
    """The pairs' difference that a value stands for: sums are exact to their last bit only."""
    above = np.searchsorted(ordered, treatment - at)
    places = np.clip([above - 1, above], 0, len(ordered) - 1)
    differences = (treatment - ordered[places]).ravel()
    return float(differences[np.argmin(np.abs(differences - at))])


def _pairs_above(treatment: Vector, ordered: Vector, at: float) -> int:
    """How many pairs' differences are above a value."""
    return int(np.searchsorted(ordered, treatment - at, side="left").sum())


ESTIMATOR = Estimator(fit, frozenset({"plain"}), covariates="none", beyond=beyond, students=False)
