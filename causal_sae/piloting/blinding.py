"""What is kept of a pilot's outcomes: their spread, and nothing of any effect.

Arms are named by a code that only the trial's declaration resolves. Every arm's mean change is
taken off the units that it reached, so that even with the names the table holds no effect. Units
that an edit did not reach keep their outcome, which is the untouched model's.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

    from causal_sae.spec.trial import Trial

KEPT = (
    *("unit_id", "arm", "outcome", "value", "clean_outcome", "exposed"),
    *("block", "cluster", "run_order", "status"),
)
"""The columns of a blinded table; doses and activations would tell the arms."""
PREFIX = "arm "


def mask(trial: Trial, arm: str) -> str:
    """The code of an arm; it follows from the names of trial and arm."""
    digest = hashlib.sha256(f"{trial.name}\x1fblind\x1f{arm}".encode()).hexdigest()
    return PREFIX + digest[:6]


def blinded(trial: Trial, observations: pd.DataFrame) -> pd.DataFrame:
    """The observations without what they say of effects.

    Parameters
    ----------
    trial:
        Its arms' names are masked.
    observations:
        As a run writes them, with ``received``.
    """
    import pandas as pd  # noqa: PLC0415 - `validate` passes here and needs none

    table = observations.reset_index(drop=True)
    value = pd.to_numeric(table["value"], errors="coerce")
    clean = value * 0.0
    if "clean_outcome" in table:
        clean = pd.to_numeric(table["clean_outcome"], errors="coerce").fillna(0.0)
    reached = table["received"].fillna(True).astype(bool) & value.notna()
    change = (value - clean)[reached]
    groups = [table.loc[reached, name].astype(str) for name in ("outcome", "arm")]
    about = change - change.groupby(groups).transform("mean")
    table["value"] = value
    table.loc[reached, "value"] = clean[reached] + about
    table["arm"] = table["arm"].map(lambda name: mask(trial, str(name)))
    found = table[[name for name in KEPT if name in table]]
    return found.sort_values(["outcome", "unit_id", "arm"], kind="stable", ignore_index=True)


def unmasked(trial: Trial, arms: pd.Series[str]) -> pd.Series[str]:
    """The arms' names, where they are this trial's; others stay as they are."""
    names = {mask(trial, arm.name): arm.name for arm in trial.arms}
    return arms.astype(str).replace(names)
