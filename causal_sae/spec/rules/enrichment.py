"""Rules of enriched trials: what prompts drawn with unequal probabilities can tell.

They are asked of a trial that is to be validated, run or estimated, not of one that is only read.
"""

from __future__ import annotations

from collections.abc import Iterator

from causal_sae.errors import Place, SpecError
from causal_sae.spec.enrichment import ESTIMATORS, inert_where_silent
from causal_sae.spec.trial import Trial
from causal_sae.spec.yaml_tree import FieldPath, Problem

ENRICH: FieldPath = ("population", "enrich")


def enrichment_errors(trial: Trial) -> list[SpecError]:
    """What keeps an enriched trial from being run and analysed, each at its field."""
    problems = [*_can_be_met(trial), *_weighted(trial)]
    return [
        SpecError(problem.message, Place(field=".".join(map(str, problem.path))))
        for problem in problems
    ]


def _can_be_met(trial: Trial) -> Iterator[Problem]:
    """Unexposed prompts are not asked for and excluded at once."""
    population = trial.population
    if population is None or population.enrich is None:
        return
    active, enrich = population.eligibility.active, population.enrich
    if active is not None and active.feature == enrich.feature and enrich.unexposed > 0:
        yield Problem(
            (*ENRICH, "unexposed"),
            f"{enrich.unexposed} prompts on which feature {enrich.feature} is silent are asked "
            f"for, but `eligibility.active` admits none; remove that, or set `unexposed: 0`.",
        )


def _weighted(trial: Trial) -> Iterator[Problem]:
    """The analysis knows with what probabilities prompts were drawn."""
    if trial.population is None or trial.population.enrich is None:
        return
    estimator = trial.analysis.estimator
    if estimator not in ESTIMATORS:
        yield Problem(
            ("analysis", "estimator"),
            f"with `enrich` prompts are drawn with unequal probabilities, which {estimator!r} "
            "takes no account of; use auto or enriched (the effect in the whole pool), or cace "
            "(the effect on exposed prompts).",
        )
    if trial.analysis.refuters:
        yield Problem(
            ("analysis", "refuters"),
            "refuters take the prompts that were drawn for the population, which they are not "
            "with `enrich`; remove them.",
        )
    if estimator in {"auto", "enriched"}:
        yield from _unidentified(trial)
        yield from _clustered(trial)


def _unidentified(trial: Trial) -> Iterator[Problem]:
    """Nothing is known of prompts that were neither run nor bound to stay as they are."""
    enrich = trial.population.enrich if trial.population else None
    if enrich is None or enrich.unexposed > 0:
        return
    for outcome in trial.outcomes:
        for treatment, reference in trial.contrasts:
            if not inert_where_silent(trial, outcome, treatment, reference):
                yield Problem(
                    ENRICH,
                    f"what {treatment!r} against {reference!r} does to {outcome.name!r} on prompts "
                    f"where feature {enrich.feature} is silent is not known to be nothing, and "
                    "none of them is drawn, so the effect in the whole pool cannot be estimated; "
                    "draw some with `unexposed: 50`, or estimate the effect on exposed prompts "
                    "with `estimator: cace`.",
                )
                return


def _clustered(trial: Trial) -> Iterator[Problem]:
    population, cluster_by = trial.population, trial.assignment.cluster_by
    if population is None or cluster_by is None:
        return
    if population.claim == "superpopulation":
        yield Problem(
            ("assignment", "cluster_by"),
            "how much the share of exposed prompts varies between clusters is not known from the "
            "prompts drawn; use `claim: finite`, which is about this pool, or `estimator: cace`, "
            "or leave out the clusters.",
        )
    elif population.enrich is not None and population.enrich.unexposed > 0:
        yield Problem(
            (*ENRICH, "unexposed"),
            "with clusters the exposed and the unexposed prompts are not independent; set "
            "`unexposed: 0`, or use `estimator: cace`.",
        )
