"""Units drawn with replacement from a pilot: its shape kept, the declared effect added."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from causal_sae.estimation.sample import Codes, Matrix, Vector
from causal_sae.power.pilot import LEAST, Pilot
from causal_sae.randomness import generator
from causal_sae.simulation import Assumptions, Drawn, inert_when_silent, untouched
from causal_sae.simulation.population import with_effects

if TYPE_CHECKING:
    from causal_sae.simulation import Roster
    from causal_sae.spec import Outcome, Trial
    from causal_sae.spec.interventions import Arm


@dataclass(frozen=True)
class Source:
    """Where an arm's outcomes come from."""

    own: Vector
    """[units] the pilot's units' own outcome in the arm about its mean; NaN where not seen."""
    donors: Codes
    """[donors] units whose residuals are given to those without an outcome of their own."""
    residuals: Vector
    """[donors]"""
    slope: float
    """The outcome's slope on the clean outcome; 0 where that was not recorded."""


@dataclass(frozen=True)
class PilotPopulation:
    """Units as the pilot's were, with the effect that is planned for."""

    trial: Trial
    pilot: Pilot
    assumed: Mapping[str, Assumptions]

    @cached_property
    def sources(self) -> dict[tuple[str, str], Source]:
        """Outcome and arm -> where its outcomes come from."""
        return {
            (name, arm.name): _source(self.trial, self.pilot, self.trial.outcome(name), arm)
            for name in self.assumed
            for arm in self.trial.arms
        }

    def draw(self, roster: Roster, repetition: int, scale: float = 1.0) -> Drawn:
        """One set of units; see :class:`causal_sae.simulation.population.Population`."""
        rng = generator(self.trial.seed, "simulation", "pilot", str(repetition))
        unit, group = self._units(roster, rng)
        exposed = self.pilot.exposed[unit]
        clean, potential = {}, {}
        for name, assumed in self.assumed.items():
            base = self._base(name, unit, group, rng)
            columns = [base]
            for arm in self.trial.arms:
                columns.append(self._values(name, arm, unit, group, base, rng))
            values = np.column_stack(columns)
            clean[name] = base
            effect = assumed.effect * scale
            potential[name] = with_effects(self.trial, name, effect, values, exposed)
        return Drawn(exposed, clean, potential)

    def _units(self, roster: Roster, rng: np.random.Generator) -> tuple[Codes, Codes | None]:
        """[n] which pilot unit each unit is, and [n] which pilot cluster it is from."""
        pilot = self.pilot
        if roster.exposed is not None:
            return _members(
                pilot.exposed.astype(np.int64), roster.exposed.astype(np.int64), rng
            ), None
        if roster.cluster is not None and pilot.cluster is not None:
            code = np.unique(roster.cluster, return_inverse=True)[1]
            homes = rng.choice(np.unique(pilot.cluster), size=int(code.max()) + 1)
            return _members(pilot.cluster, homes[code], rng), homes[code]
        if roster.block is not None and pilot.block is not None and roster.cluster is None:
            where = {name: i for i, name in enumerate(pilot.block_names)}
            block = np.array([where.get(str(name), -1) for name in roster.block])
            if np.all(block >= 0):
                return _members(pilot.block, block, rng), None
        return rng.integers(len(pilot), size=len(roster)), None

    def _base(
        self, name: str, unit: Codes, group: Codes | None, rng: np.random.Generator
    ) -> Vector:
        """[n] the untouched model's outcome; another unit's where it was not recorded for all."""
        clean = _about_mean(self.pilot.clean[name])
        if not np.isnan(clean).any():
            return clean[unit]
        donors = np.flatnonzero(~np.isnan(clean))
        if len(donors) >= LEAST // 2:
            return clean[donors[self._given(donors, group, len(unit), rng)]]
        donors, _, about = _centred(self.pilot.values[name])
        return about[self._given(donors, group, len(unit), rng)]

    def _given(self, donors: Codes, group: Codes | None, n: int, rng: np.random.Generator) -> Codes:
        """[n] which donor gives to each unit: one of its pilot cluster where all have donors."""
        if group is not None and self.pilot.cluster is not None:
            of_donor = self.pilot.cluster[donors]
            if np.isin(group, of_donor).all():
                return _members(of_donor, group, rng)
        return rng.integers(len(donors), size=n)

    def _values(
        self,
        name: str,
        arm: Arm,
        unit: Codes,
        group: Codes | None,
        base: Vector,
        rng: np.random.Generator,
    ) -> Vector:
        """[n] the outcome in the arm without an effect."""
        source = self.sources[name, arm.name]
        own = source.own[unit]
        if not np.isnan(own).any():
            return own
        given = self._given(source.donors, group, len(unit), rng)
        slope = source.slope * base if source.slope else np.zeros(len(unit))
        return slope + source.residuals[given]


def _source(trial: Trial, pilot: Pilot, outcome: Outcome, arm: Arm) -> Source:
    nothing = np.full(len(pilot), np.nan)
    clean = _about_mean(pilot.clean[outcome.name])
    recorded = not np.isnan(clean).any()
    if untouched(trial, arm, outcome) and recorded:
        return Source(clean, np.empty(0, dtype=np.int64), np.empty(0), 0.0)
    reached = pilot.exposed if inert_when_silent(arm) else np.ones(len(pilot), dtype=np.bool_)
    if reached.sum() < LEAST // 2:
        reached = np.ones(len(pilot), dtype=np.bool_)
    columns = pilot.rows_of(trial, arm.name)
    values = pilot.values[outcome.name][:, columns]
    if len(columns) == 1 and not np.isnan(values).any():
        change = values[:, 0] - (clean if recorded else 0.0)
        about = change - change[reached].mean()
        own = (clean if recorded else 0.0) + about
        return Source(own, np.empty(0, dtype=np.int64), np.empty(0), 0.0)
    donors, _, value = _centred(np.where(reached[:, None], values, np.nan))
    beside = clean[donors] - clean[donors].mean() if recorded else np.zeros(len(donors))
    square = float(beside @ beside)
    slope = float(beside @ value) / square if square > 0 else 0.0
    return Source(nothing, donors, value - slope * beside, slope)


def _centred(values: Matrix) -> tuple[Codes, Codes, Vector]:
    """The units, the columns and the values (about their column's mean) that there are."""
    unit, column = np.nonzero(~np.isnan(values))
    value = values[unit, column]
    mean = np.bincount(column, value) / np.maximum(np.bincount(column), 1)
    return unit, column, value - mean[column]


def _about_mean(values: Vector) -> Vector:
    """The values minus their mean."""
    centred: Vector = values - np.nanmean(values) if not np.isnan(values).all() else values
    return centred


def _members(groups: Codes, wanted: Codes, rng: np.random.Generator) -> Codes:
    """[n] for each wanted group one of its members, drawn with replacement."""
    order = np.argsort(groups, kind="stable")
    codes, start, count = np.unique(groups[order], return_index=True, return_counts=True)
    at = np.searchsorted(codes, wanted)
    picked = start[at] + (rng.random(len(wanted)) * count[at]).astype(np.int64)
    chosen: Codes = order[picked]
    return chosen
