"""The forest plot: estimates and intervals, one panel per outcome."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from causal_sae.reporting import numbers
from causal_sae.reporting.effect import Effect, read_effects
from causal_sae.reporting.figures.canvas import (
    MUTED,
    ROLE_COLOURS,
    VERMILION,
    canvas,
    settled,
    style,
)
from causal_sae.reporting.harm import signed_margins

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from causal_sae.spec import Trial

Margins: TypeAlias = "dict[str, tuple[float, ...]]"


def forest(effects: pd.DataFrame, margins: Margins | None = None) -> Figure:
    """Estimates and intervals, one panel per outcome because units differ.

    Parameters
    ----------
    effects:
        :data:`causal_sae.tables.EFFECTS`.
    margins:
        Outcome to its margins, signed as the estimate is: above zero where an increase harms,
        below where a decrease does, both where either.

    Notes
    -----
    Filled marks: rejected after adjustment; hollow: not. The dashed line is the margin.
    """
    rows = read_effects(effects)
    outcomes = list(dict.fromkeys(row.outcome for row in rows))
    groups = [[row for row in rows if row.outcome == outcome] for outcome in outcomes]
    heights = [len(group) + 1.0 for group in groups]
    levels = {row.conf_level for row in rows}
    with style():
        figure = canvas(0.30 * sum(heights) + 0.35 * len(groups), len(groups), heights)
        for axes, group in zip(figure.axes, groups, strict=True):
            _forest_panel(axes, group, (margins or {}).get(group[0].outcome, ()), len(levels) > 1)
        return settled(figure)


def _forest_panel(
    axes: Axes, rows: Sequence[Effect], margins: Sequence[float], tell_level: bool
) -> None:
    places = np.arange(len(rows))[::-1]
    colour = ROLE_COLOURS.get(rows[0].role, MUTED)
    axes.axvline(0, color=MUTED, linewidth=0.8, zorder=1, gid="no-difference")
    for margin in margins:
        axes.axvline(margin, color=VERMILION, linewidth=1, dashes=(4, 3), zorder=1, gid="margin")
    if margins:  # one label for both: the title stands where that of the lower one would
        both = "±" if len(margins) > 1 else ""
        axes.annotate(
            f"margin {both}{numbers.declared(margins[-1])}",
            (margins[-1], 1.0),
            xycoords=("data", "axes fraction"),
            xytext=(0, 2),
            textcoords="offset points",
            ha="center",
            fontsize=8,
            color=VERMILION,
        )
    for place, row in zip(places, rows, strict=True):
        if row.estimated or row.exact:
            _forest_mark(axes, float(place), row, colour)
        axes.annotate(
            row.with_interval if row.estimated or row.exact else "not estimated",
            (1.02, float(place)),
            xycoords=("axes fraction", "data"),
            va="center",
            fontsize=8.5,
            annotation_clip=False,
        )
    axes.set_yticks(places, [row.contrast for row in rows])
    axes.set_ylim(-0.6, len(rows) - 0.4)
    level = f", {numbers.level(rows[0].conf_level)} CI" if tell_level else ""
    axes.set_title(f"{rows[0].outcome}  ({rows[0].role}{level})", loc="left", color=colour)
    axes.spines["left"].set_visible(False)
    axes.locator_params(axis="x", nbins=6)


def _forest_mark(axes: Axes, place: float, row: Effect, colour: str) -> None:
    low, high = axes.get_xlim()
    bounds = [
        b if math.isfinite(b) else limit
        for b, limit in ((row.conf_low, low), (row.conf_high, high))
    ]
    axes.plot(bounds, [place, place], color=colour, linewidth=1.6, solid_capstyle="butt", zorder=2)
    axes.plot(
        [row.estimate],
        [place],
        marker="o",
        markersize=6.5,
        markerfacecolor=colour if row.reject or row.exact else "white",
        markeredgecolor=colour,
        markeredgewidth=1.5,
        linestyle="none",
        zorder=3,
        gid="rejected" if row.reject or row.exact else "not-rejected",
    )


def margins_of(trial: Trial) -> Margins:
    """The margins of each outcome that is held against one, on the axis of its estimate."""
    return {o.name: signed_margins(o) for o in trial.outcomes if o.margin is not None}
