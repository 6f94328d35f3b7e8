"""Which prompts a pilot used: a list beside the trial file, which every later run keeps to.

A prompt is known by the hash of its text, so that neither a new order of the file nor new names
bring it back into the trial.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from causal_sae.errors import DataError, Place
from causal_sae.spec.loading import TrialFile

if TYPE_CHECKING:
    import pandas as pd

    from causal_sae.spec.trial import Trial

REASON = "been in the pilot"
HEADER = "unit_id,sha256"


def list_path(declared: TrialFile) -> Path:
    """Where the list of a trial's pilot is: ``trial.pilot.csv`` beside ``trial.yaml``."""
    return declared.path.with_suffix(".pilot.csv")


def used_count(declared: TrialFile) -> int:
    """How many prompts the list names; without reading the prompts."""
    path = list_path(declared)
    return max(0, len(path.read_text(encoding="utf-8").splitlines()) - 1) if path.exists() else 0


def fingerprints(trial: Trial, prompts: pd.DataFrame) -> pd.Series[str]:
    """[prompts] the SHA-256 of each prompt's text."""
    assert trial.population is not None
    texts = prompts[trial.population.text].astype(str)
    return texts.map(lambda text: hashlib.sha256(text.encode()).hexdigest())


def held_out(declared: TrialFile, prompts: pd.DataFrame) -> dict[str, str]:
    """Unit -> why it may not enter, for the prompts that were in the trial's pilot.

    Parameters
    ----------
    declared:
        The trial; without a list beside its file there was no pilot.
    prompts:
        As :func:`causal_sae.spec.prompts.read_prompts` returns them.

    Raises
    ------
    DataError
        The list cannot be read.
    """
    path = list_path(declared)
    if not path.exists():
        return {}
    lines = path.read_text(encoding="utf-8").splitlines()
    if not lines or lines[0] != HEADER or any(line.count(",") < 1 for line in lines[1:]):
        raise DataError(
            f"must be the list of the pilot's prompts with the columns {HEADER}, as "
            "`causal-sae pilot` wrote it; restore it, because the trial may not use these prompts.",
            Place(file=path),
        )
    used = {line.rsplit(",", 1)[1] for line in lines[1:]}
    found = fingerprints(declared.trial, prompts).isin(used)
    return dict.fromkeys(prompts.loc[found, "unit_id"].astype(str), REASON)


def unused(declared: TrialFile, prompts: pd.DataFrame) -> pd.DataFrame:
    """The prompts that were in no pilot of the trial."""
    return prompts[~prompts["unit_id"].astype(str).isin(held_out(declared, prompts))]


def choose(trial: Trial, prompts: pd.DataFrame, n: int) -> pd.DataFrame:
    """About n prompts that follow from the seed and the texts alone; whole clusters.

    Parameters
    ----------
    trial:
        Its seed, and the column of its clusters.
    prompts:
        Those that may be in the pilot.
    n:
        At least so many.
    """
    column = trial.assignment.cluster_by
    groups = fingerprints(trial, prompts) if column is None else prompts[column].astype(str)

    def rank(group: str) -> str:
        return hashlib.sha256(f"{trial.seed}\x1fpilot\x1f{group}".encode()).hexdigest()

    count, chosen = groups.value_counts(), set()
    taken = 0
    for group in sorted(set(groups), key=rank):
        if taken >= n:
            break
        chosen.add(group)
        taken += int(count[group])
    return prompts[groups.isin(chosen)]


def write_list(declared: TrialFile, prompts: pd.DataFrame) -> Path:
    """Add prompts to the list of those that the trial may not use; returns its path."""
    path = list_path(declared)
    before = path.read_text(encoding="utf-8") if path.exists() else HEADER + "\n"
    rows = zip(prompts["unit_id"], fingerprints(declared.trial, prompts), strict=True)
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(before + "".join(f"{u},{s}\n" for u, s in rows), encoding="utf-8")
    partial.replace(path)
    return path
