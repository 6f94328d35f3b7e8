"""The looks of a trial: the statistic's way, and the boundaries that it was held against."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from causal_sae.reporting import numbers
from causal_sae.reporting.figures.canvas import (
    BLUE,
    INK,
    MUTED,
    RULE,
    VERMILION,
    canvas,
    settled,
    style,
)

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from causal_sae.reporting.record import TrialRecord

TALLEST = 5.5
"""Statistics and boundaries further out are drawn at the edge."""


def looks(record: TrialRecord) -> Figure | None:
    """One panel for each primary contrast; None for a trial without looks."""
    table = record.companions.get("looks")
    if table is None or table.empty:
        return None
    groups = list(table.groupby(["outcome", "treatment", "reference"], sort=False))
    with style():
        figure = canvas(2.5 * len(groups) + 0.2, len(groups))
        for axes, ((outcome, treatment, reference), rows) in zip(figure.axes, groups, strict=True):
            _panel(axes, rows)
            axes.set_title(f"{outcome}: {treatment} {numbers.MINUS} {reference}", loc="left")
        figure.axes[-1].set_xlabel("share of the planned information")
        return settled(figure)


def _panel(axes: Axes, rows: pd.DataFrame) -> None:
    time = rows["information"].to_numpy(np.float64)
    axes.axhline(0, color=RULE, linewidth=0.8)
    for column, side in (("upper", 1), ("lower", -1)):
        bound = rows[column].to_numpy(np.float64)
        shown = np.clip(bound, -TALLEST, TALLEST)
        label = "boundary" if side > 0 else None
        axes.plot(
            time,
            shown,
            "-",
            color=VERMILION,
            linewidth=1.2,
            marker="_",
            markersize=12,
            label=label,
            gid=f"boundary-{column}",
        )
    _futility(axes, rows, time)
    z = np.clip(rows["statistic"].to_numpy(np.float64), -TALLEST, TALLEST)
    decided = rows["decision"].isin(["reject", "futile", "not rejected"]).to_numpy(bool)
    axes.plot(time, z, "-o", color=BLUE, linewidth=1.4, markersize=4.5, label="statistic")
    axes.plot(
        time[decided],
        z[decided],
        "o",
        color=BLUE,
        markersize=9,
        markeredgecolor=INK,
        markeredgewidth=1.0,
        label="decided",
        gid="decided",
    )
    axes.set_xlim(0, max(1.0, float(time.max())) * 1.03)
    tallest = np.nanmax(np.abs([z, *(rows[c].clip(-TALLEST, TALLEST) for c in ("lower", "upper"))]))
    axes.set_ylim(-1.15 * max(tallest, 2.2), 1.15 * max(tallest, 2.2))
    axes.set_ylabel("z")
    axes.tick_params(axis="y", length=3)
    axes.legend(frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize=8.5)


def _futility(axes: Axes, rows: pd.DataFrame, time: np.ndarray) -> None:
    """Bars where a statistic would have ended the trial for futility."""
    ends = rows[["futile_from", "futile_to"]].to_numpy(np.float64)
    known = ~np.isnan(ends).all(axis=1)
    if not known.any():
        return
    low = np.nan_to_num(ends[known, 0], nan=-TALLEST)
    high = np.nan_to_num(ends[known, 1], nan=TALLEST)
    axes.vlines(
        time[known], low, high, color=MUTED, linewidth=6, alpha=0.35, label="futile", zorder=0
    )
