"""Each unit draws its arm on its own."""

from __future__ import annotations

import numpy as np

from causal_sae.randomization.dealing import Arms, probabilities
from causal_sae.randomization.units import Units
from causal_sae.randomness import generator


def simple(units: Units, shares: list[float], seed: int) -> Arms:
    """Independent draws; shape ``[units]``. Group sizes are random."""
    rng = generator(seed, "assignment", "simple")
    edges = np.cumsum([float(p) for p in probabilities(shares)])[:-1]
    return np.searchsorted(edges, rng.random(len(units)), side="right")
