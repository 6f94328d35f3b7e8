"""The features table that belongs to an SAE: ``features.parquet`` beside its own files."""

from __future__ import annotations

import pandas as pd

from causal_sae.errors import DataError, Place
from causal_sae.feature_tables import NAME, features_file, read_features, write_features
from causal_sae.saes.sae import SAE

__all__ = ["NAME", "read_features", "stored_features", "write_features"]


def stored_features(sae: SAE) -> pd.DataFrame | None:
    """The features table beside an SAE's files, or None where there is none.

    Raises
    ------
    DataError
        When the table cannot be read, or is of another SAE: it must have a row for every feature.
    """
    folder = sae.config.path
    if folder is None or not features_file(folder).is_file():
        return None
    table = read_features(folder)
    if table["feature"].tolist() != list(range(sae.config.d_sae)):
        raise DataError(
            f"the features table must have one row for each of the SAE's {sae.config.d_sae} "
            f"features; it has {len(table)}: make it anew with `causal-sae features extract`.",
            Place(file=features_file(folder), field="feature"),
        )
    return table
