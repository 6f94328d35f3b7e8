"""The lock: a trial's plan with the hashes of all it rests on, and a seal over the whole.

The plan is kept in its canonical form, so neither comments nor layout of the trial file matter.
The seal shows that a lock was edited by hand. It cannot show that the whole lock was made anew
after the results were seen: for that, file the protocol where it gets a date of its own.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from causal_sae.errors import Place, SpecError
from causal_sae.spec.loading import TrialFile, canonical
from causal_sae.spec.trial import Trial

VERSION = 1
REMEDY = "restore the file from where it was kept, or register again with --amend."


@dataclass(frozen=True)
class Amendment:
    """An earlier registration, and what the one after it changed."""

    registered: str
    """When it was made, ISO 8601 in UTC."""
    seal: str
    """Its seal."""
    changes: tuple[str, ...]
    """What the next registration changed, one sentence each."""


@dataclass(frozen=True)
class Lock:
    """A registered plan."""

    registered: str
    """When, ISO 8601 in UTC."""
    plan: Mapping[str, Any]
    """The trial in its canonical form."""
    hashes: Mapping[str, str]
    """SHA-256 of the plan, the prompts, and the weights of model and SAE."""
    versions: Mapping[str, str]
    """Of the software that registered it."""
    amendments: tuple[Amendment, ...] = field(default=())
    """Earlier registrations, the first one first."""

    @property
    def seal(self) -> str:
        """The SHA-256 of everything else in the lock."""
        text = json.dumps(asdict(self), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def trial(self) -> Trial | None:
        """The plan as a trial; None where this version of the file format cannot read it."""
        try:
            return Trial.model_validate(self.plan)
        except ValueError:
            return None


def plan_of(trial: Trial) -> dict[str, Any]:
    """The trial in its canonical form, as plain data."""
    plan: dict[str, Any] = json.loads(canonical(trial))
    return plan


def lock_path(declared: TrialFile) -> Path:
    """Where the lock of a trial file stands: beside it, ``trial.yaml`` becoming ``trial.lock``."""
    return declared.path.with_suffix(".lock")


def write_lock(lock: Lock, path: Path) -> None:
    """Write a lock whole, sealed."""
    content = {"lock": VERSION, **asdict(lock), "seal": lock.seal}
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        text = json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False)
        partial.write_text(text + "\n", encoding="utf-8")
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def read_lock(path: Path, remedy: str = REMEDY) -> Lock | None:
    """The lock at a path; None where there is none.

    Parameters
    ----------
    path:
        The file.
    remedy:
        What to do with one that cannot be used.

    Raises
    ------
    SpecError
        The file is no lock, or was changed after it was sealed.
    """
    if not path.exists():
        return None
    place = Place(file=path)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        amendments = tuple(
            Amendment(one["registered"], one["seal"], tuple(one["changes"]))
            for one in content["amendments"]
        )
        known = {key: content[key] for key in ("registered", "plan", "hashes", "versions")}
        lock, seal = Lock(**known, amendments=amendments), content["seal"]
    except (ValueError, KeyError, TypeError) as error:
        raise SpecError(
            f"must be a lock that `register` wrote ({error}); {remedy}", place
        ) from None
    if seal != lock.seal:
        raise SpecError(
            f"was changed after it was registered on {lock.registered}: its content does not match "
            f"its seal; {remedy}",
            place,
        )
    return lock
