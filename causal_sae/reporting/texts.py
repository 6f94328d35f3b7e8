"""Some of the texts that a trial generated, chosen by its seed and not by what they say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from causal_sae.randomness import generator

if TYPE_CHECKING:
    from causal_sae.spec import Trial

PROMPTS = 4
"""Prompts whose texts are shown side by side, where every prompt is in every arm."""
OF_AN_ARM = 3
"""Texts of each arm, where prompts differ between arms."""
LONGEST = 600
"""Characters of a text that are shown."""


@dataclass(frozen=True)
class Shown:
    """One text."""

    prompt: str
    arm: str
    text: str


def shown(trial: Trial, texts: pd.DataFrame | None) -> list[Shown]:
    """A few prompts with what each arm wrote: the first sample of each.

    Parameters
    ----------
    trial:
        Its seed chooses the prompts.
    texts:
        unit_id, arm, draw, sample, prompt, text; None or empty: there are none.
    """
    if texts is None or texts.empty:
        return []
    first = texts[texts["sample"] == texts["sample"].min()]
    first = first.drop_duplicates(["unit_id", "arm"])
    units = sorted(first["unit_id"].astype(str).unique())
    order = generator(trial.seed, "shown texts").permutation(len(units))
    place = {units[number]: rank for rank, number in enumerate(order)}
    arms = {arm.name: number for number, arm in enumerate(trial.arms)}
    table = first.assign(_unit=first["unit_id"].astype(str).map(place), _arm=first["arm"].map(arms))
    table = table[table["_arm"].notna()]
    if trial.within_unit:
        table = table[table["_unit"] < PROMPTS].sort_values(["_unit", "_arm"])
    else:
        table = table.sort_values(["_arm", "_unit"]).groupby("_arm").head(OF_AN_ARM)
    return [
        Shown(_cut(row["prompt"]), str(row["arm"]), _cut(row["text"]))
        for _, row in table.iterrows()
    ]


def _cut(text: object) -> str:
    whole = str(text)
    return whole if len(whole) <= LONGEST else whole[:LONGEST].rstrip() + "…"
