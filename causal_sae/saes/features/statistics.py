"""How often and how strongly each feature fires, counted while text streams past.

Quantiles come from one histogram per feature with logarithmic bins of a fixed width, so that
parts of a corpus can be counted apart, in any order, and added up.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from causal_sae.errors import DataError
from causal_sae.tables import FEATURES

LOWEST, HIGHEST = 1e-5, 1e5
"""Activations outside are counted in the first and last bin; the extremes are kept exactly."""

WIDTH = 2 * np.log(1.01)
"""The width of a bin in natural log: its middle is within 1 % of every value in it."""

BINS = int(np.ceil(np.log(HIGHEST / LOWEST) / WIDTH))

DENSE_ABOVE = 0.1
"""A feature active at more than this share of positions is called dense."""

QUANTILES = {"q50": 0.5, "q90": 0.9, "q99": 0.99}


@dataclass(eq=False)
class FeatureStatistics:
    """Counts of one pass over text, for all features of an SAE.

    A feature is active where its activation is above 0. Feed only positions that count: leave out
    padding, the beginning-of-sequence token and attention sinks, or doses in quantiles will be
    theirs. Counts, extremes and quantiles do not depend on the order of the text at all; the mean
    does not beyond float64 rounding.

    Memory: about 4.6 kB for each feature.
    """

    positions: int
    """How many positions were counted."""
    active: Tensor
    """Positions at which each feature was active, int64 ``[d_sae]``."""
    total: Tensor
    """Sum of each feature's activations, float64 ``[d_sae]``."""
    largest: Tensor
    """Each feature's largest activation, float64 ``[d_sae]``, 0 before any."""
    smallest: Tensor
    """Each feature's smallest activation above 0, float64 ``[d_sae]``, infinite before any."""
    histogram: Tensor
    """Active positions by logarithmic bin, int32 ``[d_sae, BINS]``."""

    @classmethod
    def empty(cls, d_sae: int) -> FeatureStatistics:
        """Nothing counted yet, for an SAE of ``d_sae`` features."""
        return cls(
            positions=0,
            active=torch.zeros(d_sae, dtype=torch.int64),
            total=torch.zeros(d_sae, dtype=torch.float64),
            largest=torch.zeros(d_sae, dtype=torch.float64),
            smallest=torch.full((d_sae,), torch.inf, dtype=torch.float64),
            histogram=torch.zeros(d_sae, BINS, dtype=torch.int32),
        )

    def update(self, activations: Tensor) -> None:
        """Count a chunk of activations ``[n, d_sae]`` (any device and float dtype).

        Raises
        ------
        DataError
            When the width is not that of the SAE, or an activation is not a finite number.
        """
        if activations.ndim != 2 or activations.shape[1] != self.active.shape[0]:
            raise DataError(
                f"activations must have the shape [positions, {self.active.shape[0]}]; "
                f"got {list(activations.shape)}."
            )
        if not bool(torch.isfinite(activations).all()):
            raise DataError(
                "activations must be finite numbers; the model or the SAE gave NaN or infinity."
            )
        where = (activations > 0).nonzero(as_tuple=True)
        values = activations[where].to("cpu", torch.float64)
        self.count(activations.shape[0], where[1].cpu(), values)

    def count(self, positions: int, features: Tensor, values: Tensor) -> None:
        """Count what fired at a number of positions.

        Parameters
        ----------
        positions:
            How many positions were looked at.
        features, values:
            ``[m]`` int64 and float64: which feature fired, and how strongly, above 0.
        """
        self.positions += positions
        self.active += torch.bincount(features, minlength=self.active.shape[0])
        self.total.index_add_(0, features, values)
        self.largest.scatter_reduce_(0, features, values, "amax")
        self.smallest.scatter_reduce_(0, features, values, "amin")
        cells = features * BINS + _bin_of(values)
        ones = torch.ones_like(cells, dtype=torch.int32)
        self.histogram.view(-1).index_add_(0, cells, ones)

    def merge(self, other: FeatureStatistics) -> FeatureStatistics:
        """The statistics of both parts together."""
        return FeatureStatistics(
            positions=self.positions + other.positions,
            active=self.active + other.active,
            total=self.total + other.total,
            largest=torch.maximum(self.largest, other.largest),
            smallest=torch.minimum(self.smallest, other.smallest),
            histogram=self.histogram + other.histogram,
        )

    def quantile(self, share: float) -> NDArray[np.float64]:
        """The quantile of every feature's active values ``[d_sae]``, NaN where it never fired.

        The smallest value that at least ``share`` of the active values do not exceed, within 1 %
        for activations between 1e-5 and 1e5.
        """
        counts = self.active.numpy()
        rank = np.maximum(np.ceil(share * counts), 1)
        reached = self.histogram.numpy().cumsum(axis=1, dtype=np.int64) >= rank[:, None]
        middle = LOWEST * np.exp((reached.argmax(axis=1) + 0.5) * WIDTH)
        inside = np.clip(middle, self.smallest.numpy(), self.largest.numpy())
        return np.where(counts > 0, inside, np.nan)

    def table(self, decoder_norm: Tensor) -> pd.DataFrame:
        """The features table (``tables.FEATURES``), one row for each feature.

        Density is the share of positions at which the feature was active; ``mean_activation``,
        ``max_activation`` and the quantiles are over those positions, and missing for a dead
        feature (one that was never active). ``dense`` features are active at more than a tenth of
        positions. ``sharpness``, ``cohesion`` and ``top_tokens`` are left missing.

        Parameters
        ----------
        decoder_norm:
            ``SAE.decoder_norm``, ``[d_sae]``.

        Raises
        ------
        DataError
            When nothing was counted.
        """
        if self.positions == 0:
            raise DataError("feature statistics need at least one position of text; got none.")
        count = self.active.numpy()
        alive = count > 0
        density = count / self.positions
        columns = {
            "feature": np.arange(len(count)),
            "density": density,
            "mean_activation": np.where(alive, self.total.numpy() / np.maximum(count, 1), np.nan),
            "max_activation": np.where(alive, self.largest.numpy(), np.nan),
            **{name: self.quantile(share) for name, share in QUANTILES.items()},
            "decoder_norm": decoder_norm.detach().cpu().double().numpy(),
            "dead": ~alive,
            "dense": density > DENSE_ABOVE,
        }
        return FEATURES.conform(pd.DataFrame(columns))


def _bin_of(values: Tensor) -> Tensor:
    """The bin of every value, ``[n] float64 -> [n] int64``."""
    bins: Tensor = ((values / LOWEST).log() / WIDTH).floor().long().clamp(0, BINS - 1)
    return bins
