"""The units of a trial as the schemes see them: sorted, with the labels of block and cluster."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd

    from causal_sae.spec.trial import Trial

Labels = NDArray[np.object_]
Rows = NDArray[np.intp]


@dataclass(frozen=True)
class Units:
    """Arrays of shape ``[units]``, in the order of the unit's name.

    Without blocks (clusters) every unit has the same block (the same cluster), named "".
    """

    names: Labels
    blocks: Labels
    clusters: Labels

    def __len__(self) -> int:
        return len(self.names)


def members(labels: Labels) -> dict[str, Rows]:
    """The rows of each label, labels in alphabetical order."""
    order = np.argsort(labels, kind="stable")
    names, starts = np.unique(labels[order], return_index=True)
    return dict(zip(names.tolist(), np.split(order, starts[1:]), strict=True))


def sorted_units(trial: Trial, frame: pd.DataFrame) -> Units:
    """The units of a checked table, whatever the order of its rows."""
    from causal_sae.spec.prompt_checks import block_label, cell_label  # noqa: PLC0415

    frame = frame.assign(unit_id=frame["unit_id"].astype(str)).sort_values("unit_id")
    block_by = getattr(trial.assignment, "block_by", None) or ()
    cluster_by = trial.assignment.cluster_by
    blocks = [block_label(row) for row in frame[list(block_by)].itertuples(index=False)]
    clusters = frame[cluster_by].map(cell_label) if cluster_by else [""] * len(frame)
    return Units(
        frame["unit_id"].to_numpy(dtype=object),
        np.array(blocks or [""] * len(frame), dtype=object),
        np.array(list(clusters), dtype=object),
    )
