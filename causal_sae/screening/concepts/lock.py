"""A concept trial that is registered: what was declared, before it was run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from causal_sae.errors import DataError, Place
from causal_sae.manifest import now, versions
from causal_sae.reporting.files import replacing
from causal_sae.spec.concepts import ConceptFile
from causal_sae.spec.verdicts import RULE

WHAT = {
    "concepts": "the declaration",
    "texts": "the texts",
    "rule": "the rule of the verdicts",
    "model": "the model",
    "sae": "the SAE",
    "hook": "the hook",
}


def lock_path(declared: ConceptFile) -> Path:
    """The lock of a file stands beside it."""
    return declared.path.with_suffix(".lock")


def read_lock(declared: ConceptFile) -> dict[str, Any] | None:
    """The registration, or None."""
    path = lock_path(declared)
    if not path.is_file():
        return None
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(f"is no registration: {error}; remove it", Place(path)) from None
    return found


def changes(lock: Mapping[str, Any], identity: Mapping[str, str]) -> list[str]:
    """What is not as it was registered."""
    before = lock.get("hashes", {})
    return [f"{WHAT[key]} changed" for key, value in identity.items() if before.get(key) != value]


def register(declared: ConceptFile, console: Console) -> Path:
    """Freeze a concept trial, with its texts, model, SAE and rule; returns the lock's path.

    Raises
    ------
    DataError
        It is registered already.
    """
    from causal_sae.screening.concepts.run import identity_of, set_up  # noqa: PLC0415

    path = lock_path(declared)
    if path.exists():
        raise DataError(
            "is registered already; remove this file to register anew, and say why in the report",
            Place(path),
        )
    bench = set_up(declared, console)
    lock = {
        "registered": now(),
        "hashes": identity_of(declared, bench),
        "rule": list(RULE),
        "declaration": declared.trial.model_dump(mode="json", by_alias=True),
        "versions": versions(),
    }
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(lock, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    return path
