"""What each look of a test decides, given those before it.

Outcomes of the trial are ordered by stages: a statistic that leaves its path upwards ranks above
all that stay on the path, whatever they do later (Armitage 1957; Tsiatis, Rosner and Mehta 1984).
The upper boundary of a look is the value whose probability of being reached or outranked, without
an effect, is the error that one side may have made by then; so a boundary is crossed exactly when
the ordering's p-value is at most what is spent. Where there is no futility rule these are the
classical boundaries of group-sequential tests. A futility rule stops in the middle; a test that
goes on from above the middle can then reject upwards only, and the other way round. The rule is
binding: the probability of a false rejection counts on its being obeyed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Literal

import numpy as np
from scipy import optimize, special

from causal_sae.estimation.sequential.walk import Walk

Decision = Literal["reject", "futile", "continue", "not rejected"]
FARTHEST = 8.5
"""No boundary is further out."""
SMALLEST = 1e-15
"""Less error than this buys no boundary."""


@dataclass(frozen=True)
class Regions:
    """What the values of Z at one look lead to, on the path that led there."""

    time: float
    """The information fraction."""
    lower: float
    """At or below it: reject downwards; -inf: never."""
    upper: float
    """At or above it: reject upwards; inf: never."""
    middle: tuple[float, float] | None = None
    """Strictly between the two: stop for futility; None: never."""

    def decision(self, z: float, last: bool) -> Decision:
        """What a value of Z leads to."""
        if z >= self.upper or z <= self.lower:
            return "reject"
        if last:
            return "not rejected"
        futile = self.middle is not None and self.middle[0] < z < self.middle[1]
        return "futile" if futile else "continue"

    def going_on(self, z: float) -> tuple[float, float]:
        """The interval around z on which the test goes on."""
        if self.middle is None:
            return self.lower, self.upper
        return (self.middle[1], self.upper) if z >= self.middle[1] else (self.lower, self.middle[0])


@dataclass(frozen=True)
class Stage:
    """One look at one test."""

    z: float
    """The statistic as a normal quantile."""
    spent: float
    """The error that each side may have made by now."""
    regions: Regions
    decision: Decision


def follow(
    times: Sequence[float],
    spent: Sequence[float],
    statistics: Sequence[float],
    total: int,
    futility: float | None = None,
    alpha: float = 0.05,
) -> list[Stage]:
    """The looks of one test up to the one that decides it.

    Parameters
    ----------
    times:
        [looks] the information fractions as found, increasing.
    spent:
        [looks] the error that one side may have made by each of them.
    statistics:
        [looks] Z.
    total:
        How many looks there are when the trial goes to its end; the last of them does not go on.
    futility:
        Stop where the probability of rejecting at the end, should the trend go on, is below this.
    alpha:
        Two-sided; the end's critical value, for the futility rule.
    """
    walk, found = Walk(0.0), []
    for number, (time, error, z) in enumerate(zip(times, spent, statistics, strict=True), 1):
        last = number == total
        regions = at_look(walk, time, error, None if last else futility, alpha)
        stage = Stage(z, error, regions, regions.decision(z, last))
        found.append(stage)
        if stage.decision != "continue":
            break
        walk = walk.kept(time, *regions.going_on(z))
    return found


def at_look(walk: Walk, time: float, error: float, futility: float | None, alpha: float) -> Regions:
    """The regions of a look, on a path without drift.

    Parameters
    ----------
    walk:
        What is left after the looks before.
    time:
        The look's information fraction.
    error:
        What one side may have spent by now.
    futility, alpha:
        As for :func:`follow`.
    """
    upper = _bound(lambda z: walk.upper(time, z), error - walk.above)
    lower = -_bound(lambda z: walk.lower(time, -z), error - walk.below)
    inner = _inner(time, futility, alpha)
    if not inner > 0:
        return Regions(time, lower, upper)
    # A path that has left the middle on one side can come back to it, but not cross over.
    low = -np.inf if walk.below > error else -inner
    high = np.inf if walk.above > error else inner
    return Regions(time, lower, upper, (max(low, lower), min(high, upper)))


def _bound(tail: Callable[[float], float], left: float) -> float:
    """Where a tail is as large as what is left to spend; infinite where nothing is left."""
    if left < SMALLEST:
        return np.inf
    if tail(-FARTHEST) <= left:
        return -FARTHEST  # all that is left of the path rejects
    return float(optimize.brentq(lambda z: tail(z) - left, -FARTHEST, FARTHEST, xtol=1e-12))


def _inner(time: float, futility: float | None, alpha: float) -> float:
    """|Z| below which the conditional power under the trend is below ``futility``; 0: never.

    Source: Lan and Wittes (1988), The B-value. The trend goes on as ``Z / sqrt(t)``.
    """
    if futility is None or time >= 1:
        return 0.0
    end = float(special.ndtri(1 - alpha / 2))
    return sqrt(time) * (end + sqrt(1 - time) * float(special.ndtri(futility)))
