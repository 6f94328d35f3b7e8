"""The studentised statistics of many assignments at once, for each estimator that has them.

What the estimators make of one assignment, as array arithmetic over a chunk of them. All but those
of clusters are functions of the number, sum and sum of squares of each arm in each block.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from causal_sae.estimation.sample import Codes, Matrix, SEType, Vector

FLOOR = 1e-14
"""Variances below this share of the largest are rounding."""


@dataclass(frozen=True)
class Dealt:
    """What was dealt to the two arms of a contrast, and the outcomes."""

    total: Matrix
    """[items, outcomes] the sum of each item's outcomes, 0 where it has none."""
    size: Matrix
    """[items, outcomes] how many units of the item have the outcome."""
    square: Matrix
    """[items, outcomes] the sum of their squares."""
    stratum: Codes
    """[items] the block, from 0; all 0 without blocks."""
    se_type: SEType = "HC2"
    """The standard error of least squares."""


@dataclass(frozen=True)
class Arms:
    """Each arm's units in each block, for a chunk of assignments: all [draws, blocks]."""

    n: tuple[Matrix, Matrix]
    """How many have the outcome, treated and reference."""
    mean: tuple[Matrix, Matrix]
    """Their mean, 0 where there is none."""
    rest: tuple[Matrix, Matrix]
    """The sum of squares about it."""

    @property
    def usable(self) -> Matrix:
        """1 for blocks with units in both arms, 0 for others."""
        return ((self.n[0] > 0) & (self.n[1] > 0)).astype(np.float64)


def arms(data: Dealt, outcome: int, draws: Matrix) -> Arms:
    """The moments of one outcome by arm and block.

    Parameters
    ----------
    data:
        Whose items are units.
    outcome:
        Its column.
    draws:
        [draws, items] 1 where the item is treated, 0 where it is not.
    """
    columns = np.column_stack([part[:, outcome] for part in (data.size, data.total, data.square)])
    blocks = int(data.stratum.max()) + 1
    treated, all_of = np.empty((3, len(draws), blocks)), np.empty((3, 1, blocks))
    for k in range(blocks):
        rows = data.stratum == k
        treated[:, :, k] = (draws[:, rows] @ columns[rows]).T
        all_of[:, 0, k] = columns[rows].sum(axis=0)
    found = [treated, all_of - treated]
    means = [np.divide(s, n, out=np.zeros_like(s), where=n > 0) for n, s, _ in found]
    rests = [np.maximum(q - n * m**2, 0.0) for (n, _, q), m in zip(found, means, strict=True)]
    return Arms((found[0][0], found[1][0]), (means[0], means[1]), (rests[0], rests[1]))


def _ratio(difference: Vector, variance: Vector) -> Vector:
    """[draws] |t|. An assignment that has no standard error counts as extreme."""
    known = np.isfinite(variance)
    floor = FLOOR * float(np.max(variance[known], initial=0.0))
    root = np.sqrt(np.maximum(variance, floor, where=known, out=np.full_like(variance, np.nan)))
    ratio = np.divide(np.abs(difference), root, out=np.zeros_like(root), where=root > 0)
    found: Vector = np.where(known, ratio, np.inf)
    return found


def _quotient(a: Matrix, b: Matrix) -> Matrix:
    """The quotient; NaN where the divisor is not above 0."""
    nothing = np.full(np.broadcast(a, b).shape, np.nan)
    found: Matrix = np.divide(a, b, out=nothing, where=b > 0)
    return found


def within_blocks(data: Dealt, outcome: int, draws: Matrix) -> Vector:
    """Block-size-weighted differences; with one block Welch's, and least squares' on the arm."""
    found = arms(data, outcome, draws)
    size = (found.n[0] + found.n[1]) * found.usable
    weight = size / size.sum(axis=1, keepdims=True)
    lost = 1.0 if data.se_type == "HC3" else 0.0
    variance = np.zeros_like(size)
    for n, rest in zip(found.n, found.rest, strict=True):
        variance = variance + _quotient(rest, (n - lost) * (n - 1))
    difference = np.sum(weight * (found.mean[0] - found.mean[1]), axis=1)
    parts = np.where(weight > 0, weight**2 * variance, 0.0)
    return _ratio(difference, parts.sum(axis=1))


def matched_pairs(data: Dealt, outcome: int, draws: Matrix) -> Vector:
    """The mean difference of blocks of two over its standard error."""
    found = arms(data, outcome, draws)
    pairs = found.usable.sum(axis=1)
    difference = (found.mean[0] - found.mean[1]) * found.usable
    mean = difference.sum(axis=1) / pairs
    rest = np.sum(difference**2, axis=1) - pairs * mean**2
    return _ratio(mean, rest / (pairs * (pairs - 1)))


def block_indicators(data: Dealt, outcome: int, draws: Matrix) -> Vector:
    """Least squares on block indicators and the arm."""
    found = arms(data, outcome, draws)
    return _regression(found, data.se_type, [found.usable, found.usable])


