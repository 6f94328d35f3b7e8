"""From the table of observations to the units of one contrast, and what is missing from them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy import stats

from causal_sae.errors import DataError, Place
from causal_sae.estimation.choice import structure
from causal_sae.estimation.design_columns import CLEAN, add_design_columns
from causal_sae.estimation.observations import KEY, check, units
from causal_sae.estimation.pool import pool_size
from causal_sae.estimation.rerandomized import acceptance_of
from causal_sae.estimation.sample import (
    Codes,
    Mask,
    Pool,
    Sample,
    Vector,
    complete_pairs,
    exposed_units,
    shared_blocks,
)
from causal_sae.spec.enrichment import inert_where_silent

if TYPE_CHECKING:
    from causal_sae.spec import Outcome, Trial


KEPT = (
    *("block", "cluster", "exposed", "received", "run_order"),
    *("sampling_probability", "stratum_share", "status", "look"),
)
"""Columns that describe a unit or its place, not a measurement, and why a value is missing."""
DRAW = "draw "
"""How the columns of the single draws' values begin."""


@dataclass(frozen=True)
class Contrast:
    """One comparison on one outcome."""

    outcome: Outcome
    treatment: str
    reference: str


def unit_values(trial: Trial, observations: pd.DataFrame) -> pd.DataFrame:
    """One row per outcome, unit and arm, with the columns of the design.

    Parameters
    ----------
    trial:
        Declares arms, outcomes, the assignment and the covariates.
    observations:
        As a user brings them; see :func:`causal_sae.estimation.estimate`.

    Raises
    ------
    DataError
        The observations are not those of this trial.
    """
    frame = add_design_columns(trial, check(trial, observations))
    covariates = [name for name in trial.analysis.covariates if name != CLEAN]
    on = () if trial.rerandomize is None else trial.rerandomize.on
    table = units(frame, [*KEPT, *dict.fromkeys((*covariates, *on))])
    table["pool_size"] = pool_size(frame)
    if CLEAN in frame:
        clean = frame[frame["usable"]].groupby(KEY)[CLEAN].mean()
        table = table.merge(clean.reset_index(), how="left")
    if "draw" in frame:
        draws = frame.groupby("arm")["draw"].nunique()
        table["draws"] = table["arm"].map(draws)
        table = _with_draws(table, frame)
    return table


def _with_draws(table: pd.DataFrame, frame: pd.DataFrame) -> pd.DataFrame:
    """The values of each draw as columns ``draw 0``, ``draw 1``, ... where an arm has several."""
    if not (table["draws"] > 1).any():
        return table
    usable = frame[frame["usable"]]
    wide = usable.pivot_table(index=KEY, columns="draw", values="value", aggfunc="mean")
    wide.columns = pd.Index([f"{DRAW}{number}" for number in range(wide.shape[1])])
    return table.merge(wide.reset_index(), how="left", on=KEY)


def analysed(
    trial: Trial, values: pd.DataFrame, contrast: Contrast, incomplete: bool = False
) -> tuple[Sample, tuple[str, ...]]:
    """The units of the analysis, and flags about those that are missing from it.

    Parameters
    ----------
    trial:
        Says which design the analysis must respect.
    values:
        As :func:`unit_values` returns them.
    contrast:
        Which arms, on which outcome.
    incomplete:
        Whether units that lack one arm stay, in designs where every unit is in every arm.
    """
    both = values[values["arm"].isin([contrast.treatment, contrast.reference])]
    rows = both[both["outcome"] == contrast.outcome.name]
    treated = rows["arm"].eq(contrast.treatment)
    rows = rows.assign(_first=~treated).sort_values(["unit_id", "_first"], kind="stable")
    notes = (*_missingness(trial, both, rows, contrast), *_draws(rows))
    sample = _sample(trial, rows[rows["value"].notna()], contrast.treatment)
    sample = replace(sample, pool=_pool(trial, rows, contrast))
    if trial.within_unit:
        sample, lost = (sample, ()) if incomplete else complete_pairs(sample)
    else:
        sample, lost = shared_blocks(sample)
        sample = replace(sample, redeal=acceptance_of(trial, values, sample, contrast.treatment))
    return sample, (*notes, *lost)


