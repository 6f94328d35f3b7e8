"""What the trial file declares to plan with, and the sentences where that is not enough."""

from __future__ import annotations

from collections.abc import Container
from typing import TYPE_CHECKING

from causal_sae.errors import Place, SpecError
from causal_sae.estimation.guardrails import has_margin
from causal_sae.simulation import DISCRETE, Assumptions, draws_of, inert_when_silent, usual_sd
from causal_sae.spec.rules.analysis import CLEAN_OUTCOME, CLUSTERED

if TYPE_CHECKING:
    from causal_sae.spec import Outcome, Trial
    from causal_sae.spec.analysis import Power


def plan_of(trial: Trial) -> Power:
    """The section ``power`` of a trial whose power can be computed.

    Raises
    ------
    SpecError
        Names what is missing, or why there is no power to speak of.
    """
    if any(getattr(arm.intervention, "features", None) == "all" for arm in trial.arms):
        raise SpecError(
            "a screen has a test for each feature, with a power of its own on the prompts where "
            "that feature fires; plan the trial of the hits, which `causal-sae screen --confirm` "
            "writes with its power.",
            Place(field="arms"),
        )
    if trial.power is None:
        raise SpecError(
            "the trial must say what it is planned to find; add, for example, "
            "`power: {target: 0.8, effect: 0.3}` with the smallest effect that matters, in "
            "standard deviations.",
            Place(field="power"),
        )
    _one_look(trial)
    _check_population(trial)
    estimator = trial.analysis.estimator
    _check_draws(trial.power, estimator)
    if estimator in DISCRETE:
        _check_baseline(trial.power, estimator)
    if not any(outcome.role == "primary" for outcome in trial.outcomes):
        raise SpecError(
            "power is that of the contrasts of primary outcomes, but there is none; give one "
            "outcome `role: primary`.",
            Place(field="outcomes"),
        )
    return trial.power


def _one_look(trial: Trial) -> None:
    """Refuse trials that are stopped by a rule that the plan does not follow."""
    if trial.analysis.looks is not None:
        raise SpecError(
            "a trial with looks before its end has the power of its stopping rule, which "
            "`causal-sae looks TRIAL` computes, with the units that it will take.",
            Place(field="analysis.looks"),
        )


def as_drawn_once(trial: Trial) -> Trial:
    """The trial without drawing its assignment again; that only takes away from its power."""
    if trial.rerandomize is None:
        return trial
    assignment = trial.assignment.model_copy(update={"rerandomize": None})
    return trial.model_copy(update={"assignment": assignment})


def _check_population(trial: Trial) -> None:
    """Refuse claims that leave nothing to plan, and draws of which too little is declared."""
    population = trial.population
    if population is not None and population.claim == "finite" and trial.within_unit:
        raise SpecError(
            "every unit is in every arm and the claim is about these units, so the effect will be "
            "known without error and there is no power to plan; say `claim: superpopulation` to "
            "plan a test.",
            Place(field="population.claim"),
        )
    if population is not None and population.enrich is not None:
        _check_enriched(trial)
    elif trial.analysis.estimator == "enriched":
        raise SpecError(
            "the estimator 'enriched' weights units by how they were drawn from a pool; say how "
            "with `enrich: {feature: ..., exposed: 200, unexposed: 50}`.",
            Place(field="population.enrich"),
        )


def _check_enriched(trial: Trial) -> None:
    """Refuse enriched trials whose plan would need more than is declared."""
    assert trial.population is not None
    assert trial.power is not None
    if trial.power.active is None or not trial.power.active < 1:
        raise SpecError(
            "prompts are drawn by whether the feature fires, so the plan depends on how many of "
            "the pool's are exposed; add `active:`, their share, such as 0.03.",
            Place(field="power.active"),
        )
    if trial.population.claim == "finite":
        raise SpecError(
            "an enriched trial is planned for prompts like those of the pool; say "
            "`claim: superpopulation`, whose interval is the wider one.",
            Place(field="population.claim"),
        )
    if trial.analysis.estimator == "cace":
        raise SpecError(
            "the effect on exposed prompts is planned as a trial of these alone: leave out "
            "`enrich`, and give their number with --n.",
            Place(field="population.enrich"),
        )


def _check_draws(power: Power, estimator: str) -> None:
    """Refuse a test of draws that says nothing of how they differ."""
    if estimator == "placebo_draws" and not power.placebo_sd:
        raise SpecError(
            "the estimator 'placebo_draws' holds a feature against others, so its power depends on "
            "how much these differ; add `placebo_sd:`, the standard deviation of their effects in "
            "the unit of `effect`.",
            Place(field="power.placebo_sd"),
        )


def _check_baseline(power: Power, estimator: str) -> None:
    """Refuse a plan for shares or counts whose means could not be."""
    kind, place = DISCRETE[estimator], Place(field="power.baseline")
    what = "the share of ones" if kind == "share" else "the mean count"
    if power.baseline is None:
        raise SpecError(
            f"the power of the estimator {estimator!r} depends on {what}; add `baseline:`, {what} "
            "on the untouched model.",
            place,
        )
    if kind == "share" and not 0 < power.baseline < 1:
        raise SpecError(f"must be a share between 0 and 1, got {power.baseline:g}.", place)
    sd = None if isinstance(power.sd, dict) else power.sd
    least = usual_sd(kind, power.baseline)
    if sd is not None and (kind == "share" or sd < least):
        raise SpecError(
            "of outcomes of 0 and 1 follows from `baseline`; leave it out."
            if kind == "share"
            else f"of counts with the mean {power.baseline:g} is at least {least:.3g}, got {sd:g}.",
            Place(field="power.sd"),
        )
    moved = power.baseline + power.effect * unit_of(power, sd or least)
    if moved <= 0 or (kind == "share" and moved >= 1):
        raise SpecError(
            f"would move {what} from {power.baseline:g} to {moved:.3g}, which cannot be; declare a "
            "smaller effect.",
            Place(field="power.effect"),
        )


