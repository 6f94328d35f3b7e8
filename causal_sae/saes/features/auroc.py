"""The area under the ROC curve of many features at once, with intervals and tests."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, stats

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Auroc:
    """Each ``[F]``: the area, its interval, and the p-value of one half."""

    value: Floats
    low: Floats
    high: Floats
    p_value: Floats


def auroc(scores: Floats, positive: NDArray[np.bool_], alpha: float) -> Auroc:
    """The chance that a positive scores higher than a negative, ties counting half.

    The interval is Feng and Cliff's (2004), on the larger of Cliff's unbiased variance and that of
    scores that are alike in both kinds: where a feature fires in few texts of the smaller kind,
    Cliff's alone is too small (its intervals covered 80% instead of 95%). Where all positives score
    above all negatives (or below) nothing is seen of the variance, and the limit is Newcombe's
    (2006, method 5). The test is Mann and Whitney's with the correction for ties, by the normal
    distribution.

    Parameters
    ----------
    scores:
        ``[n, F]``.
    positive:
        ``[n]``, with two of each kind at least for an interval.
    alpha:
        The interval has level ``1 - alpha``.
    """
    m, n = int(positive.sum()), int((~positive).sum())
    width = scores.shape[1]
    if min(m, n) < 2:
        return Auroc(*(np.full(width, np.nan) for _ in range(4)))
    ranks = {name: stats.rankdata(scores, name, axis=0) for name in ("min", "max")}
    middle = (ranks["min"] + ranks["max"]) / 2
    own, other = middle[positive], middle[~positive]
    area = (own.sum(axis=0) - m * (m + 1) / 2) / (m * n)
    delta = 2 * area - 1
    rows = 2 * (own - stats.rankdata(scores[positive], axis=0)) / n - 1
    columns = 1 - 2 * (other - stats.rankdata(scores[~positive], axis=0)) / m
    ties = _cross_ties(ranks, scores, positive)
    variance = _variance(delta, rows, columns, m * n - ties)
    spread = _spread_when_alike(ranks, m, n)
    floor = (1 - delta**2) * np.maximum(4 * spread, 1 / (m * n - 1))
    low, high = _limits(delta, np.maximum(variance, floor), m + n - 2, alpha)
    edge = _separated(m, n, alpha)
    low = np.where(delta == 1, edge, np.where(delta == -1, -1.0, low))
    high = np.where(delta == -1, -edge, np.where(delta == 1, 1.0, high))
    constant = spread <= 1e-12
    z = np.abs(area - 0.5) / np.sqrt(np.where(constant, 1.0, spread))
    p_value = np.where(constant, 1.0, 2 * stats.norm.sf(z))
    # A feature that scores all texts alike tells nothing, and nothing is uncertain about that.
    low, high = np.where(constant, 0.0, low), np.where(constant, 0.0, high)
    return Auroc(area, (1 + low) / 2, (1 + high) / 2, p_value)


def _variance(delta: Floats, rows: Floats, columns: Floats, differing: Floats) -> Floats:
    """Cliff's (1996) unbiased variance of delta ``[F]``.

    Parameters
    ----------
    delta:
        ``[F]`` the share of pairs in which the positive is above minus that in which it is below.
    rows, columns:
        ``[m, F]`` and ``[n, F]``: the same for each positive and each negative alone.
    differing:
        ``[F]`` how many pairs are not tied.
    """
    m, n = len(rows), len(columns)
    between = n**2 * ((rows - delta) ** 2).sum(axis=0) + m**2 * ((columns - delta) ** 2).sum(axis=0)
    variance: Floats = (between - (differing - m * n * delta**2)) / (m * n * (m - 1) * (n - 1))
    return variance


def _cross_ties(ranks: dict[str, Floats], scores: Floats, positive: NDArray[np.bool_]) -> Floats:
    """``[F]`` pairs of a positive and a negative with one score."""
    all_equal = ranks["max"][positive] - ranks["min"][positive] + 1
    inside = [stats.rankdata(scores[positive], name, axis=0) for name in ("max", "min")]
    ties: Floats = (all_equal - (inside[0] - inside[1] + 1)).sum(axis=0)
    return ties


def _limits(delta: Floats, variance: Floats, df: int, alpha: float) -> tuple[Floats, Floats]:
    """Feng and Cliff's asymmetric limits of delta."""
    z = float(stats.t.ppf(1 - alpha / 2, df))
    reach = z * np.sqrt(variance * ((1 - delta**2) ** 2 + z**2 * variance))
    base, centre = 1 - delta**2 + z**2 * variance, delta - delta**3
    with np.errstate(invalid="ignore", divide="ignore"):
        return (centre - reach) / base, (centre + reach) / base


def _separated(m: int, n: int, alpha: float) -> float:
    """Newcombe's lower limit of delta where it is 1."""
    z = float(stats.norm.ppf(1 - alpha / 2))

    def excess(area: float) -> float:
        spread = 1 + ((m + n) / 2 - 1) * ((1 - area) / (2 - area) + area / (1 + area))
        return (1 - area) - z**2 * area * spread / (m * n)

    return 2 * float(optimize.brentq(excess, 0, 1, xtol=1e-14)) - 1


def _spread_when_alike(ranks: dict[str, Floats], m: int, n: int) -> Floats:
    """``[F]`` the variance of the area where both kinds have one distribution, ties included."""
    total = m + n
    tied = ranks["max"] - ranks["min"] + 1
    correction = (tied**2 - 1).sum(axis=0) / (total * (total - 1))
    spread: Floats = np.maximum(total + 1 - correction, 0.0) / (12 * m * n)
    return spread
