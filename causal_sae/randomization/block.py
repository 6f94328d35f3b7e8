"""Arms of fixed sizes within every block."""

from __future__ import annotations

import numpy as np

from causal_sae.randomization.dealing import Arms, deal
from causal_sae.randomization.units import Units, members
from causal_sae.randomness import generator


def block(units: Units, shares: list[float], seed: int) -> Arms:
    """Every arm gets its quota of each block, rounded down or up; shape ``[units]``.

    Each block has random numbers of its own, so that a new block leaves the others as they were.
    """
    arms = np.zeros(len(units), dtype=np.intp)
    for label, rows in members(units.blocks).items():
        arms[rows] = deal(shares, len(rows), generator(seed, "assignment", "block", label))
    return arms
