"""The feature store on disk: one folder of parquet tables. Reading it never loads torch."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from causal_sae.errors import DataError, Place
from causal_sae.tables import (
    CONTEXTS,
    EXAMPLES,
    FEATURES,
    GROUPS,
    HISTOGRAMS,
    LOGITS,
    NEIGHBOURS,
    Table,
)

NAME = "features.parquet"
MANIFEST = "store.json"
COMPANIONS: dict[str, Table] = {
    table.name: table for table in (EXAMPLES, CONTEXTS, LOGITS, HISTOGRAMS, NEIGHBOURS, GROUPS)
}
"""The tables beside the features table, each ``NAME.parquet``; stores made elsewhere may lack
them."""


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
    file = features_file(path)
    if not file.is_file():
        raise DataError(
            "the statistics of the SAE's features are not here; make them with "
            "`causal-sae features extract`.",
            Place(file=file),
        )
    table = FEATURES.conform(FEATURES.check(_read(file), Place(file)))
    twice = table["feature"][table["feature"].duplicated()]
    if not twice.empty:
        raise DataError(
            f"a feature must have one row; {twice.iloc[0]} has several.",
            Place(file, field="feature"),
        )
    return table.sort_values("feature", ignore_index=True)


def write_features(features: pd.DataFrame, path: Path) -> Path:
    """Write the table beside the SAE (or to the file named), and return where it is."""
    file = features_file(path)
    table = FEATURES.conform(FEATURES.check(features, Place(file)))
    partial = file.with_suffix(".partial")
    table.to_parquet(partial, index=False)
    partial.replace(file)  # a reader sees the old table or the new one, never half of one
    return file


def features_file(path: Path) -> Path:
    """Where the features table of a folder is; a parquet file is itself."""
    return path if path.suffix == ".parquet" else path / NAME


@dataclass(frozen=True)
class FeatureStore:
    """A folder with ``features.parquet`` and what ``features extract`` wrote beside it."""

    path: Path

    @cached_property
    def features(self) -> pd.DataFrame:
        """The features table."""
        return read_features(self.path)

    @cached_property
    def manifest(self) -> dict[str, Any]:
        """What the store was made from; empty where nothing tells."""
        file = self.path / MANIFEST
        return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}

    @property
    def about(self) -> str:
        """What the features are of, in a line."""
        told = self.manifest
        if "model" not in told:
            return f"Features of {self.path.resolve().name}"
        hook, tokens = told["hashes"]["hook"], told.get("tokens", 0)
        return f"{told['model']}, {hook}: features over {tokens:,} tokens"

    def companion(self, name: str, features: Sequence[int] | None = None) -> pd.DataFrame:
        """A companion table, of some features only where they are given; empty where it is absent.

        Raises
        ------
        DataError
            The file is not readable, or lacks a column.
        """
        file, contract = self.path / f"{name}.parquet", COMPANIONS[name]
        if not file.is_file():
            return contract.conform(pd.DataFrame(columns=list(contract.columns)))
        chosen = None if features is None else [("feature", "in", list(features))]
        return contract.conform(contract.check(_read(file, chosen), Place(file)))

    def row(self, feature: int) -> pd.Series[Any]:
        """One feature of the table.

        Raises
        ------
        DataError
            The store has no such feature: says which it has.
        """
        table = self.features
        found = table[table["feature"] == feature]
        if found.empty:
            raise DataError(
                f"the store has the features {table['feature'].min()} to "
                f"{table['feature'].max()}; got {feature}.",
                Place(features_file(self.path), field="FEATURE"),
            )
        return found.iloc[0]


def open_store(path: str | Path) -> FeatureStore:
    """The feature store in a folder; ``features`` is its table, ``companion`` gives the others.

    Raises
    ------
    DataError
        There is no feature store.
    """
    given = Path(path)
    folder = given.parent if given.name == NAME else given
    if not features_file(folder).is_file():
        raise DataError(
            f"there is no feature store here (no {NAME}); make one with "
            "`causal-sae features extract`, or name its folder.",
            Place(folder),
        )
    return FeatureStore(folder)


def _read(file: Path, filters: list[tuple[str, str, list[int]]] | None = None) -> pd.DataFrame:
    try:
        return pd.read_parquet(file, filters=filters)
    except (OSError, ValueError) as error:
        raise DataError(f"the file is not readable as parquet: {error}.", Place(file)) from error