def planned_outcomes(trial: Trial, power: Power, measured: Container[str] = ()) -> list[Outcome]:
    """The outcomes that the trial is planned for, in its order.

    Parameters
    ----------
    trial, power:
        Primary outcomes, and guardrails whose standard deviation is declared by name.
    measured:
        Outcomes of the pilot: guardrails among them are planned for too.
    """
    named = power.sd if isinstance(power.sd, dict) else ()

    def planned(outcome: Outcome) -> bool:
        claim = outcome.role == "guardrail" and has_margin(outcome)
        return outcome.role == "primary" or (
            claim and (outcome.name in named or outcome.name in measured)
        )

    return [outcome for outcome in trial.outcomes if planned(outcome)]


def assumptions(trial: Trial, power: Power, outcome: Outcome) -> Assumptions:
    """What the file declares of an outcome, with what it leaves out at its worst.

    Raises
    ------
    SpecError
        Where what is left out has no worst case that could be planned with.
    """
    known = power.sd_of(outcome.name)
    kind = DISCRETE.get(trial.analysis.estimator)
    if known is None and kind is not None and power.baseline is not None:
        known = usual_sd(kind, power.baseline)
    if power.unit == "outcome" and known is None:
        raise SpecError(
            "an effect in the outcome's units needs its standard deviation; add `sd:` of "
            f"{outcome.name!r}, or `pilot:` with a run folder.",
            Place(field="power.sd"),
        )
    if power.icc is None and trial.assignment.method in CLUSTERED:
        raise SpecError(
            "whole clusters are assigned, so the size depends on how alike the units of a cluster "
            "are; add `icc:`, the intracluster correlation, or take it from a pilot.",
            Place(field="power.icc"),
        )
    sd = known or 1.0
    return Assumptions(
        effect=power.effect * unit_of(power, sd),
        placebo_sd=(power.placebo_sd or 0.0) * unit_of(power, sd),
        sd=sd,
        rho=power.rho or 0.0,
        icc=power.icc or 0.0,
        active=power.active or 1.0,
    )


def unit_of(power: Power, sd: float) -> float:
    """What the unit of the declared effect is in the outcome's units."""
    return sd if power.unit == "sd" else 1.0


def left_out(trial: Trial, power: Power) -> list[str]:
    """What the plan takes for granted because the file does not say: one sentence each."""
    notes = []
    kind = DISCRETE.get(trial.analysis.estimator)
    if kind is not None:
        notes.append(
            f"Outcomes are {'0 and 1' if kind == 'share' else 'counts'} with the declared mean; "
            "rho and icc are those of the normal variables behind them."
        )
    elif power.sd is None and power.unit == "sd":
        notes.append("Effects are in standard deviations of the outcome: sd is 1.")
    if power.rho is None and trial.within_unit:
        notes.append(
            "rho is not declared: a unit's outcomes in two arms are taken as uncorrelated. "
            "In a design within units that is the worst case; a pilot shows the true one."
        )
    if power.rho is None and CLEAN_OUTCOME in trial.analysis.covariates:
        notes.append(
            "rho is not declared: the outcome after an edit is taken as uncorrelated with the "
            f"covariate {CLEAN_OUTCOME}. That is the worst case; a pilot shows the true one."
        )
    others = [name for name in trial.analysis.covariates if name != CLEAN_OUTCOME]
    if others:
        notes.append(f"The covariates {', '.join(others)} are taken as useless.")
    if power.active is not None and power.active < 1:
        notes.append(
            f"The effect is that on units where the feature fires, {power.active:.0%} of all; "
            "the others are taken as untouched by it."
            if any(map(inert_when_silent, trial.arms))
            else "No arm leaves units untouched where the feature is silent: `active` changes "
            "nothing."
        )
    if getattr(trial.assignment, "block_by", None) and power.icc is None:
        notes.append("icc is not declared: blocks are taken as no different from each other.")
    return [*notes, *_of_draws(trial, power)]


def of_pool(trial: Trial, power: Power) -> list[str]:
    """What is taken for granted of a pool, and of which units the numbers are."""
    enrich = trial.population.enrich if trial.population else None
    if enrich is None:
        return []
    return [
        f"Units are the prompts drawn, {enrich.exposed:,} exposed and {enrich.unexposed:,} "
        f"unexposed, in that proportion at every size; {power.active:.1%} of the pool are taken as "
        "exposed. The effect is that in the whole pool.",
        "The scan of the pool is not counted: it runs the layers up to the SAE, once for a prompt.",
    ]


def _of_draws(trial: Trial, power: Power) -> list[str]:
    drawn, notes = {arm.name for arm in trial.arms if draws_of(arm) > 1}, []
    if power.placebo_sd is None and any(drawn & set(pair) for pair in trial.contrasts):
        notes.append(
            "placebo_sd is not declared: placebo features and random directions are taken as alike "
            "in what they do, so that their number changes nothing."
        )
    if power.placebo_sd and not drawn:
        notes.append("No arm has several draws: `placebo_sd` changes nothing.")
    return notes
