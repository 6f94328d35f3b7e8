"""Outcomes made up as a plan assumes them: for every unit, what it would be in every arm.

Outcomes are normal. Two arms of one unit, the untouched model among them, have the correlation
``rho``; two units of a cluster (without clusters: of a block) have the correlation ``icc``. Where
whole clusters are assigned, or every unit is in every arm, what a cluster shares of a change
between arms is as large a part of it as of the outcome; where a block or cluster has units in
several arms, its part is the same in all of them. Where a feature is silent an edit of its
activation changes nothing, to the last bit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import numpy as np

from causal_sae.errors import Place, SpecError
from causal_sae.estimation.sample import Codes, Mask, Matrix, Vector
from causal_sae.randomness import generator
from causal_sae.simulation.arms import assumed_effects, inert_when_silent, untouched
from causal_sae.spec.rules.analysis import CLUSTERED

if TYPE_CHECKING:
    from causal_sae.simulation.pool import Sampling
    from causal_sae.simulation.roster import Roster
    from causal_sae.spec import Trial


@dataclass(frozen=True)
class Shape:
    """An arm's outcomes beside those of the untouched model, over the latter's variance."""

    variance: float = 1.0
    covariance: float = 1.0


@dataclass(frozen=True)
class Assumptions:
    """What a plan takes an outcome to be like."""

    effect: float
    """Treatment minus reference, in the outcome's units; on the units that the edit can reach."""
    sd: float = 1.0
    """The standard deviation over units, in the outcome's units."""
    rho: float = 0.0
    """The correlation of a unit's outcomes in two arms."""
    icc: float = 0.0
    """The correlation of two units of a cluster, or of a block where there are no clusters."""
    active: float = 1.0
    """The share of units on which the feature fires."""
    placebo_sd: float = 0.0
    """How much the effects of placebo features differ: their standard deviation, in the outcome's
    units."""
    measured: Mapping[str, Shape] = field(default_factory=dict)
    """Arm -> how its outcomes lie about the clean outcome, where a pilot shows it; else ``rho``."""
    changes: Mapping[tuple[str, str], float] = field(default_factory=dict)
    """Contrast -> the variance of differences within units, over ``sd^2``, among units that the
    contrast reaches, where a pilot shows it; else ``2 (1 - rho)``."""


@dataclass(frozen=True)
class Drawn:
    """One set of units with all that could be seen of them."""

    exposed: Mask
    """[n] whether the feature fires on the untouched prompt."""
    clean: Mapping[str, Vector]
    """Outcome -> [n] on the untouched model."""
    potential: Mapping[str, Matrix]
    """Outcome -> [n, arms] what it would be in each arm, in the order of the trial."""
    draw: Codes | None = None
    """[n, arms] which of the arm's draws the unit is dealt, -1 where it has none; None: draws are
    not told apart."""
    sampling: Sampling | None = None
    """How they were drawn from a pool; None: they were not."""


class Population(Protocol):
    """Where simulated units come from."""

    def draw(self, roster: Roster, repetition: int, scale: float = 1.0) -> Drawn:
        """One set of units; ``scale`` multiplies the assumed effect."""
        ...


@dataclass(frozen=True)
class NormalPopulation:
    """Units as the plan's assumptions say, without a model and without data."""

    trial: Trial
    assumed: Mapping[str, Assumptions]
    """Outcome -> what it is like."""

    def draw(self, roster: Roster, repetition: int, scale: float = 1.0) -> Drawn:
        """One set of units.

        Each use has a generator of its own, and a larger roster begins like a smaller one.
        """
        seed, label = self.trial.seed, str(repetition)
        active = max(assumed.active for assumed in self.assumed.values())
        exposed = generator(seed, "simulation", "exposed", label).random(len(roster)) < active
        exposed = exposed if roster.exposed is None else roster.exposed
        clean, potential = {}, {}
        for name, assumed in self.assumed.items():
            values = self._values(name, assumed, roster, label)
            clean[name] = values[:, 0]
            potential[name] = self._arms(name, assumed.effect * scale, values, exposed)
        return Drawn(exposed, clean, potential)

    def _values(self, name: str, assumed: Assumptions, roster: Roster, label: str) -> Matrix:
        """[n, 1 + arms] correlated normal values without effects; the untouched model's first."""
        width = 1 + len(self.trial.arms)
        draws = generator(self.trial.seed, "simulation", name, label)
        own = draws.standard_normal((len(roster), width))
        if roster.group is None or assumed.icc == 0:
            return assumed.sd * own @ root(assumed.rho, width).T
        group = np.unique(roster.group, return_inverse=True)[1]
        shares = generator(self.trial.seed, "simulation", name, "group", label)
        shared = shares.standard_normal((int(group.max()) + 1, width))
        rho = assumed.rho
        if groups_span_arms(self.trial):
            shared, rho = shared[:, :1], own_rho(assumed.rho, assumed.icc)
        else:
            shared = shared @ root(rho, width).T
        own = own @ root(rho, width).T
        mixed: Matrix = np.sqrt(assumed.icc) * shared[group] + np.sqrt(1 - assumed.icc) * own
        return assumed.sd * mixed

    def _arms(self, name: str, effect: float, values: Matrix, exposed: Mask) -> Matrix:
        return with_effects(self.trial, name, effect, values, exposed)


def groups_span_arms(trial: Trial) -> bool:
    """Whether units of one block or cluster are in different arms of a parallel design."""
    return not trial.within_unit and trial.assignment.method not in CLUSTERED


def own_rho(rho: float, icc: float) -> float:
    """The correlation of a unit's outcomes in two arms beyond what its group shares.

    The group's part is the same in all arms, so the whole correlation is at least ``icc``.
    """
    return max(0.0, (rho - icc) / (1 - icc))


def with_effects(
    trial: Trial, outcome: str, effect: float, values: Matrix, exposed: Mask
) -> Matrix:
    """[n, arms] potential outcomes, from values without effects.

    Parameters
    ----------
    trial, outcome:
        Say which arms leave which units as they are, and which have the effect.
    effect:
        In the outcome's units.
    values:
        [n, 1 + arms] the untouched model's outcome, and each arm's without the effect.
    exposed:
        [n] whether the feature fires.
    """
    declared, effects = trial.outcome(outcome), assumed_effects(trial)
    potential = np.empty((len(values), len(trial.arms)))
    for a, arm in enumerate(trial.arms):
        if untouched(trial, arm, declared):
            potential[:, a] = values[:, 0]
            continue
        added = effect * effects[arm.name]
        reached = exposed if inert_when_silent(arm) else np.ones(len(values), dtype=np.bool_)
        potential[:, a] = np.where(reached, values[:, 1 + a] + added, values[:, 0])
    return potential


def root(rho: float, width: int) -> Matrix:
    """The Cholesky root of a matrix [width, width] whose correlations are all ``rho``.

    Raises
    ------
    SpecError
        When so many outcomes cannot all have a correlation as negative.
    """
    matrix = np.full((width, width), rho)
    np.fill_diagonal(matrix, 1.0)
    try:
        return np.linalg.cholesky(matrix)
    except np.linalg.LinAlgError:
        raise SpecError(
            f"the outcomes of {width - 1} arms and of the untouched model cannot all have the "
            f"correlation {rho:g}; it must be above {-1 / (width - 1):.3f}.",
            Place(field="power.rho"),
        ) from None
