"""What a correction is given, and what it gives back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from causal_sae import flags
from causal_sae.estimation.sample import Mask, Sample, Vector

if TYPE_CHECKING:
    from causal_sae.spec import Multiplicity, Trial

Labels: TypeAlias = NDArray[np.str_]

SAMPLE = "_sample"
"""The hidden column of the table of effects that holds the units behind each row."""


@dataclass(frozen=True)
class Adjusted:
    """The tests of one family after correction."""

    p_values: Vector
    """[tests] NaN where there is no test."""
    intervals: tuple[Vector, Vector] | None = None
    """[tests] simultaneous limits, NaN where the row keeps its own; None: all rows do."""
    correction: str | None = None
    """What was done, where it is not what was declared."""


@dataclass(frozen=True)
class Family:
    """The tests that are corrected together, in the order of the trial."""

    rows: pd.DataFrame
    """Their rows of the table of effects; ``p_value`` may be NaN. Corrections that need more than
    p-values find the units in the column :data:`SAMPLE`."""
    multiplicity: Multiplicity
    """The declaration."""
    alpha: float
    """The family's error rate."""
    trial: Trial | None = None
    """The trial, for corrections that need its design; None where there are only p-values."""
    values: pd.DataFrame | None = None
    """As :func:`causal_sae.estimation.contrasts.unit_values` returns them."""

    @property
    def p_values(self) -> Vector:
        """[tests] the p-values before correction; a new array each time."""
        found: Vector = self.rows["p_value"].to_numpy(dtype=np.float64, copy=True)
        return found

    @property
    def present(self) -> Mask:
        """[tests] which tests exist."""
        mask: Mask = ~np.isnan(self.p_values)
        return mask

    def labels(self, sample: Sample, column: Literal["block", "cluster"]) -> Labels | None:
        """[n] the block or cluster of a sample's rows, named as in the observations.

        The codes in a sample are its own, and differ between the samples of a family.
        """
        absent = (sample.block if column == "block" else sample.cluster) is None
        if absent or self.values is None:
            return None
        named = self.values.drop_duplicates("unit_id").set_index("unit_id")[column]
        found: Labels = named.reindex(pd.Index(sample.unit)).to_numpy(str)
        return found

    @property
    def against_margins(self) -> bool:
        """Whether some test is against a margin, and so not two-sided."""
        return any("margin_test" in flags.split(cell) for cell in self.rows["flags"])


@dataclass(frozen=True)
class Correction:
    """A way to correct a family, and the trials that it fits."""

    adjust: Callable[[Family], Adjusted]
    """A family in, its adjusted p-values (and intervals) out."""
    check: Callable[[Trial, str], None] | None = None
    """Raises SpecError for a trial and an estimator that it does not fit; None: it fits all."""
    needs_units: bool = False
    """Whether p-values alone are not enough."""
