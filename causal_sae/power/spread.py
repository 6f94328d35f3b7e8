"""What a pilot says of how outcomes vary: in a table, and in a sentence."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from causal_sae.estimation.choice import choose
from causal_sae.estimation.skewness import skewness
from causal_sae.power.pilot import Pilot, about_means, assumptions_of, read_pilot, spread
from causal_sae.simulation import Assumptions, inert_when_silent
from causal_sae.spec.analysis import Power

if TYPE_CHECKING:
    from causal_sae.spec import Outcome, Trial


def spread_table(trial: Trial, observations: pd.DataFrame) -> pd.DataFrame:
    """What a pilot says of each outcome, and nothing of any effect.

    Columns: outcome, units, sd, skewness, rho (a unit's outcomes in two arms), icc (units of a
    cluster, or of a block), active (the share of units on which the feature fires); NaN where the
    design does not show it, or the outcome did not vary.
    """
    pilot = read_pilot(trial, observations)
    power = trial.power or Power(effect=1.0)
    estimator, _ = choose(trial)
    rows = [
        {"outcome": name, "units": len(pilot)} | _spread(trial, power, pilot, name, estimator)
        for name in pilot.values
    ]
    return pd.DataFrame(rows)


def _spread(
    trial: Trial, power: Power, pilot: Pilot, name: str, estimator: str
) -> dict[str, float]:
    if not spread(pilot, name) > 0:
        return {"sd": 0.0}
    found = assumptions_of(trial, power, pilot, trial.outcome(name), estimator)
    about = about_means(pilot.values[name])
    grouped = trial.assignment.cluster_by or getattr(trial.assignment, "block_by", None)
    edits = pilot.knows_exposed and any(map(inert_when_silent, trial.arms))
    return {
        "sd": found.sd,
        "skewness": float(skewness(about[~np.isnan(about)])),
        "rho": found.rho if found.changes else np.nan,
        "icc": found.icc if grouped else np.nan,
        "active": float(pilot.exposed.mean()) if edits else np.nan,
    }


def told(pilot: Pilot, outcome: Outcome, assumed: Assumptions) -> str:
    """What the pilot says of an outcome, in one sentence; nothing of its effect."""
    about = about_means(pilot.values[outcome.name])
    skew = skewness(about[~np.isnan(about)])
    parts = [f"sd {assumed.sd:.3g}", f"skewness {skew:.2f}"]
    if assumed.changes:
        parts.append(f"rho {assumed.rho:.3f}")
    if assumed.icc > 0:
        parts.append(f"icc {assumed.icc:.3f}")
    if assumed.active < 1:
        parts.append(f"active {assumed.active:.2f}")
    return f"Pilot of {len(pilot)} units, {outcome.name}: {', '.join(parts)}."