def exposed_stratum(trial: Trial, sample: Sample) -> tuple[Sample, tuple[str, ...]]:
    """The units on which the feature fires, and flags about blocks that have none in an arm.

    Raises
    ------
    DataError
        It was not recorded which units are exposed, or a unit is and is not.
    """
    place = Place(field="exposed")
    if sample.exposed is None:
        raise DataError(
            "the estimator 'cace' compares exposed units, so the observations must say in the "
            "column 'exposed' of every row whether the feature fires on the untouched prompt; "
            "fill it in, or use 'auto'.",
            place,
        )
    if trial.within_unit and not np.array_equal(*_exposed_by_arm(sample)):
        raise DataError(
            "exposed must be the same in all rows of a unit, because it describes the untouched "
            "prompt, but it differs between the arms; mend the column, or use 'auto'.",
            place,
        )
    exposed = exposed_units(sample)
    return (exposed, ()) if trial.within_unit else shared_blocks(exposed)


def _exposed_by_arm(sample: Sample) -> tuple[Mask, Mask]:
    exposed = np.zeros(len(sample), dtype=np.bool_) if sample.exposed is None else sample.exposed
    return exposed[sample.treated], exposed[~sample.treated]


def _sample(trial: Trial, rows: pd.DataFrame, treatment: str) -> Sample:
    def encode(column: str, used: bool) -> Codes | None:
        return np.unique(rows[column].to_numpy(str), return_inverse=True)[1] if used else None

    kind = structure(trial)
    names = trial.analysis.covariates
    probability = _numbers(rows, "sampling_probability")
    order = _numbers(rows, "run_order")
    draws = [column for column in rows if str(column).startswith(DRAW)]
    return Sample(
        unit=rows["unit_id"].to_numpy(str),
        outcome=rows["value"].to_numpy(np.float64),
        treated=rows["arm"].eq(treatment).to_numpy(bool),
        covariates=rows[list(names)].to_numpy(np.float64),
        covariate_names=tuple(names),
        block=encode("block", "blocked" in kind),
        cluster=encode("cluster", trial.assignment.cluster_by is not None),
        exposed=_flags(rows, "exposed"),
        clean=rows[CLEAN].to_numpy(np.float64) if CLEAN in rows else None,
        received=_flags(rows, "received"),
        order=None if order is None else order.astype(np.int64),
        weight=None if probability is None else 1 / probability,
        stratum_share=_numbers(rows, "stratum_share"),
        draws=rows[draws].to_numpy(np.float64) if draws else None,
        se_type=trial.analysis.se_type,
        seed=trial.seed,
    )


def _pool(trial: Trial, rows: pd.DataFrame, contrast: Contrast) -> Pool | None:
    """Where the units were drawn from a pool: its size, and what is claimed of it."""
    size = _numbers(rows, "pool_size")
    if size is None or not len(size):
        return None
    finite = trial.population is not None and trial.population.claim == "finite"
    arms = contrast.treatment, contrast.reference
    return Pool(int(size[0]), finite, inert_where_silent(trial, contrast.outcome, *arms))


def _flags(rows: pd.DataFrame, column: str) -> Mask | None:
    """[n] a column of yes and no; None where it is absent or has gaps."""
    known = column in rows and bool(rows[column].notna().all())
    return rows[column].to_numpy(bool) if known else None


def _numbers(rows: pd.DataFrame, column: str) -> Vector | None:
    """[n] a column of numbers; None where it is absent or has gaps."""
    known = column in rows and bool(rows[column].notna().all())
    return rows[column].to_numpy(np.float64) if known else None


def _missingness(
    trial: Trial, both: pd.DataFrame, rows: pd.DataFrame, contrast: Contrast
) -> tuple[str, ...]:
    """How many units of each arm have no usable outcome, whether their rows are there or not."""
    found: list[str] = []
    counts: list[tuple[int, int]] = []
    everyone = both["unit_id"].nunique()
    for label, arm in (("treatment", contrast.treatment), ("reference", contrast.reference)):
        in_arm = both.loc[both["arm"] == arm, "unit_id"].nunique()
        seen = everyone if trial.within_unit else in_arm
        measured = int(rows.loc[rows["arm"] == arm, "value"].notna().sum())
        counts.append((measured, seen - measured))
        if seen > measured:
            found.append(f"missing_{label}:{seen - measured}")
    partial = int(((rows["lost"] > 0) & rows["value"].notna()).sum())
    if partial:
        found.append(f"partial_samples:{partial}")
    if found and not trial.within_unit and stats.fisher_exact(np.array(counts)).pvalue < 0.05:
        found.append("differential_missing")
    return tuple(found)


def _draws(rows: pd.DataFrame) -> tuple[str, ...]:
    most = int(rows["draws"].max()) if "draws" in rows and len(rows) else 0
    return (f"fixed_draws:{most}",) if most > 1 else ()
