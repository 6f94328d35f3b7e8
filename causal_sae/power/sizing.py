"""How many units a plan is for: the prompts there are, as many as asked for, or as needed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from causal_sae.errors import Place, SpecError
from causal_sae.estimation.choice import choose
from causal_sae.piloting import unused
from causal_sae.power.cost import units_in_all
from causal_sae.power.declared import (
    as_drawn_once,
    assumptions,
    left_out,
    of_pool,
    planned_outcomes,
)
from causal_sae.power.layout import planned
from causal_sae.power.plan import Plan, tests_margin
from causal_sae.simulation import (
    DISCRETE,
    DiscretePopulation,
    FromPool,
    NormalPopulation,
    Population,
    Roster,
    WithDraws,
)
from causal_sae.simulation.roster import names, of_prompts
from causal_sae.spec.prompts import read_prompts
from causal_sae.spec.rules.analysis import CLUSTERED

if TYPE_CHECKING:
    from causal_sae.power.earlier import Earlier
    from causal_sae.spec import Trial
    from causal_sae.spec.analysis import Power
    from causal_sae.spec.design import Enrich
    from causal_sae.spec.loading import TrialFile

START = 40
"""Units in each arm of the roster from which a size is looked for when none is planned."""
BLOCKS = 4
"""How many blocks are taken where there are no prompts to count them in."""


@dataclass(frozen=True)
class Sized:
    """A plan with the units that it is made for."""

    plan: Plan
    roster: Roster
    pool: int = 0
    """Prompts of the pool that units are drawn from; 0 without one."""

    @property
    def units(self) -> int:
        """How many units there are in all."""
        return len(self.roster)


def sized_plan(
    declared: TrialFile, power: Power, earlier: Earlier | None, n: int | None
) -> tuple[Sized, list[str]]:
    """The plan of a trial at its size, and what was taken for granted, one sentence each.

    Parameters
    ----------
    declared, power:
        The trial, and what it is planned to find.
    earlier:
        A pilot that spread and correlations are taken from; None: the file declares them.
    n:
        Units in all; None: the prompts there are, or as many as the target takes.
    """
    notes: list[str] = []
    if declared.trial.rerandomize is not None:
        declared = replace(declared, trial=as_drawn_once(declared.trial))
        notes.append(
            "The power is that of the same trial without `rerandomize`: how much more there is "
            "depends on what the covariates explain."
        )
    spec = declared.trial
    if earlier is not None and spec.analysis.estimator in DISCRETE:
        raise SpecError(
            f"the estimator {spec.analysis.estimator!r} is planned from `baseline`, the outcome's "
            "mean on the untouched model, and not from a pilot, whose outcomes an effect cannot be "
            "added to; take the mean from the pilot and leave this out.",
            Place(field="power.pilot"),
        )
    outcomes = planned_outcomes(spec, power, () if earlier is None else earlier.pilot.values)
    if earlier is None:
        assumed = {o.name: assumptions(spec, power, o) for o in outcomes}
        notes += left_out(spec, power)
    else:
        from causal_sae.power.pilot import assumptions_of  # noqa: PLC0415
        from causal_sae.power.spread import told  # noqa: PLC0415

        estimator, _ = choose(spec)
        assumed = {
            o.name: assumptions_of(spec, power, earlier.pilot, o, estimator) for o in outcomes
        }
        notes += [told(earlier.pilot, o, assumed[o.name]) for o in outcomes]
    plan = Plan(spec, tuple(outcomes), assumed, {})
    roster, told_of_size = _roster(declared, power, plan, n)
    plan = Plan(spec, tuple(outcomes), assumed, planned(spec, roster))
    notes += of_pool(spec, power)
    pool = 0 if roster.exposed is None else pool_size(declared, power.active or 1.0)
    return Sized(plan, roster, pool), [*notes, *told_of_size, *_of_contrasts(plan)]


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
    name = plan.questions[0].estimator
    if not plan.has_closed_form:
        normal = ", with outcomes that are normal unless a pilot gives their shape"
        notes.append(
            f"The estimator {name!r} has no formula here: its power is simulated"
            f"{'' if name in DISCRETE else normal}."
        )
    return notes


def _roster(
    declared: TrialFile, power: Power, plan: Plan, n: int | None
) -> tuple[Roster, list[str]]:
    """The units of the trial, or as many as its target takes where none are given."""
    spec, population = declared.trial, declared.trial.population
    if population is not None and _source(declared).is_file():
        prompts = read_prompts(spec, declared.folder)
        kept = unused(declared, prompts)
        roster, notes = of_prompts(spec, kept), []
        if population.enrich is not None:
            roster = drawn_from(roster, population.enrich)
        if len(kept) < len(prompts):
            notes.append(f"{len(prompts) - len(kept)} prompts were in the pilot and are left out.")
        if population.enrich is None and population.eligibility.model_dump(exclude_none=True):
            notes.append("All prompts of the file are counted; which are eligible, the model says.")
        return roster if n is None else roster.resized(n), notes
    if population is not None and population.enrich is not None:
        total = population.enrich.exposed + population.enrich.unexposed
        return drawn_from(_made_up(spec, power, total), population.enrich).resized(n or total), []
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


def drawn_from(pool: Roster, enrich: Enrich) -> Roster:
    """The units of an enriched trial: as many as it draws, with the pool's blocks."""
    total = enrich.exposed + enrich.unexposed
    return pool.resized(total).enriched(enrich.exposed)


def _source(declared: TrialFile) -> Path:
    """Where the prompts are, or the pool that they are drawn from."""
    population = declared.trial.population
    assert population is not None
    of = population.enrich.of if population.enrich is not None else None
    return declared.folder / (of or population.prompts)


def pool_size(declared: TrialFile, active: float) -> int:
    """How many prompts the pool has; without a file, a quarter more than it needs."""
    population = declared.trial.population
    assert population is not None
    assert population.enrich is not None
    if _source(declared).is_file():
        return len(read_prompts(declared.trial, declared.folder))
    enrich = population.enrich
    return round(1.25 * max(enrich.exposed / active, enrich.unexposed / (1 - active)))


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
    if trial.assignment.method in CLUSTERED:  # as many whole clusters to each arm
        count = -(-count // len(trial.arms)) * len(trial.arms)
    bounds = np.round(np.arange(count + 1) * size).astype(int)
    cluster = np.repeat(np.arange(count), np.diff(bounds))
    block = None
    if blocked:
        block = np.array([f"block {i}" for i in cluster * BLOCKS // count])
    return Roster(
        names(len(cluster)), block, np.array([f"cluster {i:05d}" for i in cluster], dtype=np.str_)
    )


def simulated_as(sized: Sized, earlier: Earlier | None) -> tuple[Trial, Population]:
    """The trial with what is simulated of it, and where its units come from."""
    from causal_sae.power.repetitions import planned_only  # noqa: PLC0415 - loads statsmodels

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
    kind, power = DISCRETE.get(trial.analysis.estimator), trial.power
    if kind is not None and power is not None and power.baseline is not None:
        population = DiscretePopulation(trial, assumed, power.baseline, kind)
    if earlier is not None:
        from causal_sae.power.resampling import PilotPopulation  # noqa: PLC0415

        population = PilotPopulation(trial, earlier.pilot, assumed)
    spread = {name: one.placebo_sd for name, one in assumed.items()}
    if any(spread.values()) or trial.analysis.estimator == "placebo_draws":
        population = WithDraws(trial, population, spread)
    if sized.pool and power is not None:
        population = FromPool(trial, population, sized.pool, power.active or 1.0)
    return trial, population
