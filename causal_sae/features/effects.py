"""What finished trials found of a feature."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from causal_sae.errors import CausalSAEError
from causal_sae.run import Run
from causal_sae.run_folder import RunFolder
from causal_sae.spec.interventions import Placebo
from causal_sae.spec.trial import Trial

COLUMNS = [
    *("feature", "trial", "run", "part", "with", "outcome", "role", "treatment", "reference"),
    *("estimate", "conf_low", "conf_high", "p_adjusted", "reject"),
]


def effects_of(features: Sequence[int], root: Path, sae: str | None) -> pd.DataFrame:
    """Every effect of a finished run in which one of these features was edited.

    Parameters
    ----------
    features:
        The features.
    root:
        The folder under which run folders are looked for.
    sae:
        The hash of the SAE that the features are of; runs of others are left out. None: unknown,
        and all runs are taken.

    Returns
    -------
    DataFrame
        :data:`COLUMNS`: ``part`` is ``treated``, or ``placebo for 12`` where the feature's
        placebos were; ``with`` counts the features that were edited along with it.
    """
    rows: list[dict[str, object]] = []
    for manifest in sorted(root.glob("**/manifest.json")):
        run = Run(RunFolder(manifest.parent))
        told = run.folder.manifest
        known = told.get("hashes", {}).get("sae")
        if told.get("status") != "done" or (sae and known and known != sae):
            continue
        try:
            rows += _of_run(run, features)
        except CausalSAEError:
            continue  # a run of another version, or a foreign table: nothing to show
    return pd.DataFrame(rows, columns=COLUMNS)


def _of_run(run: Run, features: Sequence[int]) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    for feature in features:
        parts = arms_of(run.trial, feature)
        for effect in run.effects.to_dict("records") if parts else []:
            if effect["treatment"] not in parts:
                continue
            part, together = parts[effect["treatment"]]
            shown = {name: effect[name] for name in COLUMNS[5:]}
            rows.append(
                {
                    "feature": feature,
                    "trial": run.trial.name,
                    "run": str(run.folder.path),
                    "part": part,
                    "with": together,
                }
                | shown
            )
    return rows


def arms_of(trial: Trial, feature: int) -> dict[str, tuple[str, int]]:
    """The arms that edit a feature or its placebos: what they do, and how many features beside."""
    found: dict[str, tuple[str, int]] = {}
    for arm in trial.arms:
        chosen = getattr(arm.intervention, "features", ())
        if isinstance(chosen, tuple) and feature in chosen:
            found[arm.name] = (str(arm.intervention.kind), len(chosen) - 1)
        elif isinstance(chosen, Placebo) and feature in chosen.placebo_for:
            found[arm.name] = ("placebo", len(chosen.placebo_for) - 1)
    return found
