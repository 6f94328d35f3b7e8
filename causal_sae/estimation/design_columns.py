"""Columns that the analysis needs beside the values: blocks, clusters, covariates."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from causal_sae.errors import DataError, Place, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Sequence

    from causal_sae.spec import Trial

CLEAN = "clean_outcome"
"""The outcome of the untouched model on the same prompt."""


def add_design_columns(trial: Trial, frame: pd.DataFrame) -> pd.DataFrame:
    """The observations with ``block``, ``cluster`` and the covariates ready for use.

    Parameters
    ----------
    trial:
        Says by which columns units were blocked and clustered, and which covariates it adjusts for.
    frame:
        As :func:`causal_sae.estimation.observations.check` returns it.

    Raises
    ------
    DataError
        A column that is needed is absent, empty, not numeric, or differs within a unit.
    """
    blocks = getattr(trial.assignment, "block_by", None) or ()
    clusters = (trial.assignment.cluster_by,) if trial.assignment.cluster_by else ()
    result = frame.copy()
    for column, sources in (("block", blocks), ("cluster", clusters)):
        if sources:
            result[column] = _labels(result, column, sources)
            _constant_within_units(result, column)
    on = () if trial.rerandomize is None else trial.rerandomize.on
    for covariate in dict.fromkeys((*trial.analysis.covariates, *on)):
        result[covariate] = _covariate(result, covariate)
    if CLEAN in result:
        result[CLEAN] = pd.to_numeric(result[CLEAN], errors="coerce").astype("float64")
    return result


def _labels(frame: pd.DataFrame, column: str, sources: Sequence[str]) -> pd.Series[str]:
    """The contract's own column where it is filled, otherwise the prompts' columns joined."""
    if column in frame and frame[column].notna().all():
        return frame[column].astype("string")
    absent = [source for source in sources if source not in frame]
    if absent:
        raise DataError(
            f"the assignment uses {column}s, so the observations must have the column {column!r} "
            f"filled in every row (or {', '.join(sources)}); "
            f"{did_you_mean(column, frame.columns).replace('Allowed', 'They have')}",
            Place(field=column),
        )
    texts = frame[list(sources)].astype("string")
    if texts.isna().to_numpy().any():
        raise DataError(
            f"every observation must have a {column}, but {', '.join(sources)} has empty cells; "
            "fill them in.",
            Place(field=column),
        )
    joined = texts.iloc[:, 0]
    for source in list(sources)[1:]:
        joined = joined + " | " + texts[source]
    return joined


def _constant_within_units(frame: pd.DataFrame, column: str) -> None:
    distinct = frame.groupby("unit_id")[column].nunique()
    varying = distinct.index[distinct > 1]
    if len(varying):
        raise DataError(
            f"{column} must be the same in all rows of a unit, but differs within unit "
            f"{varying[0]!r}; it must describe the prompt, not the measurement.",
            Place(field=column),
        )


def _covariate(frame: pd.DataFrame, name: str) -> pd.Series[float]:
    place = Place(field=name)
    if name not in frame:
        raise DataError(
            f"the analysis adjusts for {name!r}, so the observations must have that column; "
            f"{did_you_mean(name, frame.columns).replace('Allowed', 'They have')}",
            place,
        )
    numbers = pd.to_numeric(frame[name], errors="coerce").astype("float64")
    wrong = frame.index[(numbers.isna() | numbers.abs().eq(float("inf"))) & frame["usable"]]
    if len(wrong):
        row = frame.loc[wrong[0]]
        raise DataError(
            f"the covariate {name!r} must be a finite number for every analysed unit, got "
            f"'{row[name]}' for unit {row['unit_id']!r}; fill it in before the trial, code "
            "categories as numbers, or remove the covariate.",
            place,
        )
    if name != CLEAN:  # generated text is sampled, so the clean outcome may differ by sample
        _constant_within_units(frame.assign(**{name: numbers}), name)
    return numbers
