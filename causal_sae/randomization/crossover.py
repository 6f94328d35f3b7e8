"""Every unit goes through every arm, in an order of its own."""

from __future__ import annotations

import numpy as np

from causal_sae.randomization.dealing import Arms
from causal_sae.randomization.units import Units
from causal_sae.randomness import generator


def crossover(units: Units, shares: list[float], seed: int) -> Arms:
    """An independent uniform order for each unit; shape ``[units, arms]``, column = place."""
    orders = np.tile(np.arange(len(shares)), (len(units), 1))
    return generator(seed, "assignment", "crossover").permuted(orders, axis=1)
