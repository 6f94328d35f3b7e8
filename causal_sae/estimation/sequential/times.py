"""When looks are planned: as shares of the units, or of those at a look without an end."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from causal_sae.spec.analysis import Looks

TUNED = 10
"""Looks ``every`` so many units know no end: their sequence is the tightest at this one."""


def planned_time(looks: Looks, number: int) -> float:
    """The share of the planned units that is in at a look; of those at look 10 without an end."""
    return number / TUNED if looks.at is None else looks.at[min(number, len(looks.at)) - 1]


def is_last(looks: Looks, number: int) -> bool:
    """Whether a look is the last one planned."""
    return looks.at is not None and number == len(looks.at)
