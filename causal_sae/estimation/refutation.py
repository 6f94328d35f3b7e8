"""Would the analysis find an effect where there is none? DoWhy's identification and refuters.

A refuter tests the analysis, not the hypothesis: its p-value is not the effect's. Each result is
therefore a verdict and a plain sentence.

Designs are brought to a form that DoWhy's regression handles rightly. Within-unit designs: each
unit's mean is taken off its two rows, which leaves the mean difference as the effect. Blocked
designs: each block's means are taken off outcome, treatment and covariates (block fixed effects,
so where the arms' shares differ between blocks they count by precision and not by size).
Clusters are ignored: the refuters look at the size of the estimate, which clusters do not change,
and not at its standard error.

``unobserved_common_cause`` is not a simulation: where outcomes are missing it is the robustness
value of :mod:`causal_sae.estimation.sensitivity`, a number that neither passes nor fails; where
none are, random assignment has answered and it is not run.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd

from causal_sae.estimation.choice import structure
from causal_sae.estimation.contrasts import Contrast, analysed, unit_values
from causal_sae.estimation.linear_models import centred, design, usable_covariates
from causal_sae.estimation.sample import Codes, Matrix, Sample, Vector
from causal_sae.estimation.sensitivity import Robustness, robustness

if TYPE_CHECKING:
    from causal_sae.estimation.causal_model import Fitted
    from causal_sae.spec import Trial

MIN_UNITS = 10
"""Below this number of rows a refuter's subsets say nothing."""

EXPOSURE_ESTIMATORS = frozenset({"cace", "wald", "anderson_rubin", "dowhy_iv", "enriched"})
"""Estimators whose effect depends on whether the feature fires on the untouched prompt."""

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


Status = Literal["passed", "failed", "reported", "not run"]

