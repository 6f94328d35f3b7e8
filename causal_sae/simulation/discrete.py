"""Outcomes of 0 and 1, and counts, made up from their mean: a normal variable behind each.

Behind every outcome stands a normal variable with the correlations that are assumed; the outcome
is the quantile of its distribution at the probability of that variable. So the means are exact, and
the correlations are those of what stands behind.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from scipy import special, stats

from causal_sae.estimation.sample import Vector
from causal_sae.simulation.arms import assumed_effects, inert_when_silent
from causal_sae.simulation.population import Assumptions, Drawn, NormalPopulation

if TYPE_CHECKING:
    from causal_sae.simulation.roster import Roster
    from causal_sae.spec import Trial

DISCRETE = {"logistic": "share", "mcnemar": "share", "poisson": "count"}
"""Estimators of outcomes that are not continuous -> what the outcome's mean is."""


@dataclass(frozen=True)
class DiscretePopulation:
    """Units whose outcomes are 0 or 1, or counts."""

    trial: Trial
    assumed: Mapping[str, Assumptions]
    """Outcome -> what it is like; its effect is on the mean."""
    baseline: float
    """The outcomes' mean on the untouched model."""
    kind: str
    """``share`` or ``count``."""

    def draw(self, roster: Roster, repetition: int, scale: float = 1.0) -> Drawn:
        """One set of units; see :class:`causal_sae.simulation.population.Population`."""
        behind = {name: replace(a, effect=0.0, sd=1.0) for name, a in self.assumed.items()}
        drawn = NormalPopulation(self.trial, behind).draw(roster, repetition, 0.0)
        clean, potential = {}, {}
        for name, assumed in self.assumed.items():
            usual = np.full(len(roster), self.baseline)
            clean[name] = self._outcome(drawn.clean[name], usual, assumed)
            values = np.empty_like(drawn.potential[name])
            for a, mean in enumerate(self._means(assumed.effect * scale, drawn)):
                values[:, a] = self._outcome(drawn.potential[name][:, a], mean, assumed)
            potential[name] = values
        return replace(drawn, clean=clean, potential=potential)

    def _means(self, effect: float, drawn: Drawn) -> list[Vector]:
        """For each arm [n] the units' means: moved where the arm has the effect and reaches."""
        effects = assumed_effects(self.trial)
        found = []
        for arm in self.trial.arms:
            reached = drawn.exposed if inert_when_silent(arm) else np.ones_like(drawn.exposed)
            mean = self.baseline + effect * effects[arm.name] * reached
            # A search for the smallest effect also tries some that cannot be.
            found.append(np.clip(mean, LEAST_MEAN, 1.0 if self.kind == "share" else None))
        return found

    def _outcome(self, behind: Vector, mean: Vector, assumed: Assumptions) -> Vector:
        """[n] outcomes with these means."""
        if self.kind == "share":
            return (special.ndtr(behind) > 1 - mean).astype(np.float64)
        # Counts that vary more than Poisson's are negative binomial.
        extra = (assumed.sd**2 - self.baseline) / self.baseline**2
        probability = special.ndtr(behind)
        if extra > OVER:
            return _numbers(stats.nbinom.ppf(probability, 1 / extra, 1 / (1 + mean * extra)))
        return _numbers(stats.poisson.ppf(probability, mean))


LEAST_MEAN = 1e-9
OVER = 1e-6
"""A smaller excess of the variance over the mean, in squared means, is that of a Poisson count."""


def _numbers(values: object) -> Vector:
    return np.asarray(values, dtype=np.float64)


def usual_sd(kind: str, baseline: float) -> float:
    """The standard deviation of a share's 0 and 1, or of a Poisson count."""
    return float(np.sqrt(baseline * (1 - baseline) if kind == "share" else baseline))
