"""What one reading of a corpus's parts adds up to, for all features at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse

from causal_sae.saes.features.examples import Examples, Wanted
from causal_sae.saes.features.parts import Part
from causal_sae.saes.features.statistics import FeatureStatistics

Floats = NDArray[np.float64]
Advance = Callable[[int], None]
"""Called with the number of parts done."""


@dataclass(frozen=True, eq=False)
class Tally:
    """Sums over a corpus. ``F`` features, ``V`` tokens of the vocabulary."""

    statistics: FeatureStatistics
    contexts: int
    """Sequences with a position that counts."""
    mass: Floats
    """``[F]``: each feature's activation, summed."""
    log_mass: Floats
    """``[F]``: the sum over sequences of ``m log m``, m being the activation in the sequence."""
    fires: Any
    """Sparse ``[F, V]``: how often each feature fired on each token."""
    weight: Any
    """Sparse ``[F, V]``: its summed activation on each token."""
    occurs: NDArray[np.int64]
    """``[V]``: how often each token occurred at positions that count."""


def tally(parts: Iterable[Part], d_sae: int, vocabulary: int, advance: Advance) -> Tally:
    """Read every part once.

    Parameters
    ----------
    parts:
        The parts.
    d_sae, vocabulary:
        The numbers of features and tokens.
    advance:
        Called after each part.
    """
    statistics, contexts = FeatureStatistics.empty(d_sae), 0
    mass, log_mass = np.zeros(d_sae), np.zeros(d_sae)
    shape = (d_sae, vocabulary)
    empty: Any = sparse.csr_matrix
    fires, weight = (empty(shape, dtype=t) for t in (np.int32, np.float32))
    occurs = np.zeros(vocabulary, np.int64)
    for part in parts:
        features, values = part.features, part.value.astype(np.float64)
        statistics.count(part.positions, torch.from_numpy(features), torch.from_numpy(values))
        sequence = part.sequence
        contexts += len(np.unique(sequence[part.counted]))
        own, inside = _by_sequence(features, sequence[part.row], values)
        mass += np.bincount(own, inside, minlength=d_sae)
        log_mass += np.bincount(own, inside * np.log(inside), minlength=d_sae)
        token = part.tokens[part.row]
        ones = np.ones(len(token), np.int32)
        fires = fires + sparse.csr_matrix((ones, (features, token)), shape=shape)
        weight = weight + sparse.csr_matrix((part.value, (features, token)), shape=shape)
        occurs += np.bincount(part.tokens[part.counted], minlength=vocabulary)
        advance(1)
    return Tally(statistics, contexts, mass, log_mass, fires, weight, occurs)


def _by_sequence(
    features: NDArray[np.int64], sequence: NDArray[np.int64], values: Floats
) -> tuple[NDArray[np.int64], Floats]:
    """Each pair of feature and sequence with its summed activation."""
    width = int(sequence.max(initial=0)) + 1
    keys, place = np.unique(features * width + sequence, return_inverse=True)
    return keys // width, np.bincount(place, values, minlength=len(keys)).astype(np.float64)


def second_look(
    parts: Iterable[Part], tallied: Tally, wanted: Wanted, advance: Advance
) -> tuple[Examples, Floats]:
    """What needs the quantiles of the first reading: examples by range, and powers of activations.

    Returns
    -------
    The examples, and ``[4, F]`` the sums of the active values to the first four powers, in units
    of each feature's mean.
    """
    statistics = tallied.statistics
    edges = np.stack([statistics.quantile(0.5), statistics.quantile(0.9)], axis=1)
    examples = Examples(edges, wanted)
    count = statistics.active.numpy()
    scale = statistics.total.numpy() / np.maximum(count, 1)
    powers = np.zeros((4, len(count)))
    for number, part in enumerate(parts):
        examples.update(number, part)
        features = part.features
        scaled = part.value / np.where(scale > 0, scale, 1.0)[features]
        for power in range(4):
            raised = scaled ** (power + 1)
            powers[power] += np.bincount(features, raised, minlength=len(count))
        advance(1)
    return examples, powers
