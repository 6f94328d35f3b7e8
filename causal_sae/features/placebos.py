"""Placebos of features from the store alone, with the balance that they reach."""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from causal_sae.errors import DataError, Place, did_you_mean
from causal_sae.feature_tables import FeatureStore
from causal_sae.randomness import generator
from causal_sae.saes.features.matching import balance, match_placebos
from causal_sae.saes.load import FORMATS, load_sae
from causal_sae.spec.interventions import Match


def placebos(
    store: FeatureStore,
    treated: Sequence[int],
    on: Sequence[str],
    draws: int,
    caliper: float | None,
    max_cosine: float,
    seed: int,
) -> tuple[pd.DataFrame, str]:
    """The balance table of placebos drawn for some features, and what to know of it.

    Parameters
    ----------
    store:
        The store.
    treated:
        The features.
    on, draws, caliper, max_cosine:
        As for :func:`causal_sae.saes.features.matching.match_placebos`.
    seed:
        A trial with this seed draws the same where the rest is the same.

    Raises
    ------
    DataError
        A property is unknown, a feature never fires, or too few features are like it.
    """
    chosen = [_property(name) for name in on]
    for feature in treated:
        store.row(feature)
    rng = generator(seed, "placebo", *map(str, treated))
    rows, cosines = _decoder(store, treated, max_cosine)
    table = store.features
    if rows is None:
        table = table[~table["feature"].isin(cosines - set(treated))]
    sets = match_placebos(table, treated, chosen, draws, rng, rows, max_cosine, caliper)
    found = balance(store.features, treated, sets)
    found["fires_on"] = found["feature"].map(store.features.set_index("feature")["fires_on"])
    spread = [f"{name} {_range(found, name)}" for name in chosen]
    note = f"placebo over treated: {'; '.join(spread)}"
    return found, note


def _range(table: pd.DataFrame, name: str) -> str:
    ratios = table.loc[table["role"] == "placebo", f"{name}_ratio"]
    return f"{ratios.min():.2f} to {ratios.max():.2f}"


def _property(name: str) -> Match:
    if name not in get_args(Match):
        raise DataError(
            f"must be what can be matched on, got {name!r}; {did_you_mean(name, get_args(Match))}",
            Place(field="--on"),
        )
    return name  # type: ignore[return-value]  # one of the literals


def _decoder(
    store: FeatureStore, treated: Sequence[int], max_cosine: float
) -> tuple[NDArray[np.floating] | None, set[int]]:
    """The decoder where the SAE is in the same folder; else the neighbours that the store knows."""
    names = {file for form in FORMATS.values() for file in form.weights}
    if any((store.path / name).is_file() for name in names):
        return load_sae(store.path).decoder.numpy(), set()
    near = store.companion("neighbours", list(treated))
    near = near[(near["kind"] == "decoder") & (near["value"] > max_cosine)]
    return None, {int(feature) for feature in near["neighbour"]}
