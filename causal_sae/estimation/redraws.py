"""What the estimate and its standard error would have been under other draws of the assignment.

Under the hypothesis that the treatment adds ``tau`` to every unit, the outcomes without treatment
are ``y - tau z`` whatever was drawn. Each draw's difference is therefore linear in tau and its
variance quadratic, so one pass over the draws serves every hypothesis.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from math import comb, prod
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from causal_sae.estimation.sample import Codes, Mask, Matrix, Redeal, Vector

Draws = NDArray[np.int8]

DRAWS, FEWEST = 9_999, 1_999
"""How many assignments are drawn where they are too many to list; fewer where units are many."""
DRAWN = 20_000_000
"""Above the fewest, no more assignments are drawn than this over the number of units."""
MOST = 200_000
"""Up to this many assignments are listed."""
CELLS = 8_000_000
"""No list is longer than this many assignments times units."""
SOUGHT = 600_000_000
"""Accepted assignments are sought among no more than this over the number of units."""
CHUNK = 2_000_000
"""How many cells are in memory at a time."""
TIES = 1e-9
"""Statistics that differ by less than this share count as equal."""


@dataclass(frozen=True)
class Redraws:
    """Differences and variances by draw; the first of each is of the assignment that was made."""

    of_outcome: Vector
    """[1 + draws] the difference of the outcomes."""
    of_treatment: Vector
    """[1 + draws] the difference of what a constant effect of 1 added to the outcomes."""
    squares: tuple[Vector, Vector, Vector]
    """[1 + draws] each: the variance of the outcomes' difference, its covariance with that of the
    treatment, and the variance of the latter."""
    listed: bool
    """Whether the draws are all that could have been made, the one that was made among them."""

    @cached_property
    def std_error(self) -> float:
        """That of the assignment made; where no variance can be had, the spread of the draws."""
        if self.studentised:
            return float(np.sqrt(self.squares[0][0]))
        null = self.of_outcome - self.of_outcome[0] * self.of_treatment
        return float(np.sqrt(np.mean(null[1:] ** 2)))

    @property
    def studentised(self) -> bool:
        """Whether every draw has a standard error of its own."""
        return bool(np.isfinite(self.squares[0]).all())

    def statistics(self, tau: float) -> Vector:
        """[1 + draws] the t statistics under a constant effect of tau."""
        difference = self.of_outcome - tau * self.of_treatment
        # The effect of the assignment made is shifted exactly, whatever rounding left.
        difference[0] = self.of_outcome[0] - tau
        if not self.studentised:
            return difference / self.std_error
        yy, yz, zz = self.squares
        variance = yy - 2 * tau * yz + tau**2 * zz
        variance[0] = yy[0]
        floor = 1e-14 * (yy[0] + np.abs(variance).max())
        statistics: Vector = difference / np.sqrt(np.maximum(variance, floor))
        return statistics

    def p_value(self, tau: float, side: int = 0) -> float:
        """The share of assignments at least as extreme as the one made.

        Parameters
        ----------
        tau:
            The constant effect of the hypothesis.
        side:
            0 for both sides; +1 or -1 to count only statistics at least as large, or as small.
        """
        statistics = self.statistics(tau)
        extreme = np.abs(statistics) if side == 0 else side * statistics
        reached = extreme[1:] >= extreme[0] - TIES * abs(extreme[0])
        if self.listed:
            return float(np.mean(reached))
        return float((1 + reached.sum()) / (1 + len(reached)))


def affordable(items: int) -> int:
    """How many assignments of this many units or clusters are drawn."""
    return int(np.clip(DRAWN // items, FEWEST, DRAWS))


Moments: TypeAlias = tuple[Vector, Vector, Vector, Vector, Vector]
"""[draws] each: the means of outcome and treatment, their variances and the covariance between."""
Pass = Callable[[Matrix], Moments]
"""Draws [draws, items] in."""


def flipped(total: Vector, size: Vector, rng: np.random.Generator) -> Redraws:
    """Pairs whose two members swap arms, or clusters of pairs that swap together.

    Parameters
    ----------
    total:
        [items] the sum of each item's differences.
    size:
        [items] how many pairs each item has.
    rng:
        For the draws, where signs cannot be listed.

    Notes
    -----
    The standard error is CR2's of a mean; with one pair in each item, that of the paired t-test.
    """
    items = len(total)
    listed = 2**items <= MOST and 2**items * items <= CELLS
    if listed:
        bits = (np.arange(2**items)[:, None] >> np.arange(items)) & 1
        draws = bits.astype(np.int8) * -2 + 1
    else:
        draws = rng.integers(0, 2, (affordable(items), items), dtype=np.int8) * 2 - 1
    n = size.sum()
    weight = 1 / (1 - size / n)
    yy, yz, zz = (float(np.sum(weight * v)) for v in (total**2, total * size, size**2))

    def one(signs: Matrix) -> Moments:
        y, z = signs @ total / n, signs @ size / n
        cross_y, cross_z = signs @ (weight * total * size), signs @ (weight * size**2)
        return (
            y,
            z,
            (yy - 2 * y * cross_y + y**2 * zz) / n**2,
            (yz - y * cross_z - z * cross_y + y * z * zz) / n**2,
            (zz - 2 * z * cross_z + z**2 * zz) / n**2,
        )

    return _passed(one, np.ones((1, items)), draws, listed)


@dataclass(frozen=True)
class Items:
    """What the assignment dealt: units, or clusters of them."""

    total: Vector
    """[items] the sum of the outcomes of each item."""
    size: Vector
    """[items] how many units each has."""
    treated: Mask
    """[items] whether it was treated."""
    stratum: Codes
    """[items] within which of 0, 1, ... it was dealt."""

    def of(self, stratum: int) -> Items:
        """The items of one stratum, their outcomes centred there."""
        rows = self.stratum == stratum
        mean = self.total[rows].sum() / self.size[rows].sum()
        total = self.total[rows] - mean * self.size[rows]
        return Items(total, self.size[rows], self.treated[rows], self.stratum[rows])


def dealt(items: Items, rng: np.random.Generator, redeal: Redeal | None = None) -> Redraws:
    """Items that change arms within their strata, as many in each arm as there were.

    Parameters
    ----------
    items:
        What was dealt. Every stratum has items in both arms.
    rng:
        For the draws, where assignments cannot be listed.
    redeal:
        Which assignments the trial would have accepted; None: all. The items are then units.

    Notes
    -----
    Strata count by their units. The standard error is CR2's of two means in each stratum; with
    one unit in each item, Neyman's. Where an arm of a stratum has one item there is none.
    """
    strata = [items.of(k) for k in range(int(items.stratum.max()) + 1)]
    weights = [float(part.size.sum() / items.size.sum()) for part in strata]
    columns = [np.flatnonzero(items.stratum == k) for k in range(len(strata))]
    parts = [_two_means(part) for part in strata]

    def one(draws: Matrix) -> Moments:
        sums = [np.zeros(len(draws)) for _ in range(5)]
        for weight, column, part in zip(weights, columns, parts, strict=True):
            for i, value in enumerate(part(draws[:, column])):
                sums[i] += (weight if i < 2 else weight**2) * value
        return sums[0], sums[1], sums[2], sums[3], sums[4]

    listed = _few(strata)
    if listed:
        draws = _every(strata, columns)
        draws = draws if redeal is None else draws[redeal.accepts(draws.astype(np.float64))]
    elif redeal is None:
        draws = _some(strata, columns, rng, affordable(len(items.size)))
    else:
        draws = _accepted(strata, columns, rng, redeal)
    return _passed(one, items.treated[None, :].astype(np.float64), draws, listed)


def _few(strata: list[Items]) -> bool:
    count = prod(comb(len(part.size), int(part.treated.sum())) for part in strata)
    return count <= MOST and count * sum(len(part.size) for part in strata) <= CELLS


def _every(strata: list[Items], columns: list[Codes]) -> Draws:
    """Every assignment with the arms' sizes in each stratum: [assignments, items]."""
    result = np.zeros((1, sum(map(len, columns))), dtype=np.int8)
    for part, column in zip(strata, columns, strict=True):
        chosen = np.array(list(combinations(range(len(column)), int(part.treated.sum()))))
        ways = np.zeros((len(chosen), len(column)), dtype=np.int8)
        np.put_along_axis(ways, chosen, 1, axis=1)
        result = np.repeat(result, len(ways), axis=0)
        result[:, column] = np.tile(ways, (len(result) // len(ways), 1))
    return result


def _accepted(
    strata: list[Items], columns: list[Codes], rng: np.random.Generator, redeal: Redeal
) -> Draws:
    """As many accepted assignments as the fewest that are drawn; fewer where they are rare."""
    items = sum(map(len, columns))
    batch, most = max(1, CHUNK // items), max(FEWEST, SOUGHT // items)
    found: list[Draws] = []
    drawn = kept = 0
    while kept < FEWEST and drawn < most:
        draws = _some(strata, columns, rng, batch)
        draws = draws[redeal.accepts(draws.astype(np.float64))]
        found.append(draws[: FEWEST - kept])
        drawn, kept = drawn + batch, kept + len(draws)
    return np.concatenate(found)


def _some(strata: list[Items], columns: list[Codes], rng: np.random.Generator, count: int) -> Draws:
    items = sum(map(len, columns))
    result = np.zeros((count, items), dtype=np.int8)
    for part, column in zip(strata, columns, strict=True):
        arms = np.tile(part.treated.astype(np.int8), (len(result), 1))
        result[:, column] = rng.permuted(arms, axis=1)
    return result


def _two_means(part: Items) -> Pass:
    """The difference of two means in one stratum, and its variance, for each draw."""
    effect = part.size * part.treated
    # Centring changes no difference and no variance.
    effect = effect - part.size * (effect.sum() / part.size.sum())

    def one(draws: Matrix) -> Moments:
        first, second = (_of_arm(arm, part, effect) for arm in (draws, 1 - draws))
        return (
            first[0] - second[0],
            first[1] - second[1],
            first[2] + second[2],
            first[3] + second[3],
            first[4] + second[4],
        )

    return one


def _of_arm(arm: Matrix, part: Items, effect: Vector) -> Moments:
    """One arm's means of the outcome and of the effect, and their variances, for each draw."""
    n = arm @ part.size
    y, z = arm @ part.total / n, arm @ effect / n
    if not 1 < part.treated.sum() < len(part.size) - 1:
        unknown = np.full(len(arm), np.nan)
        return y, z, unknown, unknown, unknown
    if np.all(part.size == 1):
        scale = n * (n - 1)
        return (
            y,
            z,
            (arm @ part.total**2 - n * y**2) / scale,
            (arm @ (part.total * effect) - n * y * z) / scale,
            (arm @ effect**2 - n * z**2) / scale,
        )
    weight = arm / np.where(arm > 0, 1 - part.size / n[:, None], 1.0) / n[:, None] ** 2
    of_y, of_z = part.total - part.size * y[:, None], effect - part.size * z[:, None]
    yy, yz, zz = (np.sum(weight * v, axis=1) for v in (of_y**2, of_y * of_z, of_z**2))
    return y, z, yy, yz, zz


def _passed(one: Pass, made: Matrix, draws: Draws, listed: bool) -> Redraws:
    """The assignment made and the draws, passed through in chunks."""
    found = [one(made), *(one(chunk) for chunk in _chunks(draws))]
    y, z, yy, yz, zz = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return Redraws(y, z, (yy, yz, zz), listed)


def _chunks(draws: Draws) -> Iterator[Matrix]:
    rows = max(1, CHUNK // draws.shape[1])
    for start in range(0, len(draws), rows):
        yield draws[start : start + rows].astype(np.float64)
