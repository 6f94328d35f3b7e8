"""A ladder of doses: the concept on one axis, what it costs on the others."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from causal_sae.reporting.figures.canvas import (
    BLUE,
    GREEN,
    MUTED,
    VERMILION,
    canvas,
    settled,
    style,
)

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PANELS = (
    ("concept", "Concept\n(activation / q99)", BLUE),
    ("surprise", "Surprise\n(nats a token)", VERMILION),
    ("repetition", "Repeated\ntrigrams", MUTED),
)
"""Column of the sweep's table, its label, its colour."""


def sweep_figure(table: pd.DataFrame, recommended: str | None, title: str) -> Figure:
    """The figure of a sweep.

    Parameters
    ----------
    table:
        :attr:`causal_sae.steering.sweep.Sweep.table`.
    recommended:
        The dose that is marked.
    title:
        What was swept.
    """
    panels = list(PANELS)
    if table["keywords"].notna().any():
        panels.insert(1, ("keywords", "Texts with\na keyword", GREEN))
    with style():
        figure = canvas(1.35 * len(panels) + 0.6, len(panels))
        axes: list[Axes] = list(figure.axes)
        for ax, (column, label, colour) in zip(axes, panels, strict=True):
            _draw(ax, table, column, label, colour)
            _mark(ax, table, recommended)
        axes[0].set_title(title, loc="left")
        axes[-1].set_xticks(range(len(table)), list(table["text"]))
        axes[-1].set_xlabel("Dose")
        return settled(figure)


def _draw(ax: Axes, table: pd.DataFrame, column: str, label: str, colour: str) -> None:
    import seaborn as sns  # noqa: PLC0415 - half a second, for this figure

    x = np.arange(len(table))
    y = table[column].to_numpy(np.float64)
    error = table.get(f"{column}_se")
    if error is not None:
        reach = 2 * error.fillna(0).to_numpy(np.float64)
        ax.fill_between(x, y - reach, y + reach, color=colour, alpha=0.15, linewidth=0)
    sns.lineplot(x=x, y=y, ax=ax, color=colour, marker="o", markersize=5, linewidth=1.4)
    ax.axhline(y[0], color=MUTED, linewidth=0.7, linestyle=(0, (2, 3)))
    ax.set_ylabel(label)
    ax.set_xticks(x, [])
    if column in {"repetition", "keywords"}:
        ax.set_ylim(-0.05, 1.05)


def _mark(ax: Axes, table: pd.DataFrame, recommended: str | None) -> None:
    if recommended is not None:
        place = list(table["text"]).index(recommended)
        ax.axvspan(place - 0.25, place + 0.25, color=GREEN, alpha=0.12, linewidth=0)
