"""The tokens around a place in the corpus, with a feature's activation on each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from causal_sae.randomness import generator
from causal_sae.saes.features.parts import Part, Parts

BEFORE, AFTER = 24, 8
"""Tokens of context around a place."""
OFFSETS = np.arange(-BEFORE, AFTER + 1)


@dataclass(frozen=True, eq=False)
class Windows:
    """``n`` windows of ``w`` places each."""

    tokens: NDArray[np.int64]
    """``[n, w]`` token ids; -1 outside the sequence."""
    activation: NDArray[np.float64]
    """``[n, w]`` of the window's own feature."""
    position: NDArray[np.int64]
    """``[n]`` the place of the middle within its sequence."""
    document: NDArray[np.object_]
    """``[n]`` the document's name."""
    group: NDArray[np.object_]
    """``[n]`` its group."""


def windows(parts: Parts, chosen: pd.DataFrame, skip: int) -> Windows:
    """The windows around some places.

    Parameters
    ----------
    parts:
        The parts.
    chosen:
        ``part``, ``row`` and ``feature`` of each place.
    skip:
        How many tokens at the beginning of each sequence are not text.
    """
    size = len(chosen)
    tokens = np.full((size, len(OFFSETS)), -1, np.int64)
    activation = np.zeros((size, len(OFFSETS)))
    position = np.zeros(size, np.int64)
    document, group = np.empty(size, object), np.empty(size, object)
    which = chosen["part"].to_numpy()
    for number, part in enumerate(parts):
        mine = np.flatnonzero(which == number)
        if not len(mine):
            continue
        row = chosen["row"].to_numpy()[mine]
        feature = chosen["feature"].to_numpy()[mine]
        sequence = part.sequence[row]
        place = row[:, None] + OFFSETS
        low, high = part.starts[sequence] + skip, part.starts[sequence + 1]
        inside = (place >= low[:, None]) & (place < high[:, None])
        at = np.where(inside, place, row[:, None])
        tokens[mine] = np.where(inside, part.tokens[at], -1)
        activation[mine] = np.where(inside, _values(part, at, feature), 0.0)
        position[mine] = row - part.starts[sequence]
        sources = [part.sources[int(n)] for n in part.document[sequence]]
        document[mine] = [source.name for source in sources]
        group[mine] = [source.group for source in sources]
    return Windows(tokens, activation, position, document, group)


def _values(part: Part, at: NDArray[np.int64], feature: NDArray[np.int64]) -> NDArray[np.float64]:
    """The activation of each window's feature at its places."""
    shape = (len(part.tokens), len(part.indptr) - 1)
    matrix = sparse.csc_matrix((part.value, part.row, part.indptr), shape)
    column = np.broadcast_to(feature[:, None], at.shape)
    found = matrix[at.ravel(), column.ravel()]
    return np.asarray(found, dtype=np.float64).reshape(at.shape)


def random_places(parts: Parts, count: int, seed: int) -> pd.DataFrame:
    """About ``count`` places that count, drawn at random and as many from each part."""
    each = -(-count // len(parts))
    rows = []
    for number, part in enumerate(parts):
        rng = generator(seed, "random contexts", str(number))
        there = np.flatnonzero(part.counted)
        drawn = rng.choice(there, min(each, len(there)), replace=False)
        rows.append(pd.DataFrame({"part": number, "row": np.sort(drawn), "feature": 0}))
    return pd.concat(rows, ignore_index=True)


def context_vectors(
    tokens: NDArray[np.int64], embedding: NDArray[np.float32], weight: NDArray[np.float64]
) -> NDArray[np.float64]:
    """``[n, d]``: the mean of the tokens' embeddings in each window, rare tokens counting more.

    Parameters
    ----------
    tokens:
        ``[n, w]``, -1 outside.
    embedding:
        ``[V, d]``: the model's input embeddings.
    weight:
        ``[V]``: minus the logarithm of each token's share of the corpus, as in Arora et al. (2017).
    """
    known = np.where(tokens >= 0, tokens, 0)
    counts = np.where(tokens >= 0, weight[known], 0.0)
    rows = np.repeat(np.arange(len(tokens)), tokens.shape[1])
    bag = sparse.csr_matrix(
        (counts.ravel(), (rows, known.ravel())), shape=(len(tokens), len(embedding))
    )
    total = np.maximum(counts.sum(axis=1, keepdims=True), 1e-12)
    vectors: NDArray[np.float64] = (bag @ embedding.astype(np.float64)) / total
    return vectors
