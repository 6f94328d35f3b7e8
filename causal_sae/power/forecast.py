"""From a trial file to its table of power: what is planned, what it finds, what it costs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from causal_sae.errors import DataError, Place
from causal_sae.power.cost import passes_of_unit
from causal_sae.power.earlier import Earlier
from causal_sae.power.setup import PilotSource, Setup, check_units, many, placed, set_up
from causal_sae.power.sizing import Sized, simulated_as
from causal_sae.power.table import Simulated, curve_table, disagreements, power_table
from causal_sae.simulation import Roster
from causal_sae.spec.declared import trial_file
from causal_sae.spec.loading import TrialFile
from causal_sae.spec.trial import Trial

if TYPE_CHECKING:
    import pandas as pd

    from causal_sae.power.leeway import Leeway
    from causal_sae.power.repetitions import Repetitions

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
    pilot: PilotSource = None,
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
    with placed(declared):
        return _forecast(declared, pilot, n, repetitions, advance)


def _forecast(
    declared: TrialFile,
    pilot: PilotSource,
    n: int | None,
    repetitions: int | None,
    advance: Advance | None,
) -> Forecast:
    spec = declared.trial
    check_units(n)
    _check_repetitions(repetitions)
    setup = set_up(declared, pilot, n)
    sized, plan = setup.sized, setup.sized.plan
    count = expected_repetitions(spec, repetitions)
    simulated = _simulate(sized, setup.earlier, count, advance) if count else None
    rate, device = setup.rate
    passes = sized.units * passes_of_unit(spec)
    differing = disagreements(plan, simulated) if simulated is not None else []
    return Forecast(
        trial=spec,
        table=power_table(plan, simulated, _leeways(setup)),
        curve=curve_table(plan, sized.units, rate, simulated),
        notes=(*setup.notes, *differing),
        units=sized.units,
        passes=passes,
        minutes=passes * rate / 60,
        device=device,
    )


def expected_repetitions(trial: Trial, asked: int | None) -> int:
    """How many trials are simulated."""
    return many(trial, asked, REPETITIONS, SLOW_REPETITIONS)


def _check_repetitions(repetitions: int | None) -> None:
    if repetitions is not None and (repetitions < 0 or 0 < repetitions < 20):
        raise DataError(
            f"must be 0 (no simulation) or at least 20, got {repetitions}",
            Place(field="--repetitions"),
        )


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


def _leeways(setup: Setup) -> list[Leeway]:
    """How far off the noise of each contrast may be; none without a pilot."""
    if setup.earlier is None:
        return []
    from causal_sae.power.leeway import leeways  # noqa: PLC0415

    return leeways(setup.sized.plan, setup.power, setup.earlier.pilot)
