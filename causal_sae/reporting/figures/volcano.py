"""A screen at one look: how large each feature's effect is, and how sure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from causal_sae.reporting.figures.canvas import BLUE, MUTED, VERMILION, canvas, settled, style

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

NAMED = 8
"""Features that are labelled: the surest."""
LEAST = 1e-16


def volcano(table: pd.DataFrame, outcome: str) -> Figure:
    """Minus the logarithm of p against the effect where the feature fires, one point a feature.

    Parameters
    ----------
    table:
        :data:`causal_sae.tables.SCREEN`.
    outcome:
        Which.
    """
    own = table[(table["outcome"] == outcome) & table["p_value"].notna()]
    effect = own["effect_exposed"].to_numpy(np.float64)
    height = -np.log10(np.maximum(own["p_value"].to_numpy(np.float64), LEAST))
    hit = own["reject"].fillna(False).to_numpy(bool)
    size = 6 + 60 * np.sqrt(own["density"].to_numpy(np.float64))
    with style():
        figure = canvas(4.2)
        axes = figure.axes[0]
        for chosen, colour, alpha in (
            (~hit, MUTED, 0.45),
            (hit & (effect > 0), BLUE, 0.8),
            (hit & (effect < 0), VERMILION, 0.8),
        ):
            axes.scatter(
                effect[chosen],
                height[chosen],
                s=size[chosen],
                color=colour,
                alpha=alpha,
                linewidth=0,
            )
        if hit.any():
            axes.axhline(height[hit].min(), color=MUTED, linewidth=0.7, linestyle=(0, (2, 3)))
        axes.axvline(0, color=MUTED, linewidth=0.7)
        names = own["feature"].to_numpy()
        for place in np.argsort(-height, kind="stable")[:NAMED]:
            if hit[place]:
                right = effect[place] < 0
                axes.annotate(
                    str(names[place]),
                    (effect[place], height[place]),
                    xytext=(4 if right else -4, 3),
                    textcoords="offset points",
                    ha="left" if right else "right",
                    fontsize=7.5,
                )
        axes.set_xlabel(f"Effect of ablation on {outcome} where the feature fires")
        axes.set_ylabel("-log10 p")
        axes.set_title(
            f"{int(hit.sum())} of {len(own):,} tested features rejected; points by how often they "
            "fire",
            loc="left",
        )
        return settled(figure)
