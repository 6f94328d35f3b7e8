"""Everything that a report shows, gathered in one frozen record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypedDict

if TYPE_CHECKING:
    import pandas as pd

    from causal_sae.spec import Trial

NO_OBSERVATION = "no observation"
STOPPED = "not run: the trial had stopped"
NO_REASON = "no value, no reason given"


class Manifest(TypedDict, total=False):
    """Where a run came from: the content of ``manifest.json``. Every key may be absent."""

    run_id: str
    command: str
    started: str
    finished: str
    versions: Mapping[str, str]
    hashes: Mapping[str, str]
    seed: int
    device: str
    timings: Mapping[str, float]
    """Seconds by stage."""
    registered: str | None
    """When the trial was registered; None or absent: it was not."""
    pool: Mapping[str, int]
    """Where prompts were drawn from a pool: ``eligible``, ``exposed``, ``drawn_exposed``,
    ``drawn_unexposed``."""
    looks: Mapping[str, int]
    """Of a trial with looks before its end: ``planned``, ``made``, ``units_planned``,
    ``units_run``."""
    deviations: list[str]
    """What differs from the registration, one sentence each."""


@dataclass(frozen=True)
class ArmFlow:
    """What became of the units of one arm; None: it was not recorded."""

    arm: str
    randomised: int
    delivered: int | None
    exposed: int | None
    analysed: int
    missing: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Flow:
    """The numbers of the CONSORT flow diagram, in units."""

    assessed: int
    eligible: int
    randomised: int
    excluded: Mapping[str, int]
    """Reason to number of units."""
    arms: tuple[ArmFlow, ...]
    outcome: str
    """The outcome that ``analysed`` and ``missing`` speak of."""
    drawn: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    """Where prompts were drawn from a pool: stratum to how many were drawn, and of how many."""


@dataclass(frozen=True)
class TrialRecord:
    """One run as its report tells it. Nothing here needs a model.

    Parameters
    ----------
    trial:
        The declaration.
    assignment, observations, effects:
        The tables of :mod:`causal_sae.tables`.
    diagnostics:
        One row per check: check, status (``pass``, ``warn`` or ``fail``), value, limit, sentence.
    balance:
        covariate, arm, reference, mean_treatment, mean_reference, sd, smd.
    refutations:
        outcome, treatment, reference, refuter, passed, sentence.
    flow:
        The numbers of the flow diagram; see :func:`count_flow`.
    manifest:
        Where the run came from.
    identification:
        Why the difference between arms is the effect, in words.
    flag_meanings:
        Code of a flag to the sentence that explains it: ``causal_sae.estimation.FLAGS``.
    trial_text:
        The trial file as it was run; default: written from ``trial``.
    companions:
        The tables beside the effects, by their name in :data:`causal_sae.tables.COMPANIONS`.
    texts:
        What was generated: unit_id, arm, draw, sample, prompt, text; None where nothing was.
    """

    trial: Trial
    assignment: pd.DataFrame
    observations: pd.DataFrame
    effects: pd.DataFrame
    flow: Flow
    manifest: Manifest
    diagnostics: pd.DataFrame | None = None
    balance: pd.DataFrame | None = None
    refutations: pd.DataFrame | None = None
    identification: str = ""
    flag_meanings: Mapping[str, str] = field(default_factory=dict)
    trial_text: str = ""
    companions: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    texts: pd.DataFrame | None = None


def main_outcome(trial: Trial) -> str:
    """The first primary outcome, or the first of all."""
    primary = (outcome.name for outcome in trial.outcomes if outcome.role == "primary")
    return next(primary, trial.outcomes[0].name)


def assignment_of(observations: pd.DataFrame) -> pd.DataFrame:
    """Who was in which arm, as observations from elsewhere tell it."""
    from causal_sae.tables import ASSIGNMENT  # noqa: PLC0415 - pandas loads with its first use

    pairs = observations.drop_duplicates(["unit_id", "arm"])
    known = [column for column in ASSIGNMENT.columns if column in pairs]
    return ASSIGNMENT.conform(pairs[known].reset_index(drop=True))


def count_flow(
    trial: Trial,
    assignment: pd.DataFrame,
    observations: pd.DataFrame,
    excluded: Mapping[str, int] | None = None,
    pool: Mapping[str, int] | None = None,
) -> Flow:
    """Count units from the tables.

    Parameters
    ----------
    trial:
        Names the arms and, for ``analysed``, the outcome: the first primary one.
    assignment, observations:
        The tables of :mod:`causal_sae.tables`.
    excluded:
        Reasons for which prompts did not enter, and how many.
    pool:
        Where prompts were drawn from a pool: ``eligible``, ``exposed``, ``drawn_exposed`` and
        ``drawn_unexposed``, as the manifest has them.
    """
    left_out = dict(excluded or {})
    randomised = int(assignment["unit_id"].nunique())
    eligible = randomised if pool is None else pool["eligible"]
    outcome = main_outcome(trial)
    of_outcome = observations.loc[observations["outcome"] == outcome]
    assignment, of_outcome = _numbered(assignment, of_outcome)
    arms = tuple(
        _arm_flow(
            arm.name,
            assignment.loc[assignment["arm"] == arm.name, "unit_id"],
            of_outcome.loc[of_outcome["arm"] == arm.name],
            trial.analysis.looks is not None,
        )
        for arm in trial.arms
    )
    return Flow(
        assessed=eligible + sum(left_out.values()),
        eligible=eligible,
        randomised=randomised,
        excluded=left_out,
        arms=arms,
        outcome=outcome,
        drawn={} if pool is None else _drawn(pool),
    )


def _numbered(*tables: pd.DataFrame) -> list[pd.DataFrame]:
    """The tables with numbers for the names of their units, which are counted much faster."""
    import pandas as pd  # noqa: PLC0415 - pandas loads with its first use

    numbers, _ = pd.factorize(pd.concat([table["unit_id"] for table in tables]))
    start, numbered = 0, []
    for table in tables:
        numbered.append(table.assign(unit_id=numbers[start : start + len(table)]))
        start += len(table)
    return numbered


def _drawn(pool: Mapping[str, int]) -> dict[str, tuple[int, int]]:
    return {
        "exposed": (pool["drawn_exposed"], pool["exposed"]),
        "unexposed": (pool["drawn_unexposed"], pool["eligible"] - pool["exposed"]),
    }


def usable(observations: pd.DataFrame) -> pd.Series[bool]:
    """Which observations count: a value is there, and the status, where told, is ``ok``."""
    there = observations["value"].notna()
    if "status" not in observations:
        return there
    return there & observations["status"].astype("string").fillna("ok").eq("ok")


def _arm_flow(arm: str, units: pd.Series[str], rows: pd.DataFrame, stops: bool = False) -> ArmFlow:
    measured = usable(rows)
    analysed = set(rows.loc[measured, "unit_id"])
    reasons = _reasons(rows.loc[~measured & ~rows["unit_id"].isin(analysed)])
    silent = len(set(units) - set(rows["unit_id"]))
    if silent:
        # The executor leaves no unit of a look out, so in a run these came after the stop.
        why = STOPPED if stops else NO_OBSERVATION
        reasons[why] = reasons.get(why, 0) + silent
    return ArmFlow(
        arm=arm,
        randomised=int(units.nunique()),
        delivered=_units_where(rows, "received"),
        exposed=_units_where(rows, "exposed"),
        analysed=len(analysed),
        missing=reasons,
    )


def _units_where(rows: pd.DataFrame, column: str) -> int | None:
    if column not in rows or rows[column].isna().all():
        return None
    return int(rows.loc[rows[column].fillna(False).astype(bool), "unit_id"].nunique())


def _reasons(rows: pd.DataFrame) -> dict[str, int]:
    """How many units are missing for which reason; the first reason of a unit counts."""
    first = rows.drop_duplicates("unit_id")
    if "status" not in first:
        return {NO_REASON: len(first)} if len(first) else {}
    status = first["status"].astype("string").fillna(NO_REASON).replace("ok", NO_REASON)
    return {str(reason): int(n) for reason, n in status.value_counts().items()}
