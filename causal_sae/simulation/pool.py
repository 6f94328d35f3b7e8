"""Units drawn from a pool whose exposed prompts are drawn more often, as an enriched trial does."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from causal_sae.randomness import generator
from causal_sae.simulation.population import Drawn, Population

if TYPE_CHECKING:
    from causal_sae.estimation.sample import Vector
    from causal_sae.simulation.roster import Roster
    from causal_sae.spec import Trial


@dataclass(frozen=True)
class Sampling:
    """How the units of one trial were drawn."""

    size: int
    """Prompts of the pool."""
    probability: Vector
    """[n] with which each unit was drawn."""
    stratum_share: Vector
    """[n] the share of the pool that is exposed, or unexposed, as the unit is."""


@dataclass(frozen=True)
class FromPool:
    """A population of which a pool is scanned, and units drawn from both of its strata."""

    trial: Trial
    base: Population
    """Where units come from, given which are exposed."""
    size: int
    """Prompts of the pool, if the roster is the one that was declared."""
    active: float
    """The share of prompts like these on which the feature fires."""

    def draw(self, roster: Roster, repetition: int, scale: float = 1.0) -> Drawn:
        """One set of units; see :class:`causal_sae.simulation.population.Population`.

        The pool is a sample too: how many of its prompts are exposed varies. One with fewer than
        are asked for would be refused, and is taken to have just enough.
        """
        assert roster.exposed is not None
        drawn = self.base.draw(roster, repetition, scale)
        exposed, units = int(roster.exposed.sum()), len(roster)
        size = max(round(self.size * units / self._declared), units)
        rng = generator(self.trial.seed, "simulation", "pool", str(repetition))
        found = int(np.clip(rng.binomial(size, self.active), exposed, size - (units - exposed)))
        inside = np.where(roster.exposed, found, size - found)
        wanted = np.where(roster.exposed, exposed, units - exposed)
        return replace(drawn, sampling=Sampling(size, wanted / inside, inside / size))

    @property
    def _declared(self) -> int:
        enrich = self.trial.population.enrich if self.trial.population else None
        assert enrich is not None
        return enrich.exposed + enrich.unexposed
