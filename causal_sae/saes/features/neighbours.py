"""Features that fire with a feature, and features that write in its direction."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from causal_sae.saes.features.parts import Part
from causal_sae.saes.features.quality.absorption import absorption
from causal_sae.saes.features.quality.cohesion import unit

Floats = NDArray[np.float64]
CELLS = 1 << 23
"""Pairs of features that are counted at once: 64 megabytes for each count."""
FEWEST = 5
"""Features that fired together less often are no neighbours."""


@dataclass(frozen=True, eq=False)
class Together:
    """How a block of ``A`` features goes with all ``F``."""

    both: Floats
    """``[A, F]``: at how many positions both fire."""
    missed: Floats
    """``[A, F]``: at how many misses of the first the second fires."""
    hit: Floats
    """``[A, F]``: at how many hits."""
    misses: Floats
    """``[A]``"""
    hits: Floats
    """``[A]``"""


def blocks(d_sae: int) -> list[range]:
    """The features in blocks whose counts fit into memory."""
    size = max(1, min(d_sae, CELLS // d_sae))
    return [range(start, min(start + size, d_sae)) for start in range(0, d_sae, size)]


def together(parts: Iterable[Part], block: range, typical: Any) -> Together:
    """Count a block of features against all features.

    Parameters
    ----------
    parts:
        The parts.
    block:
        The features, consecutive.
    typical:
        Sparse ``[F, V]``: :func:`causal_sae.saes.features.quality.absorption.typical`.
    """
    width, chosen = typical.shape[0], slice(block.start, block.stop)
    both, missed, hit = (np.zeros((len(block), width)) for _ in range(3))
    misses, hits = np.zeros(len(block)), np.zeros(len(block))
    own = typical[chosen].T.tocsr()
    for part in parts:
        ones = np.ones(len(part.row), np.float32)
        fires = sparse.csc_matrix((ones, part.row, part.indptr), (len(part.tokens), width))
        every, mine = fires.tocsr(), fires[:, chosen]
        expected = sparse.diags(part.counted.astype(np.float32)) @ own[part.tokens]
        found = expected.multiply(mine).tocsc()
        lost = (expected - found).tocsc()
        for total, which in ((both, mine), (hit, found), (missed, lost)):
            total += (which.T @ every).toarray()
        hits += np.asarray(found.sum(axis=0)).ravel()
        misses += np.asarray(lost.sum(axis=0)).ravel()
    return Together(both, missed, hit, misses, hits)


def phi(both: Floats, own: Floats, every: Floats, positions: int) -> Floats:
    """The correlation of firing, ``[A, F]``: of two features' zeros and ones over positions.

    Parameters
    ----------
    both:
        ``[A, F]`` positions at which both fire.
    own, every:
        ``[A]`` and ``[F]`` positions at which each fires.
    positions:
        How many there are.
    """
    p, q, r = own[:, None] / positions, every[None] / positions, both / positions
    with np.errstate(divide="ignore", invalid="ignore"):
        value = (r - p * q) / np.sqrt(p * (1 - p) * q * (1 - q))
    return np.where(np.isfinite(value), value, 0.0)


def neighbours(
    parts: Iterable[Part],
    active: NDArray[np.int64],
    positions: int,
    decoder: Floats,
    typical: Any,
    count: int,
    advance: Callable[[int], None],
) -> tuple[pd.DataFrame, Floats, NDArray[np.int64]]:
    """The nearest features of each, and hints of absorption.

    Parameters
    ----------
    parts:
        The parts; read once for each block of features.
    active:
        ``[F]`` how often each fired.
    positions:
        Positions that count.
    decoder:
        ``[F, d]``
    typical:
        As for :func:`together`.
    count:
        How many neighbours of each kind.
    advance:
        Called with the number of features done.

    Returns
    -------
    The table (:data:`causal_sae.tables.NEIGHBOURS`), and of :func:`absorption` both results.
    """
    rows, every = unit(decoder), active.astype(np.float64)
    tables, hint = [], np.full(len(active), np.nan)
    by = np.full(len(active), -1)
    for block in blocks(len(active)):
        chosen = slice(block.start, block.stop)
        counts = together(parts, block, typical)
        cosine = rows[chosen] @ rows.T
        fires = phi(counts.both, every[chosen], every, positions)
        fires[counts.both < FEWEST] = 0.0
        for kind, value in (("coactivation", fires), ("decoder", cosine.copy())):
            value[np.arange(len(block)), np.arange(block.start, block.stop)] = -np.inf
            tables.append(_nearest(kind, value, block, count))
        hint[chosen], by[chosen] = absorption(
            counts.missed, counts.misses, counts.hit, counts.hits, np.where(cosine < 1, cosine, 0)
        )
        advance(len(block))
    table = pd.concat(tables, ignore_index=True)
    return table.sort_values(["feature", "kind", "rank"], ignore_index=True), hint, by


def _nearest(kind: str, value: Floats, block: range, count: int) -> pd.DataFrame:
    """The ``count`` largest above 0 in each row."""
    count = min(count, value.shape[1] - 1)
    place = np.argsort(-value, axis=1, kind="stable")[:, :count]
    found = np.take_along_axis(value, place, axis=1)
    table = pd.DataFrame(
        {
            "feature": np.repeat(np.arange(block.start, block.stop), count),
            "kind": kind,
            "rank": np.tile(np.arange(1, count + 1), len(block)),
            "neighbour": place.ravel(),
            "value": found.ravel(),
        }
    )
    return table[table["value"] > 0]
