"""Rules of estimators that take the arm as an instrument for the treatment received."""

from __future__ import annotations

from collections.abc import Iterator

from causal_sae.spec.trial import Trial
from causal_sae.spec.yaml_tree import FieldPath, Problem

INSTRUMENTS = frozenset({"wald", "anderson_rubin", "dowhy_iv"})


def instruments_fit(trial: Trial) -> Iterator[Problem]:
    """The arm is a valid instrument in this trial, and the design is one that they know."""
    named: list[tuple[FieldPath, str]] = [(("analysis", "estimator"), trial.analysis.estimator)]
    supplementary = enumerate(trial.analysis.supplementary)
    named += [(("analysis", "supplementary", i), name) for i, name in supplementary]
    for path, name in named:
        message = misfit(trial, name) if name in INSTRUMENTS else None
        if message is not None:
            yield Problem(path, message)


def misfit(trial: Trial, name: str) -> str | None:
    """Why an estimator that takes the arm as an instrument does not fit; None when it does."""
    assignment, covariates = trial.assignment, trial.analysis.covariates
    kinds = {trial.arm(reference).intervention.kind for _, reference in trial.contrasts}
    if trial.within_unit:
        return (
            f"{name!r} compares units of one arm with units of another, but in a "
            f"{assignment.method} every unit is in every arm; use cace, which compares exposed "
            "units with themselves."
        )
    if assignment.cluster_by is not None or getattr(assignment, "block_by", None):
        return (
            f"{name!r} takes units as assigned one by one and without blocks, which is not so "
            "here; use cace, which keeps to blocks and clusters."
        )
    if covariates:
        return (
            f"{name!r} adjusts for nothing, but the covariates {', '.join(covariates)} are "
            "declared; use cace, or remove them."
        )
    if kinds != {"none"}:
        return (
            f"{name!r} takes the arm as an instrument, which must change nothing on units that the "
            "edit does not reach, but a reference of the contrasts edits the model itself; compare "
            "with an arm of kind none, or use cace."
        )
    return None
