"""How much of alpha may be spent up to a look, and the classical boundaries.

Spending functions: Lan and DeMets (1983). Boundaries of constants: Pocock (1977), O'Brien and
Fleming (1979). All of them two-sided, each side with half of alpha.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import e, log, sqrt

import numpy as np
from scipy import optimize, special

from causal_sae.estimation.sample import Vector
from causal_sae.estimation.sequential.walk import Walk

Spending = Callable[[float, float], float]
"""The error of one side and the information fraction -> the error that side may have made."""


def of_obrien_fleming(error: float, time: float) -> float:
    """Little at first: Lan and DeMets's function whose boundaries are like O'Brien and Fleming's.

    Parameters
    ----------
    error:
        Of one side, over the whole trial.
    time:
        The information fraction.
    """
    if time <= 0:
        return 0.0
    return float(2 * special.ndtr(special.ndtri(error / 2) / sqrt(min(time, 1.0))))


def of_pocock(error: float, time: float) -> float:
    """Evenly: Lan and DeMets's function whose boundaries are like Pocock's."""
    return error * log(1 + (e - 1) * min(max(time, 0.0), 1.0))


SPENDING: Mapping[str, Spending] = {"obrien_fleming": of_obrien_fleming, "pocock": of_pocock}
"""``analysis.looks.spending`` -> its function of the information fraction."""

SHAPES: Mapping[str, Callable[[float], float]] = {
    "classical_obrien_fleming": lambda time: 1 / sqrt(time),
    "classical_pocock": lambda _: 1.0,
}
"""``analysis.looks.spending`` -> the boundary at an information fraction, but for a constant."""


def classical(name: str, alpha: float, times: Sequence[float]) -> Vector:
    """[looks] the boundaries of constants: Z at which a planned look rejects.

    Parameters
    ----------
    name:
        A key of :data:`SHAPES`.
    alpha:
        Two-sided, over the whole trial.
    times:
        [looks] the planned information fractions.
    """
    shape = np.array([SHAPES[name](time) for time in times])

    def excess(constant: float) -> float:
        return 2 * float(crossed(times, constant * shape)[-1]) - alpha

    single = float(special.ndtri(1 - alpha / 2))
    constant = optimize.brentq(excess, 0.5 * single, 5 * single, xtol=1e-12)
    boundaries: Vector = float(constant) * shape
    return boundaries


def crossed(times: Sequence[float], boundaries: Sequence[float] | Vector) -> Vector:
    """[looks] under no effect, the probability of having crossed the upper boundary by each look.

    Parameters
    ----------
    times:
        [looks] information fractions.
    boundaries:
        [looks] Z at which a look rejects, on either side.
    """
    walk, found = Walk(0.0), []
    for time, bound in zip(times, boundaries, strict=True):
        walk = walk.kept(time, -float(bound), float(bound))
        found.append(walk.above)
    return np.array(found)


def planned_spending(name: str, alpha: float, times: Sequence[float]) -> Vector:
    """[looks] the error that one side may have made by each planned look.

    Parameters
    ----------
    name:
        Of a spending function or of a classical boundary.
    alpha:
        Two-sided, over the whole trial.
    times:
        [looks] the planned information fractions, the last one 1.
    """
    if name in SPENDING:
        return np.array([SPENDING[name](alpha / 2, time) for time in times])
    spent = crossed(times, classical(name, alpha, times))
    spent[-1] = alpha / 2
    return spent
