"""The features table on disk: ``features.parquet`` beside the SAE's own files."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from causal_sae.errors import DataError, Place
from causal_sae.saes.sae import SAE
from causal_sae.tables import FEATURES

NAME = "features.parquet"


def read_features(path: Path) -> pd.DataFrame:
    """The features table of an SAE, typed, sorted by feature.

    Parameters
    ----------
    path:
        The SAE's folder, or the file itself.

    Raises
    ------
    DataError
        When there is no such file, it is not parquet, it lacks a column, or names a feature twice.
    """
    file = _file(path)
    if not file.is_file():
        raise DataError(
            "the statistics of the SAE's features are not here; make them with "
            "`causal-sae features extract`.",
            Place(file=file),
        )
    try:
        frame = pd.read_parquet(file)
    except (OSError, ValueError) as error:
        raise DataError(f"the file is not readable as parquet: {error}.", Place(file)) from error
    table = FEATURES.conform(FEATURES.check(frame, Place(file)))
    twice = table["feature"][table["feature"].duplicated()]
    if not twice.empty:
        raise DataError(
            f"a feature must have one row; {twice.iloc[0]} has several.",
            Place(file, field="feature"),
        )
    return table.sort_values("feature", ignore_index=True)


def stored_features(sae: SAE) -> pd.DataFrame | None:
    """The features table beside an SAE's files, or None where there is none.

    Raises
    ------
    DataError
        When the table cannot be read, or is of another SAE: it must have a row for every feature.
    """
    folder = sae.config.path
    if folder is None or not _file(folder).is_file():
        return None
    table = read_features(folder)
    if table["feature"].tolist() != list(range(sae.config.d_sae)):
        raise DataError(
            f"the features table must have one row for each of the SAE's {sae.config.d_sae} "
            f"features; it has {len(table)}: make it anew with `causal-sae features extract`.",
            Place(file=_file(folder), field="feature"),
        )
    return table


def write_features(features: pd.DataFrame, path: Path) -> Path:
    """Write the table beside the SAE (or to the file named), and return where it is."""
    file = _file(path)
    table = FEATURES.conform(FEATURES.check(features, Place(file)))
    partial = file.with_suffix(".partial")
    table.to_parquet(partial, index=False)
    partial.replace(file)  # a reader sees the old table or the new one, never half of one
    return file


def _file(path: Path) -> Path:
    return path if path.suffix == ".parquet" else path / NAME
