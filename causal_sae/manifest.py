"""What a run says of itself: hashes, versions, times, and what was registered."""

from __future__ import annotations

import hashlib
import shlex
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from causal_sae.piloting import list_path
from causal_sae.registration import Lock, deviations
from causal_sae.run_folder import RunFolder
from causal_sae.spec.loading import TrialFile, fingerprint
from causal_sae.spec.prompts import prompts_source
from causal_sae.spec.trial import Trial

if TYPE_CHECKING:
    import pandas as pd

    from causal_sae.execution.backends.local import LocalBackend

PACKAGES = (
    *("causal-sae", "torch", "transformers", "nnsight", "numpy", "pandas", "scipy"),
    *("statsmodels", "pingouin", "dowhy", "pydantic"),
)


class Clock:
    """Seconds by stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Measure what happens inside."""
        start = time.perf_counter()
        yield
        self.seconds[name] = round(time.perf_counter() - start, 2)


def identity_of(declared: TrialFile, engine: LocalBackend) -> dict[str, str]:
    """The hashes that a run must share to be the same run."""
    hashes = {"trial": fingerprint(declared.trial), **engine.describe()["hashes"]}
    population = declared.trial.population
    if population is not None:
        content = (declared.folder / prompts_source(population)[0]).read_bytes()
        hashes["prompts"] = hashlib.sha256(content).hexdigest()
    used = list_path(declared)
    hashes["pilot"] = hashlib.sha256(used.read_bytes()).hexdigest() if used.exists() else "none"
    return hashes


def begun(
    declared: TrialFile,
    engine: LocalBackend,
    identity: Mapping[str, str],
    excluded: Mapping[str, str],
) -> dict[str, Any]:
    """The manifest of a run that begins."""
    reasons = list(excluded.values())
    return {
        "status": "running",
        "command": _command(),
        "started": now(),
        "versions": versions(),
        "hashes": dict(identity),
        "seed": declared.trial.seed,
        "device": engine.describe()["execution"]["device"],
        "execution": engine.describe()["execution"],
        "excluded": {reason: reasons.count(reason) for reason in sorted(set(reasons))},
    }


def registration_of(lock: Lock | None, trial: Trial, hashes: Mapping[str, str]) -> dict[str, Any]:
    """What the manifest says of the registration: when, and what is not as registered."""
    if lock is None:
        return {"registered": None, "deviations": []}
    return {
        "registered": lock.registered,
        "amended": [asdict(amendment) for amendment in lock.amendments],
        "deviations": deviations(lock, trial, hashes, versions()),
    }


def looks_of(
    trial: Trial, assignment: pd.DataFrame, observations: pd.DataFrame
) -> dict[str, dict[str, int]]:
    """What the manifest says of looks before the end: where the trial stopped; maybe nothing."""
    if trial.analysis.looks is None:
        return {}
    return {
        "looks": {
            "planned": int(assignment["look"].max()),
            "made": int(observations["look"].max()),
            "units_planned": int(assignment["unit_id"].nunique()),
            "units_run": int(observations["unit_id"].nunique()),
        }
    }


def resumed(folder: RunFolder) -> dict[str, Any]:
    """What the manifest of a run that goes on keeps of its beginning."""
    before = folder.manifest
    if not before:
        return {}
    return {"started": before["started"], "resumed": [*before.get("resumed", []), now()]}


def rows_of(observations: pd.DataFrame) -> dict[str, int]:
    """How many units and arms were measured, and for how many the untouched model stands."""
    rows = observations.drop_duplicates(["unit_id", "arm"])
    taken = int(rows["not_run"].fillna(False).sum()) if "not_run" in rows else 0
    return {"measured": len(rows), "taken over from the untouched model": taken}


def _command() -> str:
    if Path(sys.argv[0]).stem == "causal-sae":
        return shlex.join(["causal-sae", *sys.argv[1:]])
    return "causal_sae.run_trial(...)"


def versions() -> dict[str, str]:
    """Of Python and of every package that a number may depend on."""
    known = {"python": sys.version.split()[0]}
    for package in PACKAGES:
        try:
            known[package] = version(package)
        except PackageNotFoundError:
            known[package] = "not installed"
    return known


def now() -> str:
    """The time in UTC, ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="seconds")
