"""Which estimator a trial gets, and why another would not fit."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from causal_sae.errors import Place, SpecError, did_you_mean
from causal_sae.estimation.estimators import ESTIMATORS, Estimator, hall, sparse
from causal_sae.estimation.estimators.cluster import FEW
from causal_sae.estimation.guardrails import has_margin
from causal_sae.estimation.multiplicity import JOINT, check_correction
from causal_sae.estimation.sparsity import edits_active_only
from causal_sae.spec.rules.effect_sizes import effect_size_fits
from causal_sae.spec.rules.enrichment import enrichment_errors
from causal_sae.spec.rules.instruments import misfit
from causal_sae.spec.rules.within_units import against_draws

if TYPE_CHECKING:
    from causal_sae.estimation.contrasts import Contrast
    from causal_sae.estimation.estimators.base import Structure
    from causal_sae.estimation.sample import Sample
    from causal_sae.spec import Trial

UNAVAILABLE: dict[str, str] = {}
"""Estimators that a trial can name and this version refuses, with what to use instead."""

PREFERRED: dict[Structure, str] = {
    "within-unit": "paired",
    "blocked": "block",
    "clustered": "cluster",
    "blocked and clustered": "cluster",
    "plain": "welch",
}
"""What ``auto`` rests on; ancova in a plain design with covariates."""


def structure(trial: Trial) -> Structure:
    """What the assignment obliges the analysis to respect."""
    if trial.within_unit:
        return "within-unit"
    blocked = bool(getattr(trial.assignment, "block_by", None))
    clustered = trial.assignment.cluster_by is not None
    if blocked and clustered:
        return "blocked and clustered"
    if clustered:
        return "clustered"
    return "blocked" if blocked else "plain"


def choose(trial: Trial, declared: str | None = None) -> tuple[str, Estimator]:
    """The name of the trial's estimator, and the estimator.

    Parameters
    ----------
    trial:
        Declares the estimator, the assignment and the covariates.
    declared:
        Another estimator than the trial's own: one of its supplementary ones.

    Raises
    ------
    SpecError
        When the declared estimator is not available, or does not fit the assignment or the
        covariates: names the one that does.
    """
    name = declared or trial.analysis.estimator
    chosen = automatic(trial) if name == "auto" else str(name)
    place = Place(field="analysis.estimator")
    if chosen in UNAVAILABLE:
        raise SpecError(
            f"the estimator {chosen!r} is not available yet; use {UNAVAILABLE[chosen]}.", place
        )
    if chosen not in ESTIMATORS:
        hint = did_you_mean(chosen, ESTIMATORS)
        raise SpecError(f"the estimator must be a known one, got {chosen!r}; {hint}", place)
    estimator = ESTIMATORS[chosen]
    unfit = misfit(trial, chosen) if estimator.instrument else None
    if unfit is not None:
        raise SpecError(unfit, place)
    _fits_structure(trial, chosen, estimator)
    _fits_covariates(trial, chosen, estimator)
    return chosen, estimator


def choose_for(
    trial: Trial, contrast: Contrast, sample: Sample, declared: str | None = None
) -> tuple[str, Estimator]:
    """As :func:`choose`, where the outcomes do not ask for another estimator.

    Some estimators are for outcomes of one kind (``logistic`` for 0 and 1) or for contrasts of one
    kind (``placebo_draws``); a trial's others get what ``auto`` takes.
    ``auto`` becomes ``sparse`` where it can see that units are untouched: every unit is in both
    arms, neither treatment nor reference edits anything where the feature is silent, and the units
    on which it is silent are exactly unchanged. It becomes ``enriched`` where units were drawn from
    a pool, and otherwise ``hall``: the design's own estimator with limits for skewed outcomes,
    unless there are clusters, or a correction that needs Student's statistics. Where clusters are
    few, standard errors are CR3's. A primary outcome that is looked at before the end keeps the
    design's own estimator, unless it is looked at by a confidence sequence.

    Where the outcome has a margin each limit has to hold alone, and the estimator is made so.

    Parameters
    ----------
    trial, contrast:
        What is compared.
    sample:
        The units analysed.
    declared:
        Another estimator than the trial's own: one of its supplementary ones.
    """
    name, estimator = _chosen(trial, contrast, sample, declared)
    return name, estimator.for_margins if has_margin(contrast.outcome) else estimator


def _chosen(
    trial: Trial, contrast: Contrast, sample: Sample, declared: str | None
) -> tuple[str, Estimator]:
    name, estimator = choose(trial, declared)
    pair = (contrast.treatment, contrast.reference)
    elsewhere = name == "placebo_draws" and not against_draws(trial, *pair)
    if elsewhere or (estimator.applies is not None and not estimator.applies(sample)):
        name, estimator = automatic(trial), ESTIMATORS[automatic(trial)]
    elif (declared or trial.analysis.estimator) != "auto":
        return name, estimator
    if sample.pool is not None:
        return "enriched", ESTIMATORS["enriched"]
    edits = [trial.arm(arm).intervention for arm in pair]
    inert = edits_active_only(edits[0]) and (edits[1].kind == "none" or edits_active_only(edits[1]))
    if trial.analysis.looks is not None and contrast.outcome.role == "primary":
        # A test that spends alpha is Student's at every look. A confidence sequence asks for a
        # bound at each look alone, and that is held for skewed outcomes by Hall's limits only.
        sequence = trial.analysis.looks.spending == "always_valid"
        guarded = sequence and allows_skewness(trial, name)
        return ("hall", hall.ESTIMATOR) if guarded else (name, estimator)
    if name == "paired" and inert and sparse.applies(sample):
        return "sparse", sparse.ESTIMATOR
    if allows_skewness(trial, name):
        return "hall", hall.ESTIMATOR
    if estimator.few_fit is not None and allows_jackknife(trial) and few_clusters(sample):
        estimator = replace(estimator, fit=estimator.few_fit)
    return name, estimator


def few_clusters(sample: Sample) -> bool:
    """Whether units come in so few clusters that CR2 can cover too little."""
    return sample.cluster is not None and len(np.unique(sample.cluster)) < FEW


def allows_jackknife(trial: Trial) -> bool:
    """Whether ``auto`` may take CR3, which errs on the side of width, where clusters are few.

    Joint corrections rest on CR2's scores, and looks on one kind of statistic.
    """
    joint = trial.analysis.multiplicity.method in JOINT
    looked_at = trial.analysis.looks is not None
    return not joint and not looked_at


def allows_skewness(trial: Trial, name: str) -> bool:
    """Whether ``auto`` gives the design's own estimator Hall's limits.

    Parameters
    ----------
    trial:
        Declares clusters and the correction.
    name:
        The estimator that ``auto`` stands for.
    """
    joint = trial.analysis.multiplicity.method in JOINT
    return not joint and trial.assignment.cluster_by is None and name in hall.BASES


def check_analysis(trial: Trial) -> None:
    """Refuse an analysis that could not be made, before anything is run for it.

    Raises
    ------
    SpecError
        The estimator, the effect size or the correction is not available or does not fit; says
        what does.
    """
    for error in enrichment_errors(trial):
        raise error
    name, _ = choose(trial)
    for declared in trial.analysis.supplementary:
        choose(trial, declared)
    for problem in effect_size_fits(trial):
        raise SpecError(problem.message, Place(field="analysis.effect_size"))
    check_correction(trial, name)


def automatic(trial: Trial) -> str:
    """The estimator that ``auto`` stands for."""
    kind = structure(trial)
    if trial.population is not None and trial.population.enrich is not None:
        return "enriched"
    if kind == "plain" and trial.analysis.covariates:
        return "ancova"
    if kind == "plain" and trial.assignment.method == "factorial":
        return "difference_in_means"
    return PREFERRED[kind]


def _fits_structure(trial: Trial, name: str, estimator: Estimator) -> None:
    kind = structure(trial)
    if kind not in estimator.structures:
        raise SpecError(
            f"the estimator {name!r} fits {' and '.join(sorted(estimator.structures))} designs, "
            f"but the assignment {trial.assignment.method!r} is {kind}; use "
            f"{automatic(trial)!r} or 'auto'.",
            Place(field="analysis.estimator"),
        )


def _fits_covariates(trial: Trial, name: str, estimator: Estimator) -> None:
    covariates = trial.analysis.covariates
    place = Place(field="analysis.covariates")
    if estimator.covariates == "required" and not covariates:
        raise SpecError(
            f"the estimator {name!r} needs covariates, but none are declared; declare some, such "
            "as [clean_outcome], or use 'auto'.",
            place,
        )
    if estimator.covariates == "none" and covariates:
        raise SpecError(
            f"the estimator {name!r} adjusts for nothing, but the covariates "
            f"{', '.join(covariates)} are declared; use 'ancova' or 'lin', or remove them.",
            place,
        )
