"""What a stopping rule does on average: where it stops, how often it rejects, how far it goes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from causal_sae.estimation.sample import Vector
from causal_sae.estimation.sequential import always_valid
from causal_sae.estimation.sequential.path import Regions, at_look
from causal_sae.estimation.sequential.spending import planned_spending
from causal_sae.estimation.sequential.walk import Walk
from causal_sae.spec.analysis import Looks


@dataclass(frozen=True)
class Rule:
    """The planned looks at one test."""

    looks: Looks
    alpha: float
    """The test's error rate over all looks, two-sided."""
    times: tuple[float, ...]
    """The planned information fractions."""

    def regions(self, number: int, null: Walk) -> Regions:
        """The regions of a look (from 0), given what is left without an effect."""
        time = self.times[number]
        if self.looks.spending == "always_valid":
            bound = always_valid.boundary(self.alpha, time * self._scale)
            return Regions(time, -bound, bound)
        spent = planned_spending(self.looks.spending, self.alpha, self.times)[number]
        last = number == len(self.times) - 1
        return at_look(null, time, float(spent), None if last else self.looks.futility, self.alpha)

    @property
    def _scale(self) -> float:
        """What a confidence sequence takes for full information, over that of all units."""
        return 1.0 if self.looks.at is not None else 0.1 / self.times[0]


@dataclass(frozen=True)
class Characteristics:
    """The probabilities of what each look does, under one effect."""

    rejects: Vector
    """[looks] it rejects there."""
    futile: Vector
    """[looks] it is given up there."""

    @property
    def power(self) -> float:
        """The probability of rejecting at any look."""
        return float(self.rejects.sum())

    def expected(self, times: Sequence[float]) -> float:
        """The mean of the information fraction at the stop."""
        stops = self.rejects + self.futile
        stops[-1] += 1 - stops.sum()
        return float(stops @ np.array(times))


def characteristics(rule: Rule, drift: float) -> Characteristics:
    """Exact up to the integration, for statistics that are normal.

    Parameters
    ----------
    rule:
        The looks.
    drift:
        The mean of Z at full information; 0: no effect.
    """
    count = len(rule.times)
    found = Characteristics(np.zeros(count), np.zeros(count))
    _follow(rule, 0, Walk(0.0), Walk(drift), found)
    return found


def _follow(rule: Rule, number: int, null: Walk, walk: Walk, found: Characteristics) -> None:
    """Add what one path leads to, from a look on."""
    time = rule.times[number]
    regions = rule.regions(number, null)
    on_path = 1.0 if walk.mass is None else float(walk.mass.sum())
    rejects = sum(
        tail
        for bound, tail in (
            (regions.upper, walk.upper(time, regions.upper)),
            (regions.lower, walk.lower(time, regions.lower)),
        )
        if np.isfinite(bound)
    )
    found.rejects[number] += rejects
    if number == len(rule.times) - 1:
        return
    goes_on = 0.0
    for low, high in _intervals(regions):
        kept = walk.kept(time, low, high)
        goes_on += 0.0 if kept.mass is None else float(kept.mass.sum())
        _follow(rule, number + 1, null.kept(time, low, high), kept, found)
    if regions.middle is not None:
        found.futile[number] += max(0.0, on_path - rejects - goes_on)


def _intervals(regions: Regions) -> list[tuple[float, float]]:
    """Where a test goes on: one interval, or those above and below the middle."""
    if regions.middle is None:
        return [(regions.lower, regions.upper)]
    low, high = regions.middle
    both = [(regions.lower, low), (high, regions.upper)]
    return [(a, b) for a, b in both if a < b]
