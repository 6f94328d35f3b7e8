"""A concept trial at one look: what ablation took and what amplification gave."""

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
    from matplotlib.figure import Figure

LOOKS = {
    "cannot tell": (MUTED, "o", 0.35, 16),
    "not upheld": (BLUE, "o", 0.7, 18),
    "harmful": (VERMILION, "^", 0.9, 28),
    "upheld": (GREEN, "D", 0.95, 32),
}
"""Colour, mark, opacity and size of each verdict; drawn in this order."""
TICKS = (-10.0, -1.0, -0.3, -0.1, 0.0, 0.1, 0.3, 1.0, 3.0, 10.0)
NAMED = 10
"""Upheld claims that are labelled: the surest."""


def claims_figure(verdicts: pd.DataFrame, least: float) -> Figure:
    """Effect of amplification against effect of ablation, one point a claim.

    Parameters
    ----------
    verdicts:
        :data:`causal_sae.spec.verdicts.VERDICTS`.
    least:
        The smallest effect that counts.
    """
    with style():
        figure = canvas(4.6)
        axes = figure.axes[0]
        for verdict, (colour, mark, alpha, size) in LOOKS.items():
            own = verdicts[verdicts["verdict"] == verdict]
            if own.empty:
                continue
            axes.scatter(
                own["ablation_estimate"],
                own["amplification_estimate"],
                s=size,
                marker=mark,
                color=colour,
                alpha=alpha,
                linewidth=0,
                label=f"{verdict} ({len(own)})",
            )
        upheld = verdicts[verdicts["verdict"] == "upheld"].nsmallest(NAMED, "p_upheld")
        for row in upheld.to_dict("records"):
            axes.annotate(
                f"{row['concept']} {row['feature']}",
                (row["ablation_estimate"], row["amplification_estimate"]),
                xytext=(5, 3),
                textcoords="offset points",
                fontsize=7.5,
            )
        for axis, scale in ((axes.xaxis, axes.set_xscale), (axes.yaxis, axes.set_yscale)):
            scale("symlog", linthresh=max(least, 1e-3))
            low, high = axis.get_view_interval()
            # Text stays text in these figures, so powers of ten are written out.
            shown = [tick for tick in TICKS if low <= tick <= high]
            axis.set_ticks(shown, [f"{tick:g}" for tick in shown], minor=False)
            axis.set_ticks([], minor=True)
        axes.axhline(least, color=MUTED, linewidth=0.7, linestyle=(0, (2, 3)))
        axes.axvline(-least, color=MUTED, linewidth=0.7, linestyle=(0, (2, 3)))
        axes.set_xlabel("Effect of ablation on the concept, nats")
        axes.set_ylabel("Effect of amplification, nats")
        known = int(np.isfinite(verdicts["ablation_estimate"].to_numpy(np.float64)).sum())
        axes.set_title(
            f"{len(verdicts):,} claims, {known:,} ablated; dotted: the least effect that counts",
            loc="left",
        )
        axes.legend(loc="lower left", fontsize=7.5, frameon=False)
        return settled(figure)
