"""Would the analysis find an effect where there is none? DoWhy's identification and refuters.

A refuter tests the analysis, not the hypothesis: its p-value is not the effect's. Each result is
therefore a verdict and a plain sentence.

Designs are brought to a form that DoWhy's regression handles rightly. Within-unit designs: each
unit's mean is taken off its two rows, which leaves the mean difference as the effect. Blocked
designs: each block's means are taken off outcome, treatment and covariates (block fixed effects,
so where the arms' shares differ between blocks they count by precision and not by size).
Clusters are ignored: the refuters look at the size of the estimate, which clusters do not change,
and not at its standard error.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from causal_sae.estimation.choice import structure
from causal_sae.estimation.contrasts import Contrast, analysed, unit_values
from causal_sae.estimation.linear_models import centred, design, usable_covariates
from causal_sae.estimation.sample import Codes, Matrix, Sample, Vector

if TYPE_CHECKING:
    from causal_sae.spec import Trial

MIN_UNITS = 10
"""Below this number of rows a refuter's subsets say nothing."""

MEANING: dict[str, tuple[str, str]] = {
    "placebo_treatment": (
        "with the arms shuffled the effect vanishes ({refuted:.3g} instead of {estimate:.3g})",
        "with the arms shuffled an effect of {refuted:.3g} remains, where none can be",
    ),
    "random_common_cause": (
        "adjusting for pure noise leaves the effect where it was ({refuted:.3g} instead of "
        "{estimate:.3g})",
        "adjusting for pure noise moves the effect from {estimate:.3g} to {refuted:.3g}",
    ),
    "data_subset": (
        "on random four fifths of the data the effect is the same ({refuted:.3g} instead of "
        "{estimate:.3g})",
        "on random four fifths of the data the effect moves from {estimate:.3g} to {refuted:.3g}",
    ),
}
"""Refuter -> what it means that it passed, and that it failed."""


@dataclass(frozen=True)
class Refutation:
    """One refuter's verdict on one primary contrast."""

    outcome: str
    treatment: str
    reference: str
    refuter: str
    estimate: float
    refuted_estimate: float
    p_value: float
    passed: bool | None
    sentence: str


def refute(trial: Trial, observations: pd.DataFrame) -> pd.DataFrame:
    """DoWhy's refuters on the contrasts of the primary outcomes.

    Parameters
    ----------
    trial:
        ``analysis.refuters`` names the refuters; ``seed`` makes them reproducible.
    observations:
        As for :func:`causal_sae.estimation.estimate`.

    Returns
    -------
    One row per primary outcome, contrast and refuter, with the fields of :class:`Refutation`;
    ``passed`` is empty where there were too few units to tell. ``p_value`` belongs to the refuter
    and must never be shown as the effect's.
    """
    values = unit_values(trial, observations)
    primary = [outcome for outcome in trial.outcomes if outcome.role == "primary"]
    rows: list[Refutation] = []
    for outcome in primary if trial.analysis.refuters else ():
        for treatment, reference in trial.contrasts:
            sample, _ = analysed(trial, values, Contrast(outcome, treatment, reference))
            name = (outcome.name, treatment, reference)
            rows += _refutations(trial, sample, name, first=len(rows))
    columns = list(Refutation.__dataclass_fields__)
    table = pd.DataFrame([asdict(row) for row in rows], columns=columns)
    return table.astype({"passed": "boolean"})


def _refutations(
    trial: Trial, sample: Sample, name: tuple[str, str, str], first: int
) -> list[Refutation]:
    refuters = trial.analysis.refuters
    if min(map(len, sample.arms)) < MIN_UNITS / 2:
        sentence = "Not run: there are too few units to shuffle or to leave out."
        return [
            Refutation(*name, refuter, np.nan, np.nan, np.nan, None, sentence)
            for refuter in refuters
        ]
    from causal_sae.estimation import causal_model  # noqa: PLC0415 - DoWhy takes four seconds

    fitted = causal_model.fit(*regression_form(sample, structure(trial) == "within-unit"))
    rows = []
    for position, refuter in enumerate(refuters):
        state = np.random.SeedSequence([trial.seed, first + position])
        seed = int(state.generate_state(1)[0])
        refuted, p_value = causal_model.refute(fitted, refuter, seed)
        passed = p_value > 0.05
        sentence = describe(refuter, passed, fitted.value, refuted)
        rows.append(Refutation(*name, refuter, fitted.value, refuted, p_value, passed, sentence))
    return rows


def describe(refuter: str, passed: bool, estimate: float, refuted: float) -> str:
    """The verdict of a refuter as one sentence."""
    good, bad = MEANING[refuter]
    text = (good if passed else bad).format(estimate=estimate, refuted=refuted)
    return f"Refuter {'passed' if passed else 'failed'}: {text}."


def regression_form(sample: Sample, within_unit: bool) -> tuple[Vector, Vector, Matrix]:
    """Outcome, treatment and covariates whose plain regression gives the design's effect.

    Parameters
    ----------
    sample:
        The units of the contrast.
    within_unit:
        Whether every unit has a row in each arm.
    """
    treatment = sample.treated.astype(np.float64)
    if within_unit:
        units = np.unique(sample.unit, return_inverse=True)[1]
        return _without_means(sample.outcome, units), treatment, np.empty((len(sample), 0))
    covariates, _ = usable_covariates(sample, design(treatment))
    covariates = centred(covariates)
    if sample.block is None:
        return sample.outcome, treatment, covariates
    columns = [_without_means(column, sample.block) for column in covariates.T]
    return (
        _without_means(sample.outcome, sample.block),
        _without_means(treatment, sample.block),
        np.column_stack(columns) if columns else covariates,
    )


def _without_means(values: Vector, groups: Codes) -> Vector:
    """The values minus the mean of their group."""
    count = np.bincount(groups)
    total = np.bincount(groups, weights=values)
    result: Vector = values - (total / np.maximum(count, 1))[groups]
    return result


def graph(trial: Trial) -> tuple[tuple[str, str], ...]:
    """The edges, from cause to effect, that the assignment of the trial justifies.

    Nothing but the randomisation decides the arm; blocks do where shares may differ between them.
    """
    edges = [("arm", "outcome"), ("prompt", "outcome")]
    edges += [(name, "outcome") for name in trial.analysis.covariates]
    kind = structure(trial)
    if "blocked" in kind:
        edges += [("block", "arm"), ("block", "outcome")]
    if trial.assignment.cluster_by is not None:
        edges += [("cluster", "prompt")]
    return tuple(edges)


def identify(trial: Trial) -> str:
    """Why the trial identifies its effects: the graph, and DoWhy's expression of the estimand.

    Loads DoWhy, which takes some seconds.
    """
    from causal_sae.estimation import causal_model  # noqa: PLC0415 - DoWhy takes four seconds

    edges = graph(trial)
    lines = [f"  {cause} -> {effect}" for cause, effect in edges]
    covariates = ", ".join(trial.analysis.covariates)
    adjustment = (
        f"Adjusting for {covariates} is for precision only: the arm does not depend on it."
        if covariates
        else "Nothing needs to be adjusted for."
    )
    if "blocked" in structure(trial):
        adjustment = f"Blocks are conditioned on, as they were in the assignment. {adjustment}"
    return "\n".join(
        [
            f"Arms were assigned at random ({trial.assignment.method}), so that:",
            *lines,
            adjustment,
            "",
            causal_model.identified(edges, "arm", "outcome"),
        ]
    )
