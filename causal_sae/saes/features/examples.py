"""Where a feature fires: its strongest contexts, and some from each range of its activations.

The strongest alone mislead: a feature that is clean at its top may fire on anything below (Bills
et al. 2023; Bricken et al. 2023 sample by intervals too).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from causal_sae.saes.features.parts import Part

RANGES = {"q90-max": (0.9, 1.0), "q50-q90": (0.5, 0.9), "min-q50": (0.0, 0.5)}
"""Ranges of a feature's own active values, by quantiles."""
BINS = ("top", *RANGES)
"""The bins in which examples are kept."""


@dataclass(frozen=True)
class Wanted:
    """How many examples of each feature are kept."""

    top: int = 12
    others: int = 4

    def of(self, bins: NDArray[np.int64]) -> NDArray[np.int64]:
        """How many each of these bins keeps."""
        return np.where(bins == 0, self.top, self.others)


class Examples:
    """The best examples seen so far, at most one of a sequence in each bin.

    Parameters
    ----------
    edges:
        ``[F, 2]``: each feature's median and 90th percentile where active.
    wanted:
        How many are kept.
    """

    COLUMNS = ("feature", "bin", "priority", "value", "part", "row", "sequence")

    def __init__(self, edges: NDArray[np.float64], wanted: Wanted) -> None:
        self.edges, self.wanted = edges, wanted
        self.kept = {name: np.empty(0, np.float64) for name in self.COLUMNS}
        self.sequences = 0

    def update(self, number: int, part: Part) -> None:
        """Look at a part, the ``number``-th of the pass.

        The top keeps the largest activations; the ranges keep those whose place has the largest
        hash, which is as good as a draw and does not depend on how a corpus is divided.
        """
        feature, value = part.features, part.value.astype(np.float64)
        edges = np.nan_to_num(self.edges)[feature]
        ranged = np.where(value > edges[:, 1], 1, np.where(value > edges[:, 0], 2, 3))
        sequence = part.sequence[part.row]
        place = _hash(self.sequences + sequence, part.row - part.starts[sequence], feature)
        self.sequences += len(part.starts) - 1
        one = {
            "feature": feature,
            "value": value,
            "part": np.full(len(feature), number),
            "row": part.row,
            "sequence": sequence,
        }
        for bins, priority in ((np.zeros_like(ranged), value), (ranged, place)):
            self._take(one | {"bin": bins, "priority": priority})

    def _take(self, new: dict[str, NDArray[np.generic]]) -> None:
        """Merge, and keep the best of each feature and bin."""
        first = _first_of(new, ("feature", "bin", "sequence"))
        best = {name: column[first].astype(np.float64) for name, column in new.items()}
        both = {name: np.concatenate([self.kept[name], best[name]]) for name in self.COLUMNS}
        order = np.lexsort((-both["priority"], both["bin"], both["feature"]))
        rank = _rank(both["feature"][order], both["bin"][order])
        chosen = order[rank < self.wanted.of(both["bin"][order].astype(np.int64))]
        self.kept = {name: column[chosen] for name, column in both.items()}

    def table(self) -> pd.DataFrame:
        """feature, bin, rank (from 1, the strongest first), activation, part, row, by feature."""
        kept = self.kept
        order = np.lexsort((-kept["value"], kept["bin"], kept["feature"]))
        column = {name: values[order] for name, values in kept.items()}
        return pd.DataFrame(
            {
                "feature": column["feature"].astype(np.int64),
                "bin": np.array(BINS, dtype=object)[column["bin"].astype(np.int64)],
                "rank": _rank(column["feature"], column["bin"]) + 1,
                "activation": column["value"],
                "part": column["part"].astype(np.int64),
                "row": column["row"].astype(np.int64),
            }
        )


def _first_of(columns: dict[str, NDArray[np.generic]], keys: tuple[str, ...]) -> NDArray[np.int64]:
    """The entry of the highest priority for each combination of the keys."""
    order = np.lexsort((-columns["priority"].astype(np.float64), *(columns[k] for k in keys[::-1])))
    if not len(order):
        return order
    new = np.zeros(len(order), np.bool_)
    new[0] = True
    for key in keys:
        new[1:] |= columns[key][order][1:] != columns[key][order][:-1]
    return order[new]


def _rank(*keys: NDArray[np.generic]) -> NDArray[np.int64]:
    """The place of each entry within its run of equal keys."""
    size = len(keys[0])
    if not size:
        return np.empty(0, np.int64)
    new = np.ones(size, np.bool_)
    new[1:] = np.any([key[1:] != key[:-1] for key in keys], axis=0)
    begin = np.flatnonzero(new)
    return np.arange(size) - np.repeat(begin, np.diff([*begin, size]))


def _hash(*numbers: NDArray[np.integer]) -> NDArray[np.float64]:
    """A number in [0, 1) for each place (splitmix64, Steele et al. 2014)."""
    with np.errstate(over="ignore"):
        mixed = np.zeros(len(numbers[0]), np.uint64)
        for number in numbers:
            mixed += number.astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
            mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
            mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
            mixed ^= mixed >> np.uint64(31)
    return (mixed >> np.uint64(11)).astype(np.float64) / 2.0**53
