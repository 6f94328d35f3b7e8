"""The Emax model of a dose-response: ``E0 + Emax d / (ED50 + d)``, and an interval for ED50."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import optimize, special

from causal_sae.estimation.linear_models import Coefficient
from causal_sae.estimation.sample import Vector

BELOW, BEYOND = 1e-2, 1e2
"""ED50 is looked for from this share of the lowest dose above zero to this multiple of the
highest: further out the curve cannot be told from a step or from a straight line."""
GRID = 97
Combine = Callable[[Vector], Coefficient]
"""The inference about a linear combination of the arms' means."""


@dataclass(frozen=True)
class Emax:
    """The least-squares curve through the arms' means."""

    e0: float
    """The mean at dose 0."""
    emax: float
    """The most that a dose can add."""
    ed50: float
    """The dose that adds half of it."""
    flags: tuple[str, ...] = ()


NO_CURVE = Emax(np.nan, np.nan, np.nan, ("emax_not_estimable",))


def curve(dose: Vector, fitted: Emax) -> Vector:
    """[n] the model's mean at each dose."""
    mean: Vector = fitted.e0 + fitted.emax * dose / (fitted.ed50 + dose)
    return mean


def fit_emax(doses: Vector, means: Vector, counts: Vector) -> Emax:
    """Least squares over units, which is weighted least squares over the arms' means.

    Parameters
    ----------
    doses:
        [k] at least three, none below zero, in rising order.
    means, counts:
        [k] the arms' means, and how many units they are of.

    Notes
    -----
    For a given ED50 the model is linear, so only ED50 is searched: on a logarithmic grid, then by
    Brent's method around the best of it. No start can be wrong. ``DoseFinding::fitMod(model =
    "emax")`` with wide bounds.
    """
    if len(doses) < 3 or doses[0] < 0 or not np.all(np.isfinite(means)):
        return NO_CURVE
    if np.ptp(means) <= 1e-12 * float(np.abs(means).max()):
        return NO_CURVE
    grid = search_grid(doses)
    losses = np.array([_loss(float(t), doses, means, counts) for t in grid])
    best = int(np.argmin(losses))
    if best in (0, len(grid) - 1):
        return NO_CURVE
    found = optimize.minimize_scalar(
        lambda t: _loss(np.exp(t), doses, means, counts),
        bounds=(np.log(grid[best - 1]), np.log(grid[best + 1])),
        method="bounded",
        options={"xatol": 1e-10},
    )
    ed50 = float(np.exp(found.x))
    e0, emax = _linear_part(ed50, doses, means, counts)
    inside = doses[doses > 0][0] <= ed50 <= doses[-1]
    return Emax(e0, emax, ed50, () if inside else ("ed50_beyond_doses",))


def search_grid(doses: Vector) -> Vector:
    """[GRID] the values of ED50 that are looked at first."""
    low, high = BELOW * doses[doses > 0][0], BEYOND * doses[-1]
    grid: Vector = np.geomspace(low, high, GRID)
    return grid


def _linear_part(ed50: float, doses: Vector, means: Vector, counts: Vector) -> tuple[float, float]:
    """E0 and Emax by weighted least squares, for a given ED50."""
    share = doses / (ed50 + doses)
    within = share - counts @ share / counts.sum()
    emax = float((counts * within) @ means / ((counts * within) @ within))
    return float(counts @ (means - emax * share) / counts.sum()), emax


def _loss(ed50: float, doses: Vector, means: Vector, counts: Vector) -> float:
    e0, emax = _linear_part(ed50, doses, means, counts)
    return float(counts @ (means - e0 - emax * doses / (ed50 + doses)) ** 2)


def misfit(ed50: float, doses: Vector, counts: Vector) -> Vector:
    """[k] weights of the arms' means whose sum is zero on average if this ED50 is the true one.

    They are the derivative of the curve by ED50, without what the other two parameters explain:
    the normal equation of least squares at its solution. They add up to zero.
    """
    slope = doses / (ed50 + doses) ** 2
    e0, emax = _linear_part(ed50, doses, slope, counts)
    rest = counts * (slope - e0 - emax * doses / (ed50 + doses))
    weights: Vector = rest / float(np.abs(rest).max())
    return weights


def ed50_interval(
    doses: Vector, counts: Vector, fitted: Emax, combine: Combine, alpha: float
) -> tuple[float, float]:
    """The values of ED50 that a test of the curve's shape does not reject.

    Parameters
    ----------
    doses, counts:
        [k] as for :func:`fit_emax`.
    fitted:
        What that returned.
    combine:
        The design's own inference about linear combinations of the means.
    alpha:
        The interval has level ``1 - alpha``.

    Returns
    -------
    The limits; 0 or infinity where no value on that side is rejected.

    Notes
    -----
    If ED50 is t, the means lie on a curve that is linear in E0 and Emax, and a linear combination
    of the means (:func:`misfit`) has the expectation 0. Its t-test is the score test of that t,
    with the standard error and degrees of freedom that the design asks for: variances may differ
    between arms, units may be in every arm or come in clusters. Inverting it needs neither a
    delta-method approximation, which fails for ED50, nor a bootstrap.
    """

    def excess(log_ed50: float) -> float:
        found = combine(misfit(float(np.exp(log_ed50)), doses, counts))
        if not (found.std_error > 0 and found.df > 0):
            return np.nan
        critical = float(special.stdtrit(found.df, 1 - alpha / 2))
        return abs(found.estimate) / found.std_error - critical

    centre, grid = float(np.log(fitted.ed50)), np.log(search_grid(doses))
    if np.isnan(excess(centre)):
        return np.nan, np.nan
    low = _limit(excess, np.concatenate([[centre], grid[grid < centre][::-1]]))
    high = _limit(excess, np.concatenate([[centre], grid[grid > centre]]))
    return (0.0 if low is None else low), (np.inf if high is None else high)


def _limit(excess: Callable[[float], float], path: Vector) -> float | None:
    """Where the test begins to reject on the way out for good; None where it does not."""
    rejected = np.array([excess(float(t)) for t in path]) > 0
    if not rejected[-1]:
        return None
    last = int(np.flatnonzero(~rejected)[-1])
    return float(np.exp(optimize.brentq(excess, path[last], path[last + 1], xtol=1e-10)))
