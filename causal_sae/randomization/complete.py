"""Arms of fixed sizes."""

from __future__ import annotations

from causal_sae.randomization.dealing import Arms, deal
from causal_sae.randomization.units import Units
from causal_sae.randomness import generator


def complete(units: Units, shares: list[float], seed: int) -> Arms:
    """Every arm gets its quota of the units, rounded down or up; shape ``[units]``."""
    return deal(shares, len(units), generator(seed, "assignment", "complete"))
