"""Whole clusters are assigned."""

from __future__ import annotations

import numpy as np

from causal_sae.randomization.dealing import Arms, deal
from causal_sae.randomization.units import Units, members
from causal_sae.randomness import generator


def cluster(units: Units, shares: list[float], seed: int) -> Arms:
    """Every arm gets its quota of the clusters; shape ``[units]``."""
    clusters = list(members(units.clusters).values())
    dealt = deal(shares, len(clusters), generator(seed, "assignment", "cluster"))
    arms = np.zeros(len(units), dtype=np.intp)
    for arm, rows in zip(dealt, clusters, strict=True):
        arms[rows] = arm
    return arms
