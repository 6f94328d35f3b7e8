"""Arms' shares from earlier observations: more units where outcomes vary more.

The shares that make the sum of the contrasts' variances least are proportional to ``sd * sqrt(m)``,
with m the number of contrasts that the arm is in: Neyman (1934) for two arms. Standard deviations
of a small pilot are uncertain, and shares that follow them blindly can be worse than equal ones; so
their logarithms are drawn towards their mean as far as chance alone could have spread them (an
empirical Bayes estimate), and no share falls below a floor.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from causal_sae.errors import DataError, Place, SpecError
from causal_sae.estimation.contrasts import unit_values
from causal_sae.estimation.sample import Vector

if TYPE_CHECKING:
    import pandas as pd

    from causal_sae.spec import Trial

FEWEST = 10
"""Units of each arm that a pilot must have."""
DIGITS = 2
"""Of the shares that are recommended."""


@dataclass(frozen=True)
class Allocation:
    """What is recommended, arm by arm in the order of the trial."""

    arms: tuple[str, ...]
    units: tuple[int, ...]
    """Of the pilot."""
    sd: Vector
    """[arms] as the pilot has them."""
    used: Vector
    """[arms] after shrinking, in units of their geometric mean."""
    shares: Vector
    """[arms] for the trial file: 1 would be an equal share."""
    gain: float
    """The sum of the contrasts' variances over that of equal shares, if ``used`` is right."""


def allocation(trial: Trial, observations: pd.DataFrame, floor: float = 0.5) -> Allocation:
    """Neyman's shares for the primary contrasts of a trial.

    Parameters
    ----------
    trial:
        The trial that is planned; every unit is in one arm.
    observations:
        Of a pilot with the same arms and outcomes.
    floor:
        The least share, relative to an equal one.

    Raises
    ------
    InputError
        The design has no shares to choose, or the pilot is too small.
    """
    _check(trial, floor)
    values = unit_values(trial, observations)
    names = tuple(arm.name for arm in trial.arms)
    primary = [outcome.name for outcome in trial.outcomes if outcome.role == "primary"]
    logs, errors, counts = zip(*(_spread(values, name, names) for name in primary), strict=True)
    log_sd, error = np.mean(logs, axis=0), np.mean(errors, axis=0)
    used = np.exp(_shrunken(log_sd, error))
    times = np.array([sum(name in pair for pair in trial.contrasts) for name in names])
    shares = floored(used * np.sqrt(np.maximum(times, 0)), floor)
    rounded = np.round(shares, DIGITS)
    gain = _variance(used, times, rounded) / _variance(used, times, np.ones(len(names)))
    sd = np.exp(log_sd) if len(primary) > 1 else np.exp(logs[0])
    least = tuple(int(n) for n in np.min(counts, axis=0))
    return Allocation(names, least, sd, used, rounded, float(gain))


def _check(trial: Trial, floor: float) -> None:
    if not 0 < floor <= 1:
        raise DataError(f"must be above 0 and at most 1, got {floor:g}", Place(field="--floor"))
    if trial.within_unit:
        raise SpecError(
            f"in a {trial.assignment.method} every arm gets every unit, so there are no shares to "
            "choose; nothing is to be done.",
            Place(field="assignment.method"),
        )
    if trial.rerandomize is not None:
        raise SpecError(
            "`rerandomize` needs equal shares; remove it, or keep them equal.",
            Place(field="assignment.rerandomize"),
        )
    if not any(outcome.role == "primary" for outcome in trial.outcomes):
        raise SpecError(
            "shares are chosen for primary outcomes, but there is none; give one outcome "
            "`role: primary`.",
            Place(field="outcomes"),
        )


def _spread(values: pd.DataFrame, outcome: str, arms: tuple[str, ...]) -> tuple[Vector, ...]:
    """[arms] each: the log standard deviation, its squared standard error, and the units.

    The error allows for long tails: the variance of a log SD is about (kurtosis - 1) / 4n.
    """
    found = []
    rows = values[(values["outcome"] == outcome) & values["value"].notna()]
    for arm in arms:
        y = rows.loc[rows["arm"] == arm, "value"].to_numpy(np.float64)
        place = Place(field="--pilot")
        if len(y) < FEWEST:
            raise DataError(
                f"the pilot must have at least {FEWEST} units with {outcome!r} in every arm, but "
                f"arm {arm!r} has {len(y)}; run a larger one, or keep equal shares.",
                place,
            )
        sd = float(y.std(ddof=1))
        if not sd > 0:
            raise DataError(
                f"{outcome!r} does not vary in arm {arm!r} of the pilot, so no share follows from "
                "it; keep equal shares.",
                place,
            )
        kurtosis = max(float(np.mean(((y - y.mean()) / y.std()) ** 4)), 3.0)
        found.append((np.log(sd), (kurtosis - 1) / (4 * len(y)), len(y)))
    return tuple(np.array(column, dtype=np.float64) for column in zip(*found, strict=True))


def _shrunken(log_sd: Vector, error: Vector) -> Vector:
    """[arms] the logarithms drawn towards their mean, by the share of their spread that is chance.

    Parameters
    ----------
    log_sd, error:
        [arms] the logarithms, and their squared standard errors.
    """
    centred = log_sd - log_sd.mean()
    true = max(0.0, float(centred @ centred) / (len(log_sd) - 1) - float(error.mean()))
    drawn = centred * true / (true + error)
    found: Vector = drawn - drawn.mean()
    return found


def floored(weight: Vector, floor: float) -> Vector:
    """[arms] shares in proportion to weights, with mean 1 and none below the floor."""
    low = np.zeros(len(weight), dtype=bool)
    shares = weight * len(weight) / weight.sum()
    while (shares[~low] < floor - 1e-12).any():
        low |= shares < floor
        left = len(weight) - floor * low.sum()
        shares = np.where(low, floor, weight * left / max(weight[~low].sum(), 1e-300))
    found: Vector = shares
    return found


def _variance(sd: Vector, times: Vector, shares: Vector) -> float:
    """The sum of the contrasts' variances, but for a factor."""
    return float(np.sum(times * sd**2 / (shares / shares.sum())))
