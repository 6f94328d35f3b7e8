"""Which store a word on the command line means."""

from __future__ import annotations

from pathlib import Path

from causal_sae.errors import DataError, Place
from causal_sae.feature_tables import FeatureStore, open_store
from causal_sae.spec.loading import load_trial_file
from causal_sae.spec.sources import PathSource


def store_at(place: Path) -> FeatureStore:
    """The store in a folder, or the one beside the SAE of a trial.

    Raises
    ------
    DataError
        There is none.
    """
    if not place.exists():
        raise DataError(
            f"there is no folder {str(place)!r}; name a feature store, an SAE's folder, or a trial",
            Place(field="STORE"),
        )
    is_trial = place.suffix in {".yaml", ".yml"} or (place / "trial.yaml").is_file()
    if not is_trial:
        return open_store(place)
    declared = load_trial_file(place, screen=True)
    sae = declared.trial.sae
    if sae is None or not isinstance(sae.source, PathSource):
        raise DataError(
            "the trial names no SAE in a folder, so no store is beside it; name the store's folder",
            Place(declared.path),
        )
    return open_store((declared.folder / sae.source.path).resolve())
