"""The diagnosis as a picture: designs beside each other, one panel for each property."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from causal_sae.reporting import numbers
from causal_sae.reporting.figures.canvas import BLUE, MUTED, RULE, canvas, settled, style

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PANELS = {"power": "power", "coverage": "coverage", "rmse": "RMSE", "fwer": "FWER"}
"""Column -> the title of its panel."""
REACH = 1.96
"""Monte-Carlo standard errors on either side of a dot."""


def diagnosis_figure(table: pd.DataFrame) -> Figure | None:
    """Power, coverage, RMSE and family-wise error of every design, a row for each contrast.

    Parameters
    ----------
    table:
        :data:`causal_sae.plan_tables.DIAGNOSIS`.

    Notes
    -----
    Dots with 95% Monte-Carlo intervals; dashed: the nominal level of coverage and FWER. None
    where no contrast has an effect.
    """
    rows = table[table["power"].notna() & table["rmse"].notna()]
    contrasts = list(dict.fromkeys(_contrast(row) for row in rows.to_dict("records")))
    if not contrasts:
        return None
    groups = [rows[[_contrast(r) == name for r in rows.to_dict("records")]] for name in contrasts]
    heights = [len(group) + 1.2 for group in groups]
    with style():
        height = 0.3 * sum(heights) + 0.5 * len(groups) + 0.2
        figure = canvas(height, len(groups), heights, columns=len(PANELS), width=8.5)
        axes = np.array(figure.axes).reshape(len(groups), len(PANELS))
        for line, group, name in zip(axes, groups, contrasts, strict=True):
            for panel, column in zip(line, PANELS, strict=True):
                _panel(panel, group, column)
            line[0].set_yticks(_places(group), group["design"].astype(str))
            line[0].set_title(name, loc="left")
        for panel, title in zip(axes[-1], PANELS.values(), strict=True):
            panel.set_xlabel(title)
        return settled(figure)


def _contrast(row: Mapping[Any, Any]) -> str:
    return f"{row['outcome']}: {row['treatment']} {numbers.MINUS} {row['reference']}"


def _places(group: pd.DataFrame) -> np.ndarray:
    return np.arange(len(group))[::-1]


def _panel(axes: Axes, group: pd.DataFrame, column: str) -> None:
    if group[column].isna().all():
        axes.set_axis_off()
        return
    nominal = group["conf_level"].iloc[0]
    level = {"coverage": nominal, "fwer": 1 - nominal}.get(column)
    if level is not None:
        axes.axvline(level, color=MUTED, linewidth=0.9, linestyle=(0, (3, 3)), gid="nominal")
    value = group[column].to_numpy(np.float64)
    error = REACH * np.nan_to_num(group[f"{column}_mcse"].to_numpy(np.float64))
    place = _places(group)
    axes.hlines(place, value - error, value + error, color=BLUE, linewidth=1.6)
    axes.plot(value, place, "o", color=BLUE, markersize=6, gid=column)
    for at in place:
        axes.axhline(at, color=RULE, linewidth=0.5, zorder=0)
    axes.set_ylim(-0.6, len(group) - 0.4)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.set_xlim(
        *_limits(column, float(np.nanmin(value - error)), float(np.nanmax(value + error)))
    )
    axes.locator_params(axis="x", nbins=4)


def _limits(column: str, low: float, high: float) -> tuple[float, float]:
    """Where the axis ends: power from 0 to 1, the others around what there is."""
    if column == "power":
        return -0.03, 1.03
    if column == "coverage":
        return min(0.9, low - 0.01), 1.005
    return 0.0, max(1.15 * high, 0.1 if column == "fwer" else 0.0)
