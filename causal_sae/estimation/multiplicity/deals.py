"""Assignments that could have been made: arms dealt anew within strata, or swapped within units."""

from __future__ import annotations

from itertools import combinations
from math import comb, prod

import numpy as np
from numpy.typing import NDArray

from causal_sae.estimation.redraws import CELLS, MOST
from causal_sae.estimation.sample import Codes, Mask

Draws = NDArray[np.int8]

DRAWS, FEWEST = 9_999, 1_999
"""How many assignments are drawn; fewer where units are many."""
DRAWN = 10_000_000
"""Above the fewest, no more assignments are drawn than this over the number of units."""


def affordable(items: int) -> int:
    """How many assignments of this many units or clusters are drawn."""
    return int(np.clip(DRAWN // max(items, 1), FEWEST, DRAWS))


def dealt(treated: Mask, stratum: Codes, rng: np.random.Generator, count: int) -> Draws:
    """[count, items] which items are treated; every stratum keeps the sizes of its arms."""
    result = np.empty((count, len(treated)), dtype=np.int8)
    for k in np.unique(stratum):
        rows = np.flatnonzero(stratum == k)
        arms = np.tile(treated[rows].astype(np.int8), (count, 1))
        result[:, rows] = rng.permuted(arms, axis=1)
    return result


def every_deal(treated: Mask, stratum: Codes) -> Draws | None:
    """[assignments, items] all that :func:`dealt` could draw; None where they are too many."""
    strata = [np.flatnonzero(stratum == k) for k in np.unique(stratum)]
    ways = prod(comb(len(rows), int(treated[rows].sum())) for rows in strata)
    if ways > MOST or ways * len(treated) > CELLS:
        return None
    result = np.zeros((1, len(treated)), dtype=np.int8)
    for rows in strata:
        chosen = np.array(list(combinations(rows, int(treated[rows].sum()))), dtype=np.int64)
        result = np.repeat(result, len(chosen), axis=0)
        picked = np.tile(chosen, (len(result) // len(chosen), 1))
        np.put_along_axis(result, picked, 1, axis=1)
    return result


def swapped(items: int, rng: np.random.Generator, count: int) -> Draws:
    """[count, items] -1 where the two arms of an item change places, 1 where they do not."""
    return rng.integers(0, 2, (count, items), dtype=np.int8) * np.int8(2) - np.int8(1)


def every_swap(items: int) -> Draws | None:
    """[2 ** items, items] all that :func:`swapped` could draw; None where they are too many."""
    if 2**items > MOST or 2**items * items > CELLS:
        return None
    bits = (np.arange(2**items)[:, None] >> np.arange(items)) & 1
    return (bits * -2 + 1).astype(np.int8)
