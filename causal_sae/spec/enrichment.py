"""What an enriched trial may conclude: where its edits reach beyond the prompts it looked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from causal_sae.spec.interventions import Ablate, Scale

if TYPE_CHECKING:
    from causal_sae.spec.interventions import Intervention
    from causal_sae.spec.outcomes import Outcome
    from causal_sae.spec.trial import Trial

ESTIMATORS = ("auto", "enriched", "cace")
"""The estimators that know with what probabilities prompts were drawn."""


def inert_where_silent(trial: Trial, outcome: Outcome, treatment: str, reference: str) -> bool:
    """Whether the two arms are bound to give the same outcome on every unexposed prompt.

    Ablating a silent feature, or scaling it, changes nothing. Where only the enriched feature is
    edited so, an unexposed prompt is the same in both arms, whether it was run or not. That does
    not hold for what follows the prompt: a feature that is silent on the prompt may fire in a
    continuation or in generated text.

    Parameters
    ----------
    trial:
        Names the enriched feature; without one, the features edited are taken to be those whose
        activity is the exposure.
    outcome, treatment, reference:
        What is compared.
    """
    edits = (trial.arm(treatment).intervention, trial.arm(reference).intervention)
    enrich = trial.population.enrich if trial.population else None
    only = None if enrich is None else enrich.feature
    return not _reads_on(trial, outcome) and all(_acts_where_active(edit, only) for edit in edits)


def _acts_where_active(edit: Intervention, only: int | None) -> bool:
    if edit.kind == "none":
        return True
    if not isinstance(edit, Scale) and not (isinstance(edit, Ablate) and edit.to == "zero"):
        return False
    return isinstance(edit.features, tuple) and (only is None or set(edit.features) == {only})


def _reads_on(trial: Trial, outcome: Outcome) -> bool:
    """Whether the outcome scores positions after the prompt that are edited as well."""
    if getattr(outcome, "generate", None) is not None:
        return True
    scored = outcome.metric == "nll" or bool(getattr(outcome, "sequence", False))
    return scored and trial.positions == "all"
