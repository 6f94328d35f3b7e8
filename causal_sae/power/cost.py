"""What a trial of a given size costs: forward passes, and time where one was measured."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from causal_sae.simulation.arms import compares_models

if TYPE_CHECKING:
    from causal_sae.spec import Trial


def passes_of_unit(trial: Trial) -> float:
    """Forward passes for one unit, on average.

    The untouched model runs once for each text that is scored (the prompt, and the prompt with
    each continuation), and so does every arm that the unit is dealt and that changes something.
    Placebos and random directions are dealt one to a unit, so their number changes nothing.
    Generated text takes a pass for each new token. Where arms are models, the outcome is an edit's
    effect: every model runs with it and without.
    """
    if compares_models(trial):
        return 2 * len(trial.arms) * (texts(trial) + tokens(trial))
    edited = [arm.intervention.kind != "none" for arm in trial.arms]
    share = np.ones(len(edited))
    if not trial.within_unit:
        share = np.array([arm.share for arm in trial.arms])
        share = share / share.sum()
    rows = 1 + float(share @ np.array(edited))
    return rows * (texts(trial) + tokens(trial))


def texts(trial: Trial) -> int:
    """How many texts are scored for each unit."""
    return len({str(getattr(outcome, "continuation", None)) for outcome in trial.outcomes})


def tokens(trial: Trial) -> int:
    """How many tokens are generated for each unit and arm, at most."""
    asked = [getattr(outcome, "generate", None) for outcome in trial.outcomes]
    settings = {one for one in asked if one is not None}
    return sum(one.max_new_tokens * one.samples for one in settings)


def units_in_all(trial: Trial, per_arm: float) -> float:
    """How many units a trial has with so many in each arm."""
    return per_arm if trial.within_unit else per_arm * len(trial.arms)


def seconds_of_pass(pilot: Trial, manifest: Mapping[str, Any], units: int) -> float:
    """The seconds that one forward pass took in a finished run; NaN where it was not measured.

    Parameters
    ----------
    pilot:
        The trial that was run.
    manifest:
        Of its run folder.
    units:
        How many units it had.
    """
    measured = manifest.get("timings", {}).get("run")
    made = units * passes_of_unit(pilot)
    return float(measured) / made if measured and made else np.nan
