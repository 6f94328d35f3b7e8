"""From the table of observations to the units of one contrast, and what is missing from them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy import stats

from causal_sae.errors import DataError, Place
from causal_sae.estimation.choice import structure
from causal_sae.estimation.design_columns import CLEAN, add_design_columns
from causal_sae.estimation.observations import KEY, check, units
from causal_sae.estimation.sample import (
    Codes,
    Mask,
    Sample,
    complete_pairs,
    exposed_units,
    shared_blocks,
)

if TYPE_CHECKING:
    from causal_sae.spec import Outcome, Trial


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
    table = units(frame, ["block", "cluster", "exposed", *covariates])
    if CLEAN in frame:
        clean = frame[frame["usable"]].groupby(KEY)[CLEAN].mean()
        table = table.merge(clean.reset_index(), how="left")
    if "draw" in frame:
        draws = frame.groupby("arm")["draw"].nunique()
        table["draws"] = table["arm"].map(draws)
    return table


def analysed(
    trial: Trial, values: pd.DataFrame, contrast: Contrast
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
    """
    both = values[values["arm"].isin([contrast.treatment, contrast.reference])]
    rows = both[both["outcome"] == contrast.outcome.name]
    treated = rows["arm"].eq(contrast.treatment)
    rows = rows.assign(_first=~treated).sort_values(["unit_id", "_first"], kind="stable")
    notes = (*_missingness(trial, both, rows, contrast), *_draws(rows))
    sample = _sample(trial, rows[rows["value"].notna()], contrast.treatment)
    if trial.within_unit:
        sample, lost = complete_pairs(sample)
    else:
        sample, lost = shared_blocks(sample)
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
    exposed = rows.get("exposed")
    known = exposed is not None and bool(exposed.notna().all())
    return Sample(
        unit=rows["unit_id"].to_numpy(str),
        outcome=rows["value"].to_numpy(np.float64),
        treated=rows["arm"].eq(treatment).to_numpy(bool),
        covariates=rows[list(names)].to_numpy(np.float64),
        covariate_names=tuple(names),
        block=encode("block", "blocked" in kind),
        cluster=encode("cluster", trial.assignment.cluster_by is not None),
        exposed=exposed.to_numpy(bool) if known and exposed is not None else None,
        clean=rows[CLEAN].to_numpy(np.float64) if CLEAN in rows else None,
        seed=trial.seed,
    )


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
