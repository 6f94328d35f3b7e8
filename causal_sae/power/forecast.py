"""From a trial file to its table of power: what is planned, what it finds, what it costs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from causal_sae.errors import DataError, InputError, Place, SpecError
from causal_sae.estimation.choice import choose
from causal_sae.power.cost import passes_of_unit, seconds_of_pass, units_in_all
from causal_sae.power.declared import assumptions, left_out, plan_of, primary
from causal_sae.power.joint import OF_P_VALUES
from causal_sae.power.layout import planned
from causal_sae.power.plan import Plan, tests_margin
from causal_sae.power.table import Simulated, curve_table, power_table
from causal_sae.randomness import generator
from causal_sae.simulation import NormalPopulation, Population, Roster
from causal_sae.simulation.roster import names, of_prompts
from causal_sae.spec.declared import trial_file
from causal_sae.spec.files import at_home
from causal_sae.spec.loading import TrialFile
from causal_sae.spec.prompts import read_prompts
from causal_sae.spec.trial import Trial

if TYPE_CHECKING:
    import pandas as pd

    from causal_sae.power.pilot import Pilot
    from causal_sae.power.repetitions import Repetitions
    from causal_sae.spec.analysis import Power

Advance = Callable[[int], None]
REPETITIONS, SLOW_REPETITIONS = 1000, 200
RESAMPLES = 200
"""How many bootstrap samples of a pilot carry its uncertainty."""
START = 40
"""Units in each arm of the roster from which a size is looked for when none is planned."""
BLOCKS = 4
"""How many blocks are taken where there are no prompts to count them in."""


@dataclass(frozen=True)
class Forecast:
    """The power of a declared trial. In a notebook it shows its table."""

    trial: Trial
    table: pd.DataFrame
    """One row for each contrast and method (:data:`causal_sae.tables.POWER`)."""
    curve: pd.DataFrame
    """Power and cost by size (:data:`causal_sae.tables.POWER_CURVE`)."""
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
    earlier = _Earlier.of(spec, given)
    plan, notes = _plan(declared, power, earlier, n)
    count = expected_repetitions(spec, repetitions)
    simulated = _simulate(plan, earlier, count, advance) if count else None
    variants = _variants(plan, power, earlier)
    rate, device = earlier.rate() if earlier is not None else (np.nan, "")
    units = plan.units
    passes = units * passes_of_unit(spec)
    return Forecast(
        trial=spec,
        table=power_table(plan.plan, simulated, variants),
        curve=curve_table(plan.plan, units, rate),
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


@dataclass(frozen=True)
class _Earlier:
    """A pilot and where it came from."""

    pilot: Pilot
    trial: Trial | None
    manifest: dict[str, Any]

    @classmethod
    def of(cls, trial: Trial, given: str | Path | pd.DataFrame | None) -> _Earlier | None:
        """The pilot in a run folder, a file or a table; None where none is given."""
        from causal_sae.power.pilot import read_pilot  # noqa: PLC0415
        from causal_sae.run import load_run  # noqa: PLC0415

        if given is None:
            return None
        if not isinstance(given, str | Path):
            return cls(read_pilot(trial, given), None, {})
        path = Path(given)
        if path.is_dir():
            run = load_run(path)
            return cls(read_pilot(trial, run.observations), run.trial, run.folder.manifest)
        return cls(read_pilot(trial, _table(path)), None, {})

    def rate(self) -> tuple[float, str]:
        """Seconds of a forward pass as measured, and the device; NaN where it was not."""
        if self.trial is None:
            return np.nan, ""
        seconds = seconds_of_pass(self.trial, self.manifest, len(self.pilot))
        return seconds, "" if np.isnan(seconds) else str(self.manifest.get("device", ""))


def _table(path: Path) -> pd.DataFrame:
    import pandas as pd  # noqa: PLC0415 - pandas loads with the first table

    place = Place(file=path, field="--pilot")
    if not path.exists():
        raise DataError("there is no such run folder or table", place)
    if path.suffix not in {".csv", ".parquet"}:
        raise DataError("must be a run folder, or a table in .csv or .parquet", place)
    try:
        text = {"unit_id": str, "arm": str, "outcome": str}
        return pd.read_csv(path, dtype=text) if path.suffix == ".csv" else pd.read_parquet(path)
    except (ValueError, OSError) as error:
        raise DataError(f"cannot be read: {str(error).splitlines()[0]}", place) from None


@dataclass(frozen=True)
class _Sized:
    """A plan with the units that it is made for."""

    plan: Plan
    roster: Roster

    @property
    def units(self) -> int:
        return len(self.roster)


def _plan(
    declared: TrialFile, power: Power, earlier: _Earlier | None, n: int | None
) -> tuple[_Sized, list[str]]:
    spec = declared.trial
    notes: list[str] = []
    outcomes = primary(spec)
    if earlier is None:
        assumed = {o.name: assumptions(spec, power) for o in outcomes}
        notes += left_out(spec, power)
    else:
        from causal_sae.power.pilot import assumptions_of, told  # noqa: PLC0415

        claims = [o for o in spec.outcomes if o.role == "guardrail" and tests_margin(o)]
        outcomes += [o for o in claims if o.name in earlier.pilot.values]
        outcomes = [o for o in spec.outcomes if o in outcomes]
        estimator, _ = choose(spec)
        assumed = {
            o.name: assumptions_of(spec, power, earlier.pilot, o, estimator) for o in outcomes
        }
        notes += [told(earlier.pilot, o, assumed[o.name]) for o in outcomes]
    plan = Plan(spec, tuple(outcomes), assumed, {})
    roster, told_of_size = _roster(declared, power, plan, n)
    plan = Plan(spec, tuple(outcomes), assumed, planned(spec, roster))
    return _Sized(plan, roster), [*notes, *told_of_size, *_of_contrasts(plan)]


def _of_contrasts(plan: Plan) -> list[str]:
    """Sentences about contrasts without an effect, and about formulas."""
    notes = []
    idle = {f"{q.treatment} \u2212 {q.reference}" for q in plan.questions if q.difference == 0}
    if idle:
        notes.append(
            f"Without an assumed effect: {', '.join(sorted(idle))}. Controls, shams, placebos and "
            "random directions are taken to do nothing, so there is nothing to find; the smallest "
            "detectable effect is given all the same."
        )
    if not plan.has_closed_form:
        notes.append(
            f"The estimator {plan.questions[0].estimator!r} has no formula here: its power is "
            "simulated, with outcomes that are normal unless a pilot gives their shape."
        )
    return notes


def _roster(
    declared: TrialFile, power: Power, plan: Plan, n: int | None
) -> tuple[Roster, list[str]]:
    """The units of the trial, or as many as its target takes where none are given."""
    spec, population = declared.trial, declared.trial.population
    if population is not None and (declared.folder / population.prompts).is_file():
        roster = of_prompts(spec, read_prompts(spec, declared.folder))
        notes = []
        if population.eligibility.model_dump(exclude_none=True):
            notes.append("All prompts of the file are counted; which are eligible, the model says.")
        return roster if n is None else roster.resized(n), notes
    made = _made_up(spec, power, n or START * len(spec.arms))
    if n is not None:
        return made, []
    start = Plan(spec, plan.outcomes, plan.assumed, planned(spec, made))
    required = [start.n_required(i) for i in range(len(start.questions))]
    found = [r for r in required if not np.isnan(r)]
    if not found:
        raise SpecError(
            "there are no prompts yet and no formula for their number; say how many units are "
            "planned with --n.",
            Place(field="--n"),
        )
    total = int(np.ceil(units_in_all(spec, np.ceil(max(found)))))
    sized = _made_up(spec, power, total)
    return sized, [
        "There are no prompts yet: the planned size is the one that the target takes, "
        f"{len(sized):,} units."
    ]


def _made_up(trial: Trial, power: Power, n: int) -> Roster:
    """Units with blocks and clusters as declared, where there is no file to count them in."""
    size = power.cluster_size
    if trial.assignment.cluster_by is not None and size is None:
        raise SpecError(
            "units come in clusters, but there are no prompts to count their sizes in; add "
            "`cluster_size:`, the mean number of units in a cluster.",
            Place(field="power.cluster_size"),
        )
    blocked = bool(getattr(trial.assignment, "block_by", None))
    if size is None or trial.assignment.cluster_by is None:
        unit = np.arange(n)
        block = np.array([f"block {i}" for i in unit * BLOCKS // n]) if blocked else None
        return Roster(names(n), block)
    count = max(2 * len(trial.arms), round(n / size))
    bounds = np.round(np.arange(count + 1) * size).astype(int)
    cluster = np.repeat(np.arange(count), np.diff(bounds))
    block = None
    if blocked:
        block = np.array([f"block {i}" for i in cluster * BLOCKS // count])
    return Roster(
        names(len(cluster)), block, np.array([f"cluster {i:05d}" for i in cluster], dtype=np.str_)
    )


def _simulate(
    sized: _Sized, earlier: _Earlier | None, repetitions: int, advance: Advance | None
) -> Simulated:
    from causal_sae.power.repetitions import planned_only, repeat  # noqa: PLC0415

    plan = sized.plan
    trial = planned_only(plan.trial, [o.name for o in plan.outcomes])
    # A claim that nothing changes is planned for the case that it is true.
    assumed = {
        o.name: replace(plan.assumed[o.name], effect=0.0)
        if tests_margin(o)
        else plan.assumed[o.name]
        for o in plan.outcomes
    }
    population: Population = NormalPopulation(trial, assumed)
    if earlier is not None:
        from causal_sae.power.resampling import PilotPopulation  # noqa: PLC0415

        population = PilotPopulation(trial, earlier.pilot, assumed)

    def run(roster: Roster, count: int, scale: float = 1.0) -> Repetitions:
        return repeat(trial, population, roster, count, scale, plan.unplanned)

    done = repeat(trial, population, sized.roster, repetitions, 1.0, plan.unplanned, advance)
    return Simulated(done, run, sized.roster)


def _variants(sized: _Sized, power: Power, earlier: _Earlier | None) -> list[Plan]:
    """The plan under bootstrap samples of the pilot; none without a pilot."""
    if earlier is None or not sized.plan.has_closed_form:
        return []
    from causal_sae.power.pilot import assumptions_of  # noqa: PLC0415

    plan, rng = sized.plan, generator(sized.plan.trial.seed, "power", "pilot")
    found = []
    for _ in range(RESAMPLES):
        again = earlier.pilot.resampled(rng)
        assumed = {
            o.name: assumptions_of(plan.trial, power, again, o, plan.questions[0].estimator)
            for o in plan.outcomes
        }
        found.append(plan.with_assumptions(assumed))
    return found
