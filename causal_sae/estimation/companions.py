"""Tables beside the table of effects: one function each; this dict is the list of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from causal_sae.estimation.dose_response import dose_response
from causal_sae.estimation.factorial import factorial
from causal_sae.estimation.missingness import missingness
from causal_sae.estimation.order_effects import order_effects
from causal_sae.estimation.sequential import looks_table
from causal_sae.estimation.supplementary import supplementary
from causal_sae.estimation.true_discoveries import true_discovery_table
from causal_sae.estimation.writing_noise import writing_noise

if TYPE_CHECKING:
    import pandas as pd

    from causal_sae.spec import Trial

Companion = Callable[["Trial", "pd.DataFrame", "pd.DataFrame"], "pd.DataFrame"]
"""A trial, its observations and its effects in; a table out, empty where there is nothing."""

COMPANIONS: dict[str, Companion] = {
    "looks": looks_table,
    "missingness": missingness,
    "writing_noise": writing_noise,
    "supplementary": supplementary,
    "order_effects": order_effects,
    "factorial": factorial,
    "dose_response": dose_response,
    "true_discoveries": true_discovery_table,
}
"""Name of the table (a key of :data:`causal_sae.tables.COMPANIONS`) -> what makes it."""


def companions(
    trial: Trial, observations: pd.DataFrame, effects: pd.DataFrame
) -> dict[str, pd.DataFrame]:
    """The tables that have something to say about this trial, by name.

    Parameters
    ----------
    trial:
        The declaration.
    observations:
        As for :func:`causal_sae.estimation.estimate`.
    effects:
        What it returned.
    """
    made = {name: make(trial, observations, effects) for name, make in COMPANIONS.items()}
    return {name: table for name, table in made.items() if not table.empty}