UNOBSERVED = "unobserved_common_cause"
WITHIN_UNITS = (
    "Not run: every analysed unit is its own control, so nothing unobserved about a unit can tell "
    "the arms apart; losses change only whom the estimate speaks of."
)
NOTHING_LOST = (
    "Not run: the arms were assigned at random and no outcome is missing, so nothing unobserved "
    "can have decided both arm and outcome."
)
NO_RESIDUAL = "Not run: there are too few units, or the outcome does not vary within the arms."
TOO_FEW = "Not run: there are too few units to shuffle or to leave out."


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
    status: Status
    robustness_value: float
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
    ``passed`` is empty where ``status`` is ``not run`` or ``reported``. ``p_value`` belongs to the
    refuter and must never be shown as the effect's.
    """
    values = unit_values(trial, observations)
    primary = [outcome for outcome in trial.outcomes if outcome.role == "primary"]
    rows: list[Refutation] = []
    for outcome in primary if trial.analysis.refuters else ():
        for treatment, reference in trial.contrasts:
            sample, notes = analysed(trial, values, Contrast(outcome, treatment, reference))
            name = (outcome.name, treatment, reference)
            rows += _refutations(trial, sample, name, len(rows), any(map(_is_loss, notes)))
    columns = list(Refutation.__dataclass_fields__)
    table = pd.DataFrame([asdict(row) for row in rows], columns=columns)
    return table.astype({"passed": "boolean"})


def _is_loss(flag: str) -> bool:
    return flag.startswith("missing_")


def _refutations(
    trial: Trial, sample: Sample, name: tuple[str, str, str], first: int, lossy: bool
) -> list[Refutation]:
    simulated = [refuter for refuter in trial.analysis.refuters if refuter != UNOBSERVED]
    enough = min(map(len, sample.arms)) >= MIN_UNITS / 2
    fitted: Fitted | None = None
    if simulated and enough:
        from causal_sae.estimation import causal_model  # noqa: PLC0415 - DoWhy takes four seconds

        form = regression_form(sample, structure(trial) == "within-unit")
        fitted = causal_model.fit(*form)
    rows = []
    for position, refuter in enumerate(trial.analysis.refuters):
        if refuter == UNOBSERVED:
            rows.append(_unobserved(trial, sample, name, lossy))
        elif fitted is None:
            rows.append(_without_verdict(name, refuter, "not run", TOO_FEW))
        else:
            state = np.random.SeedSequence([trial.seed, first + position])
            rows.append(_simulated(fitted, name, refuter, int(state.generate_state(1)[0])))
    return rows


def _simulated(fitted: Fitted, name: tuple[str, str, str], refuter: str, seed: int) -> Refutation:
    from causal_sae.estimation import causal_model  # noqa: PLC0415 - DoWhy takes four seconds

    refuted, p_value = causal_model.refute(fitted, refuter, seed)
    passed = p_value > 0.05
    sentence = describe(refuter, passed, fitted.value, refuted)
    status: Status = "passed" if passed else "failed"
    numbers = (fitted.value, refuted, p_value)
    return Refutation(*name, refuter, *numbers, passed, status, np.nan, sentence)


def _without_verdict(
    name: tuple[str, str, str],
    refuter: str,
    status: Status,
    sentence: str,
    estimate: float = np.nan,
    value: float = np.nan,
) -> Refutation:
    return Refutation(*name, refuter, estimate, np.nan, np.nan, None, status, value, sentence)


def _unobserved(
    trial: Trial, sample: Sample, name: tuple[str, str, str], lossy: bool
) -> Refutation:
    """Sensitivity to an unobserved cause, only where one can be: among what a loss has left."""
    if not lossy:
        return _without_verdict(name, UNOBSERVED, "not run", NOTHING_LOST)
    if structure(trial) == "within-unit":
        return _without_verdict(name, UNOBSERVED, "not run", WITHIN_UNITS)
    absorbed = 0 if sample.block is None else len(np.unique(sample.block)) - 1
    alpha = trial.analysis.alpha
    if min(map(len, sample.arms)) < MIN_UNITS / 2:
        return _without_verdict(name, UNOBSERVED, "not run", NO_RESIDUAL)
    form = regression_form(sample, within_unit=False)
    found = robustness(*form, alpha=alpha, absorbed=absorbed)
    if found is None:
        return _without_verdict(name, UNOBSERVED, "not run", NO_RESIDUAL)
    sentence = _strength(found, alpha, clustered=sample.cluster is not None)
    numbers = (found.estimate, found.effect)
    return _without_verdict(name, UNOBSERVED, "reported", sentence, *numbers)


def _strength(found: Robustness, alpha: float, clustered: bool) -> str:
    text = (
        "Outcomes are missing. A cause of both the loss and the outcome would have to explain "
        f"{found.effect:.1%} of what is left unexplained of arm and of outcome among complete "
        "cases to account for the whole effect"
    )
    if clustered:  # the interval of this regression would take units as independent
        return f"{text}."
    return (
        f"{text}, and {found.interval:.1%} to bring its {100 * (1 - alpha):.3g}% interval to zero."
    )


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
    if trial.analysis.estimator in EXPOSURE_ESTIMATORS:
        edges += [("prompt", "exposure"), ("exposure", "outcome")]
    return tuple(edges)


def identify(trial: Trial, expression: bool = True) -> str:
    """Why the trial identifies its effects: the graph, and DoWhy's expression of the estimand.

    Parameters
    ----------
    trial:
        Its assignment and covariates make the graph.
    expression:
        Whether to add DoWhy's expression; it loads DoWhy, which takes some seconds.
    """
    edges = graph(trial)
    covariates = ", ".join(trial.analysis.covariates)
    adjustment = (
        f"Adjusting for {covariates} is for precision only: the arm does not depend on it."
        if covariates
        else "Nothing needs to be adjusted for."
    )
    if "blocked" in structure(trial):
        adjustment = f"Blocks are conditioned on, as they were in the assignment. {adjustment}"
    lines = [
        f"Arms were assigned at random ({trial.assignment.method}), so that:",
        *(f"  {cause} -> {effect}" for cause, effect in edges),
        adjustment,
    ]
    if expression:
        from causal_sae.estimation import causal_model  # noqa: PLC0415 - four seconds

        lines += ["", causal_model.identified(edges, "arm", "outcome")]
    return "\n".join(lines)
