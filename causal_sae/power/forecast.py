"""From a trial file to its table of power: what is planned, what it finds, what it costs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from causal_sae.errors import DataError, InputError, Place
from causal_sae.power.cost import passes_of_unit
from causal_sae.power.declared import plan_of
from causal_sae.power.earlier import Earlier
from causal_sae.power.joint import OF_P_VALUES
from causal_sae.power.sizing import Sized, simulated_as, sized_plan
from causal_sae.power.table import Simulated, curve_table, disagreements, power_table
from causal_sae.simulation import Roster
from causal_sae.spec.declared import trial_file
from causal_sae.spec.files import at_home
from causal_sae.spec.loading import TrialFile
from causal_sae.spec.trial import Trial

if TYPE_CHECKING:
    import pandas as pd

    from causal_sae.power.leeway import Leeway
    from causal_sae.power.repetitions import Repetitions
    from causal_sae.spec.analysis import Power

Advance = Callable[[int], None]
REPETITIONS, SLOW_REPETITIONS = 1000, 200


@dataclass(frozen=True)
class Forecast:
    """The power of a declared trial. In a notebook it shows its table."""

    trial: Trial
    table: pd.DataFrame
    """One row for each contrast and method (:data:`causal_sae.plan_tables.POWER`)."""
    curve: pd.DataFrame
    """Power and cost by size (:data:`causal_sae.plan_tables.POWER_CURVE`)."""
    notes: tuple[str, ...]
    """What was taken for granted, one sentence each."""
    units: int
    """The planned size, in units."""
    passes: float
    """Forward passes at that size."""
    minutes: float
    """Minutes at that size on the pilot's device; NaN where no speed was measured."""
    device: str
    """That device; empty where no speed was measured."""

    def _repr_html_(self) -> str:
        return str(self.table.to_html(index=False, na_rep=""))


def plan_power(
    trial: Trial | TrialFile | str | Path,
    *,
    pilot: str | Path | pd.DataFrame | None = None,
    n: int | None = None,
    repetitions: int | None = None,
    advance: Advance | None = None,
) -> Forecast:
    """The power of a trial with its own design, estimator and correction.

    Parameters
    ----------
    trial:
        The trial, or its file; it declares ``power``. Model and SAE may be absent.
    pilot:
        A run folder or a table of observations that standard deviation, correlations and
        activity are taken from; default: what ``power.pilot`` names, if anything.
    n:
        How many units are planned in all; default: as many as there are prompts.
    repetitions:
        How many trials are simulated; 0 for none. Default: 1,000, or 200 where the correction
        needs a whole estimate of each.
    advance:
        Called with 1 after each simulated trial.

    Returns
    -------
    Forecast
        With ``table``, ``curve`` and ``notes``.

    Raises
    ------
    InputError
        When the trial does not declare enough, or the pilot cannot be used.
    """
    declared = trial_file(trial)
    try:
        return _forecast(declared, pilot, n, repetitions, advance)
    except InputError as error:
        if error.place.file or (error.place.field or "").startswith("-"):
            raise
        raise at_home(error, declared) from None


def _forecast(
    declared: TrialFile,
    pilot: str | Path | pd.DataFrame | None,
    n: int | None,
    repetitions: int | None,
    advance: Advance | None,
) -> Forecast:
    from causal_sae.estimation import check_analysis  # noqa: PLC0415 - loads statsmodels

    spec = declared.trial
    power = plan_of(spec)
    _check_numbers(n, repetitions)
    check_analysis(spec)
    given = pilot if pilot is not None else _declared_pilot(declared, power)
    earlier = Earlier.of(spec, given)
    plan, notes = sized_plan(declared, power, earlier, n)
    count = expected_repetitions(spec, repetitions)
    simulated = _simulate(plan, earlier, count, advance) if count else None
    rate, device = earlier.rate() if earlier is not None else (np.nan, "")
    units = plan.units
    passes = units * passes_of_unit(spec)
    table = power_table(plan.plan, simulated, _leeways(plan, power, earlier))
    notes += disagreements(plan.plan, simulated) if simulated is not None else []
    return Forecast(
        trial=spec,
        table=table,
        curve=curve_table(plan.plan, units, rate, simulated),
        notes=tuple(notes),
        units=units,
        passes=passes,
        minutes=passes * rate / 60,
        device=device,
    )


def expected_repetitions(trial: Trial, asked: int | None) -> int:
    """How many trials are simulated: as many as asked for, or what takes seconds."""
    if asked is not None:
        return asked
    return REPETITIONS if trial.analysis.multiplicity.method in OF_P_VALUES else SLOW_REPETITIONS


def _check_numbers(n: int | None, repetitions: int | None) -> None:
    if n is not None and n < 2:
        raise DataError(f"must be at least 2 units, got {n}", Place(field="--n"))
    if repetitions is not None and (repetitions < 0 or 0 < repetitions < 20):
        raise DataError(
            f"must be 0 (no simulation) or at least 20, got {repetitions}",
            Place(field="--repetitions"),
        )


def _declared_pilot(declared: TrialFile, power: Power) -> Path | None:
    return None if power.pilot is None else declared.folder / power.pilot


def _simulate(
    sized: Sized, earlier: Earlier | None, repetitions: int, advance: Advance | None
) -> Simulated:
    from causal_sae.power.repetitions import repeat  # noqa: PLC0415

    trial, population = simulated_as(sized, earlier)
    unplanned = sized.plan.unplanned

    known: dict[tuple[int, int, float], Repetitions] = {}

    def run(roster: Roster, count: int, scale: float = 1.0) -> Repetitions:
        # Every contrast looks for its own size and effect, and all can be seen in one simulation.
        key = len(roster), count, scale
        if key not in known:
            known[key] = repeat(trial, population, roster, count, scale, unplanned)
        return known[key]

    done = repeat(trial, population, sized.roster, repetitions, 1.0, unplanned, advance)
    return Simulated(done, run, sized.roster)


def _leeways(sized: Sized, power: Power, earlier: Earlier | None) -> list[Leeway]:
    """How far off the noise of each contrast may be; none without a pilot."""
    if earlier is None:
        return []
    from causal_sae.power.leeway import leeways  # noqa: PLC0415

    return leeways(sized.plan, power, earlier.pilot)
