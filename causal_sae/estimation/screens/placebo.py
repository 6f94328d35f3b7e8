"""A feature's effect against those of features that fire like it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

Floats = NDArray[np.float64]
NEAREST = 50
"""How many features are a feature's placebos."""


def placebo_share(effect: Floats, alike: Floats) -> Floats:
    """The share of a feature's placebos, and itself, whose effect is at least as large.

    The smallest share that there can be is 1 / 51. A feature whose ablation moves the outcome no
    more than that of others as frequent and as strong is not special, however significant.

    Parameters
    ----------
    effect:
        ``[F]`` mean effects among exposed units; NaN where not measured.
    alike:
        ``[F, k]`` what placebos must share, on scales on which distances mean something.

    Returns
    -------
    ``[F]``, NaN where not measured, or fewer than twice as many were measured as are compared.
    """
    known = np.flatnonzero(np.isfinite(effect) & np.isfinite(alike).all(axis=1))
    result = np.full(len(effect), np.nan)
    if len(known) < 2 * NEAREST:
        return result
    spread = alike[known].std(axis=0)
    scaled = alike[known] / np.where(spread > 0, spread, 1.0)
    _, near = cKDTree(scaled).query(scaled, k=NEAREST + 1)
    size = np.abs(effect[known])
    own = np.arange(len(known))[:, None]
    others = (size[near] >= size[:, None]) & (near != own)
    result[known] = (1 + others.sum(axis=1)) / (1 + (near != own).sum(axis=1))
    return result
