"""The table of looks: what was seen at each of them, and what it decided."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from causal_sae.estimation.contrasts import unit_values
from causal_sae.estimation.sequential.monitor import Monitored, monitor
from causal_sae.tables import LOOKS

if TYPE_CHECKING:
    from causal_sae.spec import Trial

AFTER = "after the stop"


def looks_table(trial: Trial, observations: pd.DataFrame, effects: pd.DataFrame) -> pd.DataFrame:
    """One row for each look at each primary contrast; empty for a trial without looks.

    Parameters
    ----------
    trial:
        Declares ``analysis.looks``.
    observations:
        As for :func:`causal_sae.estimation.estimate`.
    effects:
        Not used.

    Returns
    -------
    :data:`causal_sae.tables.LOOKS`. ``alpha_spent`` counts both sides; ``lower`` and ``upper`` are
    empty where a look could not reject.
    """
    del effects
    if trial.analysis.looks is None:
        return pd.DataFrame()
    found = monitor(trial, unit_values(trial, observations))
    rows = [row for one in found for row in table_rows(one)]
    return LOOKS.conform(pd.DataFrame(rows))


def table_rows(one: Monitored) -> Iterator[dict[str, object]]:
    """The rows of one contrast."""
    contrast = one.contrast
    for i, look in enumerate(one.looks):
        stage = one.stages[i] if i < len(one.stages) else None
        row: dict[str, object] = {
            "outcome": contrast.outcome.name,
            "treatment": contrast.treatment,
            "reference": contrast.reference,
            "look": look.number,
            "information": look.time,
            "n_treatment": look.units[0],
            "n_reference": look.units[1],
            "estimate": look.fitted.estimate,
            "std_error": look.fitted.std_error,
            "statistic": look.z,
            "decision": AFTER if stage is None else stage.decision,
        }
        if stage is not None:
            regions = stage.regions
            middle = regions.middle or (np.nan, np.nan)
            row |= {
                "lower": _finite(regions.lower),
                "upper": _finite(regions.upper),
                "futile_from": _finite(middle[0]),
                "futile_to": _finite(middle[1]),
                "alpha_spent": np.nan if one.sequence else 2 * stage.spent,
            }
        yield row


def _finite(value: float) -> float:
    return value if np.isfinite(value) else np.nan
