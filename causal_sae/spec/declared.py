"""Whatever a caller gives for a trial, as the trial's file."""

from __future__ import annotations

from pathlib import Path

from causal_sae.spec.loading import TrialFile, canonical, load_trial_file
from causal_sae.spec.trial import Trial


def trial_file(given: Trial | TrialFile | str | Path) -> TrialFile:
    """The file of a trial given by path, by file, or as an object.

    A trial that was made in Python has no file: its text is its canonical JSON, which is YAML too,
    and its relative paths start at the folder it was loaded from, or at the current one.
    """
    if isinstance(given, TrialFile):
        return given
    if isinstance(given, Trial):
        return TrialFile(given, given.folder / "trial.yaml", canonical(given) + "\n", {})
    return load_trial_file(given)
