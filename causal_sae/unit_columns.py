"""Columns that describe a unit and do not vary: what its observations carry, what it was before."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from causal_sae.errors import Place, SpecError
from causal_sae.pool import SAMPLING
from causal_sae.spec.trial import Trial

if TYPE_CHECKING:
    import pandas as pd

#: What the executor writes beside the contract's columns: a covariate may not be called so.
RECORDED = frozenset(
    {
        *("positions", "active_positions", "not_run"),
        *("activation_before", "activation_asked", "activation_found"),
    }
)


def unit_columns(
    trial: Trial, prompts: pd.DataFrame, assignment: pd.DataFrame
) -> dict[str, Mapping[str, object]]:
    """For each unit the columns that all its observations carry: block, cluster, covariates.

    In a trial with looks before its end, also the look from which the unit counts. Where prompts
    were drawn from a pool, also with what probability, and whether it is exposed.
    """
    on = () if trial.rerandomize is None else trial.rerandomize.on
    declared = [n for n in dict.fromkeys((*trial.analysis.covariates, *on)) if n in prompts]
    first = assignment.drop_duplicates("unit_id").set_index("unit_id")
    looked_at = ["look"] if trial.analysis.looks is not None else []
    first = first[["block", "cluster", *looked_at, *(SAMPLING if "exposed" in first else ())]]
    for number, name in enumerate(trial.analysis.covariates):
        if name in RECORDED and name in declared:
            raise SpecError(
                f"the run records a column {name!r} of its own; rename that of the prompts",
                Place(field=f"analysis.covariates[{number}]"),
            )
    columns = prompts.set_index("unit_id")[declared].join(first)
    rows = columns.to_dict("records")
    return {
        str(unit): {str(key): value for key, value in row.items()}
        for unit, row in zip(columns.index, rows, strict=True)
    }


def pre_treatment(trial: Trial, observations: pd.DataFrame) -> pd.DataFrame:
    """What was known of each unit before it was assigned, one row a unit."""
    wide = observations.drop_duplicates("unit_id").set_index("unit_id")
    known = [c for c in (*trial.analysis.covariates, "positions", "active_positions") if c in wide]
    table = wide[[c for c in known if c != "clean_outcome"]].copy()
    if "clean_outcome" in observations:
        clean = observations.pivot_table(
            index="unit_id", columns="outcome", values="clean_outcome", sort=False
        )
        table = table.join(clean.add_prefix("clean "))
    return table.reset_index()
