"""Rules of assignments that are drawn again until the arms are alike."""

from __future__ import annotations

from collections.abc import Iterator

from causal_sae.spec.rules.repeats import repeats
from causal_sae.spec.trial import Trial
from causal_sae.spec.yaml_tree import FieldPath, Problem
from causal_sae.tables import ASSIGNMENT, OBSERVATIONS

PLACE: FieldPath = ("assignment", "rerandomize")
ESTIMATORS = (
    *("auto", "welch", "difference_in_means", "ancova", "lin", "block", "fixed_effects"),
    "randomization",
)
"""The estimators whose error rates are known to hold."""
RECORDED = frozenset({*ASSIGNMENT.columns, *OBSERVATIONS.columns, "positions", "active_positions"})
JOINT = frozenset({"maxt", "dunnett", "single_step"})
"""The corrections that draw, or integrate over, assignments without the rule."""


def rerandomizing_makes_sense(trial: Trial) -> Iterator[Problem]:
    """The rule has one limit, and covariates that are known before anything runs."""
    rule = trial.rerandomize
    if rule is None:
        return
    if (rule.until.probability is None) == (rule.until.distance is None):
        yield Problem(
            (*PLACE, "until"), "say either `probability:` or `distance:`; for example 0.01."
        )
    for i, name in enumerate(rule.on):
        if name == "clean_outcome":
            yield Problem(
                (*PLACE, "on", i),
                "the assignment is drawn before the model runs, so the clean outcome is not known "
                "yet; name a column of the prompts, and keep `clean_outcome` for "
                "`analysis.covariates`.",
            )
        elif name in RECORDED or name in trial.roles():
            yield Problem(
                (*PLACE, "on", i),
                f"{name!r} is what the run records or measures; name a column of the prompts that "
                "is called otherwise.",
            )
    for i, _ in repeats(rule.on):
        yield Problem((*PLACE, "on", i), f"{rule.on[i]!r} is listed twice; remove one.")
    if len({arm.share for arm in trial.arms}) > 1:
        yield Problem(
            PLACE,
            "with unequal shares each unit would have a propensity of its own; give all arms the "
            "same share, or remove `rerandomize`.",
        )


def rerandomizing_is_heeded(trial: Trial) -> Iterator[Problem]:
    """What is inferred knows how the assignment was drawn, or is known to err on the safe side."""
    if trial.rerandomize is None:
        return
    if trial.assignment.cluster_by is not None:
        yield Problem(
            PLACE,
            "units of a cluster are alike, which the distance takes no account of; remove "
            "`rerandomize` or `cluster_by`.",
        )
    if trial.analysis.looks is not None:
        yield Problem(
            PLACE,
            "the arms are alike once all units are in, not at a look before; remove `rerandomize`, "
            "or `analysis.looks`.",
        )
    if trial.population is not None and trial.population.enrich is not None:
        yield Problem(
            PLACE,
            "units drawn from a pool count by their weights, which the distance takes no account "
            "of; remove `rerandomize`, or `population.enrich`.",
        )
    yield from _analysis(trial)


def _analysis(trial: Trial) -> Iterator[Problem]:
    named = (trial.analysis.estimator, *trial.analysis.supplementary)
    for i, estimator in enumerate(named):
        if estimator not in ESTIMATORS:
            place: FieldPath = ("supplementary", i - 1) if i else ("estimator",)
            yield Problem(
                ("analysis", *place),
                f"how {estimator!r} behaves where assignments are drawn again is not known here; "
                f"use one of {', '.join(ESTIMATORS)}, or remove `rerandomize`.",
            )
    if trial.analysis.multiplicity.method in JOINT:
        yield Problem(
            ("analysis", "multiplicity", "method"),
            f"{trial.analysis.multiplicity.method!r} takes every assignment as possible, which "
            "`rerandomize` does not; use `holm`.",
        )
    if trial.analysis.factorial != "none" or trial.analysis.dose_response:
        yield Problem(
            PLACE,
            "effects of several arms take every assignment as possible; remove `rerandomize`, or "
            "those effects.",
        )
