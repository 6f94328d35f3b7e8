"""A concept trial that is registered: what was declared, before it was run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from causal_sae.errors import DataError, Place
from causal_sae.manifest import now, versions
from causal_sae.registration.lock import Lock, read_lock, write_lock
from causal_sae.spec.concepts import ConceptFile

WHAT = {
    "concepts": "the declaration",
    "texts": "the texts",
    "rule": "the rule of the verdicts",
    "model": "the model",
    "sae": "the SAE",
    "hook": "the hook",
}
REMEDY = "restore the file from where it was kept, or remove it and register anew."


def lock_path(declared: ConceptFile) -> Path:
    """The lock of a file stands beside it."""
    return declared.path.with_suffix(".lock")


def registered(declared: ConceptFile) -> Lock | None:
    """The registration, or None.

    Raises
    ------
    SpecError
        The file is no lock, or was changed after it was sealed.
    """
    return read_lock(lock_path(declared), REMEDY)


def changes(lock: Lock, identity: Mapping[str, str]) -> list[str]:
    """What is not as it was registered."""
    return [f"{WHAT[key]} changed" for key, now in identity.items() if lock.hashes.get(key) != now]


def freeze(declared: ConceptFile, identity: Mapping[str, str]) -> Path:
    """Register a concept trial; returns the lock's path.

    Parameters
    ----------
    declared:
        What was declared.
    identity:
        Hashes of everything that the verdicts depend on.

    Raises
    ------
    DataError
        It is registered already.
    """
    path = lock_path(declared)
    if path.exists():
        raise DataError(
            "is registered already; remove this file to register anew, and say why in the report",
            Place(path),
        )
    plan = declared.trial.model_dump(mode="json", by_alias=True)
    write_lock(Lock(now(), plan, dict(identity), versions()), path)
    return path
