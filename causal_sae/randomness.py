"""Random numbers that follow from the trial's seed and a name, and from nothing else."""

from __future__ import annotations

import hashlib

import numpy as np


def generator(seed: int, *labels: str) -> np.random.Generator:
    """A generator of its own for each use.

    Adding a unit, a block or an arm never shifts what another one draws.

    Parameters
    ----------
    seed:
        The trial's seed.
    labels:
        What the numbers are for, such as ``("assignment", "block", "7")``.
    """
    digest = hashlib.sha256("\x1f".join(labels).encode()).digest()
    words = np.frombuffer(digest[:16], dtype=np.uint32)
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, *words.tolist()])))
