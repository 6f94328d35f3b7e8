"""The same contrasts by further estimators: they support the main estimates, and replace none."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from causal_sae import flags as codes
from causal_sae.estimation.contrasts import Contrast, unit_values
from causal_sae.estimation.effects import effect_row
from causal_sae.tables import EFFECTS

if TYPE_CHECKING:
    from causal_sae.spec import Trial


def unregistered(table: pd.DataFrame, registered: Trial) -> pd.DataFrame:
    """The table with ``post_hoc`` on the rows of estimators that the registered trial lacks."""
    known = table["estimator"].isin(registered.analysis.supplementary)
    marked = [
        flags if there else codes.join([*codes.split(flags), "post_hoc"])
        for flags, there in zip(table["flags"], known, strict=True)
    ]
    return table.assign(flags=marked)


def supplementary(trial: Trial, observations: pd.DataFrame, effects: pd.DataFrame) -> pd.DataFrame:
    """One row for each supplementary estimator, outcome and contrast; none is corrected.

    Parameters
    ----------
    trial:
        Declares ``analysis.supplementary``.
    observations:
        As for :func:`causal_sae.estimation.estimate`.
    effects:
        The main estimates; not used.

    Returns
    -------
    The columns of :data:`causal_sae.tables.EFFECTS`. The family is ``supplementary``, of size 1:
    the p-values are as they are.
    """
    del effects
    if not trial.analysis.supplementary:
        return pd.DataFrame()
    values = unit_values(trial, observations)
    rows = [
        effect_row(trial, values, Contrast(outcome, treatment, reference), name)
        for name in trial.analysis.supplementary
        for outcome in trial.outcomes
        for treatment, reference in trial.contrasts
    ]
    table = EFFECTS.conform(pd.DataFrame(rows)[list(rows[0])])
    if trial.analysis.looks is not None:
        table["flags"] = [
            codes.join([*codes.split(f), "naive_after_looks"]) for f in table["flags"]
        ]
    table = table[list(EFFECTS.columns)].drop_duplicates(
        ["outcome", "treatment", "reference", "estimator"], ignore_index=True
    )
    reject = (table["p_value"] <= trial.analysis.alpha).astype("boolean")
    return table.assign(
        family="supplementary",
        family_size=1,
        correction="none",
        p_adjusted=table["p_value"],
        reject=reject.mask(table["p_value"].isna()),
    )
