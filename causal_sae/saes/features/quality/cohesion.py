"""Whether a feature's strongest contexts are alike."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def cohesion(contexts: Floats, owner: NDArray[np.int64], features: int, random: Floats) -> Floats:
    """How much more alike a feature's top contexts are than contexts drawn from anywhere.

    The mean cosine between all pairs of its contexts, minus the same among random contexts: 0 for
    a feature whose contexts have nothing in common, at most 1 plus a little.

    Parameters
    ----------
    contexts:
        ``[n, d]``: a vector for each context, centred on the corpus.
    owner:
        ``[n]``: the feature that it is a context of.
    features:
        How many features there are.
    random:
        ``[m, d]``: vectors of contexts drawn from the same corpus, two or more.

    Returns
    -------
    ``[features]``; NaN for those with fewer than two contexts.
    """
    sums = np.zeros((features, contexts.shape[1]))
    np.add.at(sums, owner, unit(contexts))
    count = np.bincount(owner, minlength=features).astype(np.float64)
    return _pairs(sums, count) - _pairs(unit(random).sum(axis=0)[None], np.array([len(random)]))


def unit(vectors: Floats) -> Floats:
    """The vectors with length 1; those of length 0 stay."""
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    scaled: Floats = vectors / np.where(norms > 0, norms, 1.0)
    return scaled


def _pairs(sums: Floats, count: NDArray[np.floating]) -> Floats:
    """The mean cosine over pairs: ``(|s|^2 - k) / (k (k - 1))`` of k unit vectors of the sum s."""
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = ((sums**2).sum(axis=1) - count) / (count * (count - 1))
    return np.where(count >= 2, mean, np.nan)
