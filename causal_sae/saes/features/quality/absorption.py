"""Hints that a specific feature fires in the place of a general one."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

TYPICAL_RATE = 0.5
"""A token is typical of a feature that fires on at least this share of its occurrences."""
TYPICAL_COUNT = 5
"""Rarer tokens are typical of nothing."""
FEWEST_MISSES = 5
"""With fewer misses there is no hint."""


def typical(fires: Any, occurs: NDArray[np.int64]) -> Any:
    """Which tokens are typical of which features: a sparse ``[F, V]`` of ones.

    Parameters
    ----------
    fires:
        Sparse ``[F, V]``: how often each feature fired on each token.
    occurs:
        ``[V]``: how often each token occurred at positions that count.
    """
    table = fires.tocoo()
    often = occurs[table.col]
    chosen = (often >= TYPICAL_COUNT) & (table.data >= TYPICAL_RATE * often)
    kind = type(table)
    ones = np.ones(int(chosen.sum()), dtype=np.float32)
    return kind((ones, (table.row[chosen], table.col[chosen])), shape=table.shape).tocsr()


def absorption(
    missed: Floats, misses: Floats, hit: Floats, hits: Floats, cosine: Floats
) -> tuple[Floats, NDArray[np.int64]]:
    """The strongest hint for each feature, and the feature that may have absorbed it.

    A miss is a position on a token that is typical of feature a where a is silent; a hit is one
    where it fires. The hint that b absorbs a is ``P(b fires | miss) - P(b fires | hit)``, for those
    b whose decoder row points a's way: b then carries part of a's direction just where a is silent
    (Chanin et al. 2024, arXiv:2409.14507, who find the misses by a probe of the concept instead).

    Parameters
    ----------
    missed, hit:
        ``[A, F]``: at how many misses and hits of each of A features each of all F fires.
    misses, hits:
        ``[A]``: how many misses and hits there are.
    cosine:
        ``[A, F]``: the cosines of their decoder rows.

    Returns
    -------
    The hint, NaN where a has fewer than :data:`FEWEST_MISSES` misses or no hit, and b, -1 where
    there is no hint above 0.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        hint = missed / misses[:, None] - hit / hits[:, None]
    hint = np.where(cosine > COSINE, hint, 0.0)
    known = (misses >= FEWEST_MISSES) & (hits > 0)
    hint = np.where(known[:, None], hint, 0.0)
    best = hint.argmax(axis=1)
    value = np.maximum(hint[np.arange(len(hint)), best], 0.0)
    return np.where(known, value, np.nan), np.where(known & (value > 0), best, -1)


COSINE = 0.1
"""Decoder rows at a smaller cosine do not point the same way."""
