"""How far off a pilot's idea of the noise may be: a factor of the standard error, down and up.

Everything that a plan takes from a pilot (standard deviation, rho, ICC, the share of exposed units)
comes to its power through one number, the noise: the estimate's standard error over the effect that
is sought. Its logarithm has a standard error by the jackknife over the pilot's units, or clusters,
which sees long tails as Bonett's (2006) interval of a standard deviation does, whatever the design.

A few values show too little of a long tail, so the standard error is made larger by
``1 + 10 / n``, as the house does with skewness; and because what a sample misses of a tail makes
the noise larger, never smaller, the upper limit is moved out by the skewness of what the units
contribute. Both numbers were chosen by simulation; ``python -m benchmarks.pilot_intervals``
measures what they give.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from scipy import stats

from causal_sae.estimation.sample import Codes, Vector
from causal_sae.estimation.skewness import skewness
from causal_sae.power.joint import power_of, shift_for
from causal_sae.power.pilot import Pilot, assumptions_of, informative
from causal_sae.power.plan import noise
from causal_sae.randomness import generator

if TYPE_CHECKING:
    from causal_sae.power.plan import Plan
    from causal_sae.power.precision import Question
    from causal_sae.spec.analysis import Power

Leeway: TypeAlias = tuple[float, float]
"""Factors of the noise: the least and the largest that the pilot leaves possible, of 95%."""

CAUTION, LEAN = 10.0, 0.2
NOTHING_KNOWN = (1e-3, 1e3)
GROUPS = 60
"""A larger pilot is left out by this many groups of units."""


def leeways(plan: Plan, power: Power, pilot: Pilot) -> list[Leeway]:
    """For each question of a plan how far its noise may be off; 1 and 1 where nothing is taken.

    Parameters
    ----------
    plan:
        Planned from the pilot.
    power:
        What the file declares beside it.
    pilot:
        The observations.
    """
    whole = _noises(plan, power, pilot)
    without = np.array([_noises(plan, power, part) for part in _left_out(pilot, plan.trial.seed)])
    return [
        factors(without[:, i], _units(pilot, question)) if np.isfinite(whole[i]) else (1.0, 1.0)
        for i, question in enumerate(plan.questions)
    ]


def factors(without: Vector, n: float) -> Leeway:
    """The limits of a noise, over the noise as it was found.

    Parameters
    ----------
    without:
        [groups] the logarithm of the noise without each group of the pilot's units.
    n:
        How many values it was found from.
    """
    known = without[np.isfinite(without)]
    k = len(known)
    if k < 2 or n < 2:
        return NOTHING_KNOWN
    moved = known.mean() - known
    error = np.sqrt((k - 1) / k * float(moved @ moved) * (1 + CAUTION / n))
    reach = float(stats.t.isf(0.025, n - 1)) * error
    return float(np.exp(-reach)), float(np.exp(reach * (1 + LEAN * max(0.0, skewness(moved)))))


def around(power: float, alpha: float, leeway: Leeway) -> tuple[float, float]:
    """The powers of a test at the limits of the noise, whatever the test is.

    It is taken for one whose statistic is normal and has that power.

    Parameters
    ----------
    power, alpha:
        Of the test.
    leeway:
        Of its noise.
    """
    shift = shift_for(power, alpha)
    low, high = (power_of(shift / factor, alpha) for factor in leeway)
    return high, low


def _noises(plan: Plan, power: Power, pilot: Pilot) -> Vector:
    """[questions] the logarithm of the noise as this pilot has it; NaN where there is none."""
    estimator = plan.questions[0].estimator
    assumed = {
        o.name: assumptions_of(plan.trial, power, pilot, o, estimator) for o in plan.outcomes
    }
    return np.array([np.log(noise(one)) for one in plan.with_assumptions(assumed).questions])


def _left_out(pilot: Pilot, seed: int) -> Iterator[Pilot]:
    """The pilot without each of its units, clusters or groups of them."""
    unit = np.arange(len(pilot)) if pilot.cluster is None else pilot.cluster
    codes = np.unique(unit, return_inverse=True)[1]
    count = int(codes.max()) + 1
    group: Codes = generator(seed, "power", "pilot").permutation(count) % min(count, GROUPS)
    for one in np.unique(group):
        yield pilot.without(np.flatnonzero(group[codes] == one))


def _units(pilot: Pilot, question: Question) -> float:
    found = informative(
        question.trial, pilot, question.outcome, (question.treatment, question.reference)
    )
    return found if pilot.cluster is None else min(found, len(np.unique(pilot.cluster)))
