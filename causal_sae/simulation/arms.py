"""What a plan takes for granted about arms: which have the effect, and which units they leave."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from causal_sae.estimation.sparsity import edits_active_only
from causal_sae.spec.interventions import Placebo, RandomDirection

if TYPE_CHECKING:
    from causal_sae.estimation.sample import Mask
    from causal_sae.spec import Outcome, Trial
    from causal_sae.spec.interventions import Arm


def compares_models(trial: Trial) -> bool:
    """Whether arms are models, not edits of one: none of them edits anything."""
    return all(arm.intervention.kind == "none" for arm in trial.arms)


def untouched(trial: Trial, arm: Arm, outcome: Outcome) -> bool:
    """Whether the arm's outcome is the clean outcome itself: no edit, and no sampled text.

    Where arms are models, the clean outcome is that of the reference.
    """
    if compares_models(trial) and arm.name != trial.reference:
        return False
    generate = getattr(outcome, "generate", None)
    sampled = generate is not None and generate.temperature > 0
    return arm.intervention.kind == "none" and not sampled


def acts(arm: Arm) -> bool:
    """Whether the arm edits the features of the claim: not a control, a sham or a placebo."""
    edit = arm.intervention
    if edit.kind in {"none", "splice"} or isinstance(edit, RandomDirection):
        return False
    return not isinstance(getattr(edit, "features", None), Placebo)


def inert_when_silent(arm: Arm) -> bool:
    """Whether the arm leaves a unit exactly as it is where the claim's features are silent."""
    return acts(arm) and edits_active_only(arm.intervention)


def received(trial: Trial, exposed: Mask) -> Mask:
    """[n, arms] whether each arm would change anything about each unit.

    Parameters
    ----------
    trial:
        Declares the arms.
    exposed:
        [n] whether the feature fires.
    """
    columns = [
        exposed
        if inert_when_silent(arm)
        else np.full(len(exposed), arm.intervention.kind != "none", dtype=np.bool_)
        for arm in trial.arms
    ]
    return np.column_stack(columns)


def assumed_effects(trial: Trial) -> dict[str, float]:
    """For each arm 1 where it has the effect that the trial is planned to find, else 0.

    Arms that edit the features of the claim have it; controls, shams, placebos and random
    directions do not. Where no contrast would then have an effect to find (a sham against its
    control), the arms that are only ever a treatment have it.
    """
    effects = {arm.name: float(acts(arm)) for arm in trial.arms}
    if any(effects[one] != effects[other] for one, other in trial.contrasts):
        return effects
    references = {reference for _, reference in trial.contrasts}
    treatments = {treatment for treatment, _ in trial.contrasts} - references
    return {arm.name: float(arm.name in treatments) for arm in trial.arms}
