"""Whether another SAE of the same activations has a feature too, in the same direction."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from causal_sae.saes.features.quality.cohesion import unit

Floats = NDArray[np.float64]
CHUNK = 512


def best_match(decoder: Floats, other: Floats) -> tuple[Floats, NDArray[np.int64]]:
    """For each feature the largest cosine with a decoder row of another SAE, and that row.

    The mean of it over features is the mean maximum cosine similarity (Sharkey et al. 2022).

    Parameters
    ----------
    decoder, other:
        ``[F, d]`` and ``[G, d]``: the decoders' rows.
    """
    ours, theirs = unit(decoder), unit(other)
    value, place = np.empty(len(ours)), np.empty(len(ours), np.int64)
    for start in range(0, len(ours), CHUNK):
        cosine = ours[start : start + CHUNK] @ theirs.T
        place[start : start + CHUNK] = cosine.argmax(axis=1)
        value[start : start + CHUNK] = cosine.max(axis=1)
    return value, place


def one_to_one(decoder: Floats, other: Floats) -> tuple[Floats, NDArray[np.int64]]:
    """The same where no two features may share a match: the assignment of the largest total.

    Paulo and Belrose (2025, arXiv:2501.16615) call a feature shared from a cosine of 0.7 on.

    Returns
    -------
    The cosines, NaN and -1 where the other SAE is smaller and has none left.
    """
    cosine = unit(decoder) @ unit(other).T
    row, column = linear_sum_assignment(cosine, maximize=True)
    value, place = np.full(len(decoder), np.nan), np.full(len(decoder), -1)
    value[row], place[row] = cosine[row, column], column
    return value, place
