"""Placebo features and random directions that differ from each other, each unit dealt one.

A placebo arm has as many effects as it has draws. Over all features like the treated one they are
0 on average and spread by ``placebo_sd``; over the few draws of a trial they are not quite 0, and
no number of units makes up for that.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from causal_sae.randomness import generator
from causal_sae.simulation.population import Drawn, Population
from causal_sae.spec.interventions import Placebo, RandomDirection

if TYPE_CHECKING:
    from causal_sae.simulation.roster import Roster
    from causal_sae.spec import Trial
    from causal_sae.spec.interventions import Arm


def draws_of(arm: Arm) -> int:
    """How many placebo features or random directions stand for the arm; 0 where it has none."""
    edit = arm.intervention
    if isinstance(edit, RandomDirection):
        return edit.draws
    chosen = getattr(edit, "features", None)
    return chosen.draws if isinstance(chosen, Placebo) else 0


@dataclass(frozen=True)
class WithDraws:
    """A population whose units are dealt draws, which have effects of their own."""

    trial: Trial
    base: Population
    """Where units come from, with placebos that do nothing."""
    spread: Mapping[str, float]
    """Outcome -> the standard deviation of the draws' effects, in the outcome's units."""

    def draw(self, roster: Roster, repetition: int, scale: float = 1.0) -> Drawn:
        """One set of units; see :class:`causal_sae.simulation.population.Population`."""
        drawn = self.base.draw(roster, repetition, scale)
        dealt = np.full((len(roster), len(self.trial.arms)), -1, dtype=np.int64)
        potential = {name: values.copy() for name, values in drawn.potential.items()}
        for a, arm in enumerate(self.trial.arms):
            count = draws_of(arm)
            if not count:
                continue
            rng = generator(self.trial.seed, "simulation", "draws", arm.name, str(repetition))
            dealt[:, a] = rng.permutation(len(roster)) % count
            for name, values in potential.items():
                values[:, a] += self.spread[name] * rng.standard_normal(count)[dealt[:, a]]
        return replace(drawn, potential=potential, draw=dealt)
