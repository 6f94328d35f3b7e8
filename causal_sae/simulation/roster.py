"""The units of a planned trial: their names, blocks and clusters, at any size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from causal_sae.randomization.units import Units, sorted_units

if TYPE_CHECKING:
    import pandas as pd

    from causal_sae.estimation.sample import Mask
    from causal_sae.spec import Trial

Labels: TypeAlias = NDArray[np.str_]


@dataclass(frozen=True)
class Roster:
    """Arrays of shape ``[n]``, in the order of the units' names."""

    name: Labels
    block: Labels | None = None
    cluster: Labels | None = None
    exposed: Mask | None = None
    """Whether the feature fires, where units are drawn by that; else None."""

    def __len__(self) -> int:
        return len(self.name)

    @property
    def units(self) -> Units:
        """As the assignment schemes take them."""
        nothing = np.full(len(self), "", dtype=object)
        block = nothing if self.block is None else self.block.astype(object)
        cluster = nothing if self.cluster is None else self.cluster.astype(object)
        return Units(self.name.astype(object), block, cluster)

    @property
    def group(self) -> Labels | None:
        """What units share: their cluster, or else their block."""
        return self.block if self.cluster is None else self.cluster

    def resized(self, n: int) -> Roster:
        """A roster of about ``n`` units with the same blocks and clusters of the same sizes.

        Blocks keep their shares. Whole clusters are added or left out, so that with clusters the
        number is the nearest that these allow.
        """
        if n == len(self):
            return self
        if self.exposed is not None:
            plain = Roster(self.name, self.block, self.cluster).resized(n)
            count = round(len(plain) * float(self.exposed.mean()))
            return plain.enriched(max(count, 2))
        if self.cluster is not None:
            return self._with_clusters(n)
        if self.block is None:
            return Roster(names(n))
        chosen = np.sort(self.block)[spread(len(self), n)]
        return Roster(names(n), chosen)

    def enriched(self, exposed: int) -> Roster:
        """The same units, so many of them exposed, evenly spread."""
        n = len(self)
        count = np.arange(n + 1) * min(exposed, n) // n
        return Roster(self.name, self.block, self.cluster, np.diff(count) > 0)

    def _with_clusters(self, n: int) -> Roster:
        assert self.cluster is not None
        blocks = np.full(len(self), "") if self.block is None else self.block
        keys, sizes = np.unique(np.column_stack([blocks, self.cluster]), axis=0, return_counts=True)
        count = max(2, round(len(keys) * n / len(self)))
        chosen = spread(len(keys), count)
        copy = np.arange(count) - np.searchsorted(chosen, chosen)
        label = [
            f"{keys[i, 1]} #{c}" if c else keys[i, 1] for i, c in zip(chosen, copy, strict=True)
        ]
        cluster = np.repeat(np.array(label, dtype=np.str_), sizes[chosen])
        block = None if self.block is None else np.repeat(keys[chosen, 0], sizes[chosen])
        return Roster(names(len(cluster)), block, cluster)


def names(n: int) -> Labels:
    """[n] names whose alphabetical order is their order."""
    return np.array([f"unit {i:07d}" for i in range(n)], dtype=np.str_)


def spread(size: int, n: int) -> NDArray[np.int64]:
    """[n] indices below ``size``, as evenly spread as can be, in order."""
    spaced: NDArray[np.int64] = np.arange(n, dtype=np.int64) * size // n
    return spaced


def of_prompts(trial: Trial, prompts: pd.DataFrame) -> Roster:
    """The roster of a table of prompts, as :func:`causal_sae.spec.prompts.read_prompts` has it."""
    units = sorted_units(trial, prompts)
    return Roster(
        units.names.astype(np.str_),
        units.blocks.astype(np.str_) if any(units.blocks) else None,
        units.clusters.astype(np.str_) if any(units.clusters) else None,
    )
