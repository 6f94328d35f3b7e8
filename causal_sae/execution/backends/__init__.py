"""Where a trial runs: one file a backend, and one line here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pandas as pd
from rich.console import Console

from causal_sae.errors import Place, SpecError, did_you_mean
from causal_sae.execution.backends.local import LocalBackend, open_local
from causal_sae.execution.backends.ndif import open_ndif
from causal_sae.execution.backends.ray import open_ray
from causal_sae.execution.backends.resources import Resources
from causal_sae.spec.trial import Trial

Opener = Callable[[Trial, Path, pd.DataFrame, Console | None, Resources], LocalBackend]

BACKENDS: Mapping[str, Opener] = {
    "local": open_local,
    "ndif": open_ndif,
    "ray": open_ray,
}

__all__ = ["BACKENDS", "LocalBackend", "Resources", "open_backend"]


def open_backend(
    name: str,
    trial: Trial,
    base: Path,
    table: pd.DataFrame,
    console: Console | None = None,
    resources: Resources = Resources(),  # noqa: B008 - frozen
) -> LocalBackend:
    """Open the backend of that name for a trial.

    Raises
    ------
    SpecError
        When there is no such backend in this version, or it has no use for what it was given.
    """
    if name not in BACKENDS:
        raise SpecError(
            f"must be a backend of this version, got {name!r}; {did_you_mean(name, BACKENDS)}",
            Place(field="--backend"),
        )
    for option in ("workers", "address"):
        if name == "local" and getattr(resources, option) is not None:
            raise SpecError(
                "is for `--backend ray`: the local backend is one process on this machine",
                Place(field=f"--{option}"),
            )
    if name == "ndif" and resources.workers is not None:
        raise SpecError(
            "is for `--backend ray`: the service deals its own work out", Place(field="--workers")
        )
    return BACKENDS[name](trial, base, table, console, resources)