def inverse_shares(data: Dealt, outcome: int, draws: Matrix) -> Vector:
    """The same with units weighted by the inverse of their arm's share in the block."""
    found = arms(data, outcome, draws)
    total = found.n[0] + found.n[1]
    weights = [np.nan_to_num(_quotient(total, n)) * found.usable for n in found.n]
    return _regression(found, data.se_type, weights)


def _regression(found: Arms, se_type: SEType, weights: list[Matrix]) -> Vector:
    """|t| of the arm beside block indicators; weights [draws, blocks] for either arm.

    In each block the arm's residual takes two values, so the coefficient, the leverages and the
    residuals' squares are all sums over blocks and arms.
    """
    mass = [w * n for w, n in zip(weights, found.n, strict=True)]
    both = mass[0] + mass[1]
    share = np.nan_to_num(_quotient(mass[0], both))
    level = share * found.mean[0] + (1 - share) * found.mean[1]
    arm = (1 - share, -share)  # the arm's residual on the blocks, treated and reference
    norm = sum(np.sum(m * a**2, axis=1) for m, a in zip(mass, arm, strict=True))
    top = sum(np.sum(m * a * y, axis=1) for m, a, y in zip(mass, arm, found.mean, strict=True))
    slope = top / norm
    variance = np.zeros(len(slope))
    power = 2 if se_type == "HC3" else 1
    for i in (0, 1):
        off = found.mean[i] - level - slope[:, None] * arm[i]
        squares = found.rest[i] + found.n[i] * off**2
        lever = weights[i] * (_quotient(np.ones_like(both), both) + arm[i] ** 2 / norm[:, None])
        part = _quotient((weights[i] * arm[i]) ** 2 * squares, (1 - lever) ** power)
        variance = variance + np.where(found.n[i] * found.usable > 0, part, 0.0).sum(axis=1)
    return _ratio(slope, variance / norm**2)


def clusters(data: Dealt, outcome: int, draws: Matrix) -> Vector:
    """Whole clusters in each arm: CR2 of two means in each block, blocks weighted by their size."""
    total, size = data.total[:, outcome], data.size[:, outcome]
    difference, variance = np.zeros(len(draws)), np.zeros(len(draws))
    for k in range(int(data.stratum.max()) + 1):
        rows = (data.stratum == k) & (size > 0)
        if not rows.any():
            continue
        weight = size[rows].sum() / size.sum()
        for sign, arm in ((1, draws[:, rows]), (-1, 1 - draws[:, rows])):
            n = arm @ size[rows]
            mean = _quotient(arm @ total[rows], n)
            free = 1 - size[rows] / np.where(n > 0, n, np.nan)[:, None]
            score = _quotient(arm * (total[rows] - size[rows] * mean[:, None]) ** 2, free)
            part = np.where(arm > 0, score, 0.0).sum(axis=1) / n**2
            difference += sign * weight * mean
            variance += weight**2 * part
    return _ratio(difference, variance)


def clusters_beside_blocks(data: Dealt, outcome: int, draws: Matrix) -> Vector:
    """Whole clusters in each arm: CR2 of least squares on block indicators and the arm."""
    total, size = data.total[:, outcome], data.size[:, outcome]
    member = np.eye(int(data.stratum.max()) + 1)[data.stratum]
    of_block = np.where(size @ member > 0, size @ member, 1.0)
    arm = draws - ((draws * size) @ member / of_block)[:, data.stratum]
    norm = (arm**2 * size).sum(axis=1)
    slope = (arm @ total) / norm
    level = ((total @ member) / of_block)[data.stratum]
    rest = total - size * (level + slope[:, None] * arm)
    free = 1 - size * (1 / of_block[data.stratum] + arm**2 / norm[:, None])
    part = np.where(size > 0, _quotient((arm * rest) ** 2, free), 0.0)
    return _ratio(slope, part.sum(axis=1) / norm**2)


def swaps(data: Dealt, outcome: int, draws: Matrix) -> Vector:
    """The mean of differences within units (or clusters of them): CR2, the paired t where alone.

    Parameters
    ----------
    data:
        Items are units or clusters of them; totals are of differences.
    outcome:
        The column.
    draws:
        [draws, items] 1, or -1 where the arms change places.
    """
    total, size = data.total[:, outcome], data.size[:, outcome]
    n = size.sum()
    mean = draws @ total / n
    weight = np.where(size > 0, 1 / (1 - size / n), 0.0)
    cross = draws @ (weight * size * total)
    variance = np.sum(weight * total**2) - 2 * mean * cross + mean**2 * np.sum(weight * size**2)
    return _ratio(mean, variance / n**2)


Statistic = Callable[[Dealt, int, Matrix], Vector]


def statistic(estimator: str, flags: frozenset[str]) -> Statistic | None:
    """The statistic of an estimator in the form that its flags tell; None where there is none."""
    if estimator in {"welch", "difference_in_means"}:
        return within_blocks
    if estimator == "fixed_effects":
        return block_indicators
    if estimator == "block":
        weighted = inverse_shares if "probability_weighted" in flags else block_indicators
        unmatched = weighted if "block_regression" in flags else within_blocks
        return matched_pairs if "matched_pairs" in flags else unmatched
    if estimator == "cluster":
        return clusters if "block_interactions" in flags else clusters_beside_blocks
    return swaps if estimator == "paired" else None
