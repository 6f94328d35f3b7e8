"""The cells of crossed factors, dealt like arms, within blocks if there are any."""

from __future__ import annotations

import numpy as np

from causal_sae.randomization.dealing import Arms, deal
from causal_sae.randomization.units import Units, members
from causal_sae.randomness import generator


def factorial(units: Units, shares: list[float], seed: int) -> Arms:
    """Every cell gets its quota of the units, or of each block's units; shape ``[units]``."""
    arms = np.zeros(len(units), dtype=np.intp)
    for label, rows in members(units.blocks).items():
        arms[rows] = deal(shares, len(rows), generator(seed, "assignment", "factorial", label))
    return arms
