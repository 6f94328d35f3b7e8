"""From trial files to a table of what each design is worth."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from causal_sae.diagnosis.comparison import same_precision, verdict
from causal_sae.diagnosis.designs import Design, designs_of
from causal_sae.diagnosis.rows import Key, Simulated, offer_of, rows_of, shared, too_sure
from causal_sae.errors import DataError, Place
from causal_sae.plan_tables import DIAGNOSIS
from causal_sae.power.cost import passes_of_unit
from causal_sae.power.setup import PilotSource, check_units, many, placed, set_up
from causal_sae.power.sizing import simulated_as
from causal_sae.spec.declared import trial_file
from causal_sae.spec.loading import TrialFile
from causal_sae.spec.trial import Trial

if TYPE_CHECKING:
    import pandas as pd

Advance = Callable[[int], None]
Given = Trial | TrialFile | str | Path
REPETITIONS, SLOW_REPETITIONS = 500, 100
FEWEST = 50
"""Fewer simulated trials say nothing of a coverage."""


@dataclass(frozen=True)
class Diagnosis:
    """What each design is worth. In a notebook it shows its table."""

    table: pd.DataFrame
    """One row for each design and test (:data:`causal_sae.plan_tables.DIAGNOSIS`)."""
    verdict: tuple[str, ...]
    """Which design is the cheapest for the same precision, and which are too sure of themselves,
    in sentences."""
    notes: tuple[str, ...]
    """What was taken for granted, one sentence each."""
    device: str
    """Where the pilot ran, which the minutes are for; empty where no speed was measured."""

    def _repr_html_(self) -> str:
        return str(self.table.to_html(index=False, na_rep=""))


def diagnose(
    trials: Given | Sequence[Given],
    *,
    assignments: Sequence[str] = (),
    draws: Sequence[int] = (),
    pilot: PilotSource = None,
    n: int | None = None,
    repetitions: int | None = None,
    advance: Advance | None = None,
) -> Diagnosis:
    """Simulate declared trials many times, and tell what their answers are like.

    Parameters
    ----------
    trials:
        One trial or several, or their files; each declares ``power``. Model and SAE may be absent.
    assignments:
        Ways to deal the arms that each trial is also tried with: ``parallel``, ``block``,
        ``crossover`` and the other methods.
    draws:
        Numbers of placebo features and random directions that each trial is also tried with.
    pilot:
        As for :func:`causal_sae.power.plan_power`; it serves every design.
    n:
        Units in all, in every design; default: the prompts there are, or what the target takes.
    repetitions:
        How many trials are simulated of each design with its effect, and as many without any.
        Default: 500, or 100 where the correction needs a whole estimate of each.
    advance:
        Called with 1 after each simulated trial.

    Returns
    -------
    Diagnosis
        With ``table``, ``verdict`` and ``notes``.

    Raises
    ------
    InputError
        A trial does not declare enough, a variant is no valid trial, or the pilot cannot be used.
    """
    given = [trials] if isinstance(trials, Trial | TrialFile | str | Path) else list(trials)
    if not given:
        raise DataError("name at least one trial to diagnose", Place(field="TRIAL"))
    check_units(n)
    _check_repetitions(repetitions)
    designs = designs_of([trial_file(one) for one in given], assignments, draws)
    found = [_simulated(one, pilot, n, repetitions, advance) for one in designs]
    return _together(found)


def expected_repetitions(
    trials: Sequence[TrialFile],
    assignments: Sequence[str],
    draws: Sequence[int],
    asked: int | None,
) -> int:
    """How many trials are simulated in all, with the effect and without."""
    designs = designs_of(trials, assignments, draws)
    return 2 * sum(_repetitions(one.declared.trial, asked) for one in designs)


def _repetitions(trial: Trial, asked: int | None) -> int:
    return many(trial, asked, REPETITIONS, SLOW_REPETITIONS)


def _check_repetitions(repetitions: int | None) -> None:
    if repetitions is not None and repetitions < FEWEST:
        raise DataError(
            f"must be at least {FEWEST}, got {repetitions}", Place(field="--repetitions")
        )


def _simulated(
    design: Design,
    pilot: PilotSource,
    n: int | None,
    repetitions: int | None,
    advance: Advance | None,
) -> Simulated:
    """The design simulated, with its effect and without."""
    from causal_sae.power.repetitions import repeat  # noqa: PLC0415

    with placed(design.declared):
        setup = set_up(design.declared, pilot, n)
        sized, plan = setup.sized, setup.sized.plan
        trial, population = simulated_as(sized, setup.earlier)
        count = _repetitions(trial, repetitions)
        true, null = (
            repeat(trial, population, sized.roster, count, scale, plan.unplanned, advance)
            for scale in (1.0, 0.0)
        )
    rate, device = setup.rate
    passes = passes_of_unit(trial)
    return Simulated(
        design.name, trial, plan, sized.units, passes, rate, device, true, null, setup.notes
    )


def _together(found: Sequence[Simulated]) -> Diagnosis:
    import pandas as pd  # noqa: PLC0415 - pandas loads with the first table

    costs, sentences = _compared(found)
    rows = [row for one, own in zip(found, costs, strict=True) for row in rows_of(one, own)]
    return Diagnosis(
        table=DIAGNOSIS.conform(pd.DataFrame(rows, columns=list(DIAGNOSIS.columns))),
        verdict=(*sentences, *too_sure(rows)),
        notes=_notes(found),
        device=next((one.device for one in found if one.device), ""),
    )


def _compared(found: Sequence[Simulated]) -> tuple[list[dict[Key, float]], list[str]]:
    """For each design the forward passes for the first one's precision by contrast; sentences."""
    costs: list[dict[Key, float]] = [{} for _ in found]
    sentences: list[str] = []
    if len(found) == 1:
        return costs, sentences
    for key in shared([one.plan.questions for one in found]):
        offers = [offer_of(one, key) for one in found]
        if not all(offer.spread > 0 for offer in offers):
            continue
        for own, cost in zip(costs, same_precision(offers), strict=True):
            own[key] = cost
        sentences += verdict(offers, f"{key[0]}: {key[1]} \u2212 {key[2]}")
    if not sentences:
        sentences = ["The designs share no contrast with an effect, so their costs do not compare."]
    return costs, list(dict.fromkeys(sentences))


def _notes(found: Sequence[Simulated]) -> tuple[str, ...]:
    """What was taken for granted; what holds for some designs only begins with their names."""
    told: dict[str, list[str]] = {}
    for one in found:
        for sentence in one.notes:
            told.setdefault(sentence, []).append(one.name)
    return tuple(
        sentence if len(names) == len(found) else f"{'; '.join(names)}: {sentence}"
        for sentence, names in told.items()
    )
