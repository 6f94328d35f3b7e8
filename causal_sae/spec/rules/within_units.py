"""Rules of estimators for designs within units, and of those that need draws of a placebo."""

from __future__ import annotations

from collections.abc import Iterator

from causal_sae.spec.design import WITHIN_UNIT
from causal_sae.spec.trial import Trial
from causal_sae.spec.yaml_tree import FieldPath, Problem

PAIRS = frozenset({"paired", "crossover", "sparse", "wilcoxon", "mcnemar"})
"""The estimators that need every unit in both arms."""
ONE_LEVEL = {
    "hall": "takes units as independent",
    "mixed": "has one random intercept",
    "wilcoxon": "takes units as independent",
    "mcnemar": "takes units as independent",
}
"""The estimators that cannot hold both units and clusters of units together, and why."""


def pairs_are_there(trial: Trial) -> Iterator[Problem]:
    """An estimator of differences within units needs units in both arms."""
    method = trial.assignment.method
    if method in WITHIN_UNIT:
        return
    for path, estimator in _declared(trial):
        if estimator in PAIRS:
            yield Problem(
                path,
                f"{estimator!r} needs every unit in every arm, which {method} assignment does not "
                "give; use `estimator: auto`, or `method: crossover`.",
            )


def clusters_of_pairs_are_heeded(trial: Trial) -> Iterator[Problem]:
    """Units of one cluster are alike, which some estimators within units cannot allow for."""
    if trial.assignment.method not in WITHIN_UNIT or trial.assignment.cluster_by is None:
        return
    for path, estimator in _declared(trial):
        if estimator in ONE_LEVEL:
            yield Problem(
                path,
                f"{estimator!r} {ONE_LEVEL[estimator]}, but here every unit is in every arm and "
                "units come in clusters; use `paired`, whose standard error allows for them, or "
                "remove `cluster_by`.",
            )


def placebos_have_draws(trial: Trial) -> Iterator[Problem]:
    """A distribution of placebos needs a placebo arm of several draws to compare with."""
    named = [path for path, estimator in _declared(trial) if estimator == "placebo_draws"]
    assignment = trial.assignment
    shared = getattr(assignment, "block_by", None) or assignment.cluster_by
    for path in named:
        if shared and not trial.within_unit:
            yield Problem(
                path,
                "'placebo_draws' fits units that are in every arm, or are assigned without blocks "
                "and clusters; use `method: crossover`, or `estimator: auto`, whose interval holds "
                "for the draws made.",
            )
        elif not any(against_draws(trial, *contrast) for contrast in trial.contrasts):
            yield Problem(
                path,
                "'placebo_draws' holds an arm against the distribution of a placebo's draws, but "
                "no contrast has a reference with several draws and a treatment with one; add "
                "`placebo_for` or `random_direction` with `draws: 19` or more and a contrast "
                "[arm, placebo], or use `estimator: auto`.",
            )


def against_draws(trial: Trial, treatment: str, reference: str) -> bool:
    """Whether a contrast is of one edit against several draws of a placebo.

    Parameters
    ----------
    trial:
        Declares the arms.
    treatment, reference:
        The contrast.
    """
    return draws(trial, reference) > 1 and draws(trial, treatment) == 1


def draws(trial: Trial, name: str) -> int:
    """How many placebo features or random directions an arm has; 1 where its edit is one.

    Parameters
    ----------
    trial:
        Declares the arms.
    name:
        The arm.
    """
    for arm in trial.arms:
        if arm.name == name:
            edit = arm.intervention
            declared = getattr(edit, "draws", getattr(getattr(edit, "features", None), "draws", 1))
            return int(declared)
    return 1


def _declared(trial: Trial) -> Iterator[tuple[FieldPath, str]]:
    yield ("analysis", "estimator"), trial.analysis.estimator
    for i, estimator in enumerate(trial.analysis.supplementary):
        yield ("analysis", "supplementary", i), estimator
