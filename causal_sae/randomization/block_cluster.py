"""Whole clusters are assigned, in fixed numbers within every block."""

from __future__ import annotations

import numpy as np

from causal_sae.randomization.dealing import Arms, deal
from causal_sae.randomization.units import Units, members
from causal_sae.randomness import generator


def block_cluster(units: Units, shares: list[float], seed: int) -> Arms:
    """Every arm gets its quota of each block's clusters; shape ``[units]``."""
    arms = np.zeros(len(units), dtype=np.intp)
    for label, rows in members(units.blocks).items():
        clusters = list(members(units.clusters[rows]).values())
        rng = generator(seed, "assignment", "block_cluster", label)
        for arm, within in zip(deal(shares, len(clusters), rng), clusters, strict=True):
            arms[rows[within]] = arm
    return arms
