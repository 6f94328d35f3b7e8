"""What differs between a registered plan and the trial as it was run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from causal_sae.registration.lock import Lock, plan_of
from causal_sae.spec.trial import Trial

ABSENT = object()
FILES = {
    "prompts": "the prompts file",
    "pool": "the pool of prompts",
    "pilot": "the list of the pilot's prompts",
    "model": "the model's weights",
}
"""What a hash is of, in words; the others are of SAEs."""


def deviations(
    lock: Lock, trial: Trial, hashes: Mapping[str, str], versions: Mapping[str, str]
) -> list[str]:
    """One sentence for each thing that is not as registered: what, as registered, as run.

    Parameters
    ----------
    lock:
        The registration.
    trial:
        The trial as it runs.
    hashes:
        Of the prompts, the model and the SAE as they are now; those not known are not compared.
    versions:
        Of the software that runs it.
    """
    return [
        *plan_changes(_plan(lock), plan_of(trial)),
        *_file_changes(lock.hashes, hashes),
        *_version_changes(lock.versions, versions),
    ]


def _plan(lock: Lock) -> Mapping[str, Any]:
    """The registered plan with today's defaults, where this version can still read it."""
    trial = lock.trial
    return lock.plan if trial is None else plan_of(trial)


def plan_changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """One sentence for each field of the plan that differs."""
    return [
        f"{path}: registered {_shown(old)}, run with {_shown(new)}"
        for path, old, new in _differences("", before, after)
    ]


def _differences(path: str, old: Any, new: Any) -> Iterator[tuple[str, Any, Any]]:
    """Path, registered value and value as run of each leaf that differs."""
    old_parts, new_parts = _parts(old), _parts(new)
    if old_parts is None or new_parts is None:
        if old != new or type(old) is not type(new):
            yield path, old, new
        return
    if isinstance(old, list):
        yield from _reordered(path, old_parts, new_parts)
    for key in dict.fromkeys([*old_parts, *new_parts]):
        below = key if not path else f"{path}{key}" if key.startswith("[") else f"{path}.{key}"
        pair = old_parts.get(key, ABSENT), new_parts.get(key, ABSENT)
        if ABSENT in pair:
            yield below, *pair
        else:
            yield from _differences(below, *pair)


def _reordered(
    path: str, old: Mapping[str, Any], new: Mapping[str, Any]
) -> Iterator[tuple[str, Any, Any]]:
    """The order of what stands in both lists, where it differs: arms are dealt in their order."""
    before = [key.strip("[]") for key in old if key in new]
    after = [key.strip("[]") for key in new if key in old]
    if before != after:
        yield f"{path} (order)", before, after


def _parts(value: Any) -> dict[str, Any] | None:
    """The members of a mapping or of a list of named things by key; None for anything else."""
    if isinstance(value, dict):
        return value
    if (
        isinstance(value, list)
        and value
        and all(isinstance(x, dict) and "name" in x for x in value)
    ):
        return {f"[{member['name']}]": member for member in value}
    return None


def _shown(value: Any) -> str:
    if value is ABSENT:
        return "nothing"
    if isinstance(value, dict) and "name" in value:
        return f"{value['name']!r}"
    return "nothing" if value is None else f"{value!r}"


def _file_changes(before: Mapping[str, str], after: Mapping[str, str]) -> Iterator[str]:
    for name in sorted({*before, *after} - {"trial"}):
        old, new = before.get(name), after.get(name)
        if old is not None and new is not None and old != new:
            what = FILES.get(name, f"the weights of {name}")
            yield f"{what}: registered with SHA-256 {old[:12]}, run with {new[:12]}"


def _version_changes(before: Mapping[str, str], after: Mapping[str, str]) -> Iterator[str]:
    for name in sorted({*before} & {*after}):
        if before[name] != after[name]:
            yield f"software {name}: registered with {before[name]}, run with {after[name]}"
