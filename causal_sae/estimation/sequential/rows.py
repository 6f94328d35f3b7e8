"""What the table of effects says of a primary contrast that was looked at before the end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from scipy import special

from causal_sae import flags as codes
from causal_sae.errors import DataError, Place
from causal_sae.estimation.sequential import always_valid
from causal_sae.estimation.sequential.monitor import Look, Monitored
from causal_sae.estimation.sequential.stagewise import ordered
from causal_sae.estimation.sequential.times import is_last

if TYPE_CHECKING:
    from causal_sae.spec import Trial

Row = dict[str, object]
LINEAR = ("hedges_g", "cohen_d", "glass_delta", "sd_stated")
"""How the names of effect sizes begin that are the estimate over a standard deviation."""


def require_end(trial: Trial, found: list[Monitored]) -> None:
    """Pass when every primary contrast was decided, or was looked at to the end.

    Raises
    ------
    DataError
        The observations end before a rule stopped the trial.
    """
    looks = trial.analysis.looks
    for one in found:
        if looks is None or one.stop is not None or not one.looks:
            continue
        reached = one.looks[-1].number
        if not is_last(looks, reached):
            raise DataError(
                f"the observations end at look {reached} of {len(looks.at or ())}, where no rule "
                f"stops {one.contrast.outcome.name}: {one.contrast.treatment} - "
                f"{one.contrast.reference}; no p-value or interval holds for a trial that ended "
                "for a reason of its own. Go on to the next look, or declare the looks that there "
                "were.",
                Place(field="analysis.looks"),
            )


def honest_row(trial: Trial, row: Row, one: Monitored) -> Row:
    """A row of the table of effects with the inference that the looks allow.

    Parameters
    ----------
    trial:
        The declaration.
    row:
        As an estimator made it of the units up to the contrast's stop: naive.
    one:
        The contrast through its looks.
    """
    stop = one.stop
    if stop is None:
        return row
    found = _of_sequence(trial, one, stop) if one.sequence else _of_stages(trial, one, stop)
    flags = [*codes.split(row["flags"]), *_flags(trial, one, stop)]
    size = _effect_size(row, found)
    if size is None:
        flags.append("effect_size_naive")
    return {**row, **found, **(size or {}), "flags": codes.join(flags)}


def _of_stages(trial: Trial, one: Monitored, stop: Look) -> Mapping[str, float]:
    if not stop.fitted.std_error > 0:
        return {}
    result = ordered(one.stages, stop.fitted, trial.analysis.alpha)
    return {
        "estimate": result.estimate,
        "p_value": result.p_value,
        "conf_low": result.conf_low,
        "conf_high": result.conf_high,
    }


def _of_sequence(trial: Trial, one: Monitored, stop: Look) -> Mapping[str, float]:
    """The confidence sequence at the stop; p is the smallest so far."""
    fitted = stop.fitted
    seen = one.looks[: len(one.stages)]
    smallest = min(always_valid.p_value(one.alpha, look.time, look.z) for look in seen)
    if not fitted.std_error > 0:
        return {"p_value": smallest}
    reach = always_valid.reach(one.alpha, trial.analysis.alpha, stop.time)
    found = stop.at_level(2 * float(special.ndtr(-reach)))
    return {"p_value": smallest, "conf_low": found.conf_low, "conf_high": found.conf_high}


def _flags(trial: Trial, one: Monitored, stop: Look) -> list[str]:
    found = ["confidence_sequence" if one.sequence else "stage_wise"]
    looks = trial.analysis.looks
    early = looks is not None and not is_last(looks, stop.number) and one.decided
    if early:
        found.append(f"stopped_early:{stop.number}")
    if one.decided and one.stages[-1].decision == "futile":
        found.append("stopped_for_futility")
    if len(one.looks) > len(one.stages):
        found.append("units_after_stop")
    return found


def _effect_size(row: Row, found: Mapping[str, float]) -> Mapping[str, float] | None:
    """The effect size in the same proportion; None where it is not the estimate over an SD."""
    naive, size = _number(row["estimate"]), _number(row["effect_size"])
    if not str(row["effect_size_kind"]).startswith(LINEAR) or not found:
        return None if found else {}
    if naive == 0 or np.isnan(naive) or np.isnan(size):
        return None
    scale = size / naive
    return {
        "effect_size": found.get("estimate", naive) * scale,
        "effect_size_low": found["conf_low"] * scale,
        "effect_size_high": found["conf_high"] * scale,
    }


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else np.nan
