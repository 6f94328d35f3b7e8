"""What the trial file declares to plan with, and the sentences where that is not enough."""

from __future__ import annotations

from typing import TYPE_CHECKING

from causal_sae.errors import Place, SpecError
from causal_sae.simulation import Assumptions, inert_when_silent
from causal_sae.spec.rules.analysis import CLEAN_OUTCOME, CLUSTERED

if TYPE_CHECKING:
    from causal_sae.spec import Outcome, Trial
    from causal_sae.spec.analysis import Power


UNPLANNED = {
    "logistic": "depends on how often the outcome is 1, which a plan does not declare; the size "
    "that `welch` needs is enough",
    "poisson": "depends on the mean count, which a plan does not declare; the size that `welch` "
    "needs, with the counts' standard deviation, is a good first answer",
    "mcnemar": "depends on how often the outcome is 1, which a plan does not declare; the size "
    "that `paired` needs is a good first answer",
    "placebo_draws": "depends on how features differ from each other, which a plan does not "
    "declare; with it the number of draws decides, not the number of units",
    "enriched": "depends on the pool; plan the exposed units as a trial of their own",
}
"""Estimators that no plan here is for: why, and what to do instead."""


def plan_of(trial: Trial) -> Power:
    """The section ``power`` of a trial whose power can be computed.

    Raises
    ------
    SpecError
        Names what is missing, or why there is no power to speak of.
    """
    if trial.power is None:
        raise SpecError(
            "the trial must say what it is planned to find; add, for example, "
            "`power: {target: 0.8, effect: 0.3}` with the smallest effect that matters, in "
            "standard deviations.",
            Place(field="power"),
        )
    if trial.analysis.looks is not None:
        raise SpecError(
            "a trial with looks before its end has the power of its stopping rule, which "
            "`causal-sae looks TRIAL` computes, with the units that it will take.",
            Place(field="analysis.looks"),
        )
    if trial.rerandomize is not None:
        raise SpecError(
            "the power of an assignment that is drawn again until arms are alike depends on what "
            "the covariates explain; it is at least that of the same trial without `rerandomize`: "
            "plan that one.",
            Place(field="assignment.rerandomize"),
        )
    population = trial.population
    if population is not None and population.claim == "finite" and trial.within_unit:
        raise SpecError(
            "every unit is in every arm and the claim is about these units, so the effect will be "
            "known without error and there is no power to plan; say `claim: superpopulation` to "
            "plan a test.",
            Place(field="population.claim"),
        )
    if population is not None and population.enrich is not None:
        raise SpecError(
            "the power of an enriched trial is not available yet; plan the exposed prompts as a "
            "trial of their own, without `enrich`.",
            Place(field="population.enrich"),
        )
    estimator = trial.analysis.estimator
    if estimator in UNPLANNED:
        raise SpecError(
            f"the power of the estimator {estimator!r} is not available yet, because it "
            f"{UNPLANNED[estimator]}.",
            Place(field="analysis.estimator"),
        )
    if not any(outcome.role == "primary" for outcome in trial.outcomes):
        raise SpecError(
            "power is that of the contrasts of primary outcomes, but there is none; give one "
            "outcome `role: primary`.",
            Place(field="outcomes"),
        )
    return trial.power


def primary(trial: Trial) -> list[Outcome]:
    """The outcomes that the trial is planned for."""
    return [outcome for outcome in trial.outcomes if outcome.role == "primary"]


def assumptions(trial: Trial, power: Power) -> Assumptions:
    """What the file declares of every primary outcome, with what it leaves out at its worst.

    Raises
    ------
    SpecError
        Where what is left out has no worst case that could be planned with.
    """
    if power.unit == "outcome" and power.sd is None:
        raise SpecError(
            "an effect in the outcome's units needs its standard deviation; add `sd:`, or "
            "`pilot:` with a run folder.",
            Place(field="power.sd"),
        )
    if power.icc is None and trial.assignment.method in CLUSTERED:
        raise SpecError(
            "whole clusters are assigned, so the size depends on how alike the units of a cluster "
            "are; add `icc:`, the intracluster correlation, or take it from a pilot.",
            Place(field="power.icc"),
        )
    sd = power.sd or 1.0
    return Assumptions(
        effect=power.effect * (sd if power.unit == "sd" else 1.0),
        sd=sd,
        rho=power.rho or 0.0,
        icc=power.icc or 0.0,
        active=power.active or 1.0,
    )


def left_out(trial: Trial, power: Power) -> list[str]:
    """What the plan takes for granted because the file does not say: one sentence each."""
    notes = []
    if power.sd is None and power.unit == "sd":
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
    return notes
