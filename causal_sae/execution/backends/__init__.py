"""Where a trial runs: one file a backend, and one line here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pandas as pd
from rich.console import Console

from causal_sae.errors import Place, SpecError, did_you_mean
from causal_sae.execution.backends.local import LocalBackend, open_local
from causal_sae.spec.trial import Trial

Opener = Callable[[Trial, Path, pd.DataFrame, Console | None, float | None], LocalBackend]

BACKENDS: Mapping[str, Opener] = {
    "local": open_local,
}


def open_backend(
    name: str,
    trial: Trial,
    base: Path,
    table: pd.DataFrame,
    console: Console | None = None,
    memory: float | None = None,
) -> LocalBackend:
    """Open the backend of that name for a trial; ``memory`` is what one batch may take, in GiB.

    Raises
    ------
    SpecError
        When there is no such backend in this version.
    """
    if name not in BACKENDS:
        raise SpecError(
            f"must be a backend of this version, got {name!r}; {did_you_mean(name, BACKENDS)}",
            Place(field="--backend"),
        )
    return BACKENDS[name](trial, base, table, console, memory)
