"""The picture of the ratios: time over the bare forward's, by number of arms."""

from __future__ import annotations

from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes

from benchmarks.executor.measure import summary
from benchmarks.executor.ways import WAYS

COLOURS = (
    "#b2182b",
    "#ef8a62",
    "#333333",
    "#999999",
    "#1b7837",
    "#7fbf7b",
    "#2166ac",
    "#67a9cf",
    "#8073ac",
)
OTHERS = ("#e08214", "#c51b7d", "#8c510a")
PANELS = {
    "All tokens edited, early layer": ("early", False),
    "middle layer": ("middle", False),
    "late layer": ("late", False),
    "Last token edited, middle layer": ("middle", True),
}


def draw(table: pd.DataFrame, path: Path) -> None:
    """Write the figure of the table of :func:`benchmarks.executor.measure.measured`."""
    figure, axes = plt.subplots(1, len(PANELS), figsize=(13, 4.2), sharey=True)
    for axis, (title, (place, last)) in zip(axes, PANELS.items(), strict=True):
        chosen = table[(table["place"] == place) & (table["last"] == last)]
        _panel(axis, summary(chosen), chosen)
        axis.set_title(title, fontsize=10, loc="left")
    axes[0].set_ylabel("time / bare forward of the same rows")
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="lower center", ncol=4, frameon=False, fontsize=9)
    figure.tight_layout(rect=(0, 0.13, 1, 1))
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110, metadata={"Software": None})
    plt.close(figure)


def _panel(axis: Axes, medians: pd.DataFrame, table: pd.DataFrame) -> None:
    others = [name for name in medians["way"].unique() if name not in WAYS]
    for colour, name in zip((*COLOURS, *OTHERS), (*WAYS, *others), strict=False):
        own = medians[medians["way"] == name].sort_values("arms")
        weight = 2.4 if name == "causal-sae" else 1.2
        axis.plot(own["arms"], own["of_bare"], "o-", color=colour, lw=weight, ms=4, label=name)
    floor = table.drop_duplicates("arms").sort_values("arms")
    share = floor["floor"] / floor["bare"]
    dotted = {"lw": 1.2, "marker": "_", "ms": 12, "label": "arithmetic floor"}
    axis.plot(floor["arms"], share, "k:", **dotted)
    axis.set_xscale("log", base=2)
    axis.set_yscale("log", base=2)
    axis.set_xlim(0.8, 42)
    axis.set_xticks([1, 2, 8, 32], ["1", "2", "8", "32"])
    axis.set_yticks([0.125, 0.25, 0.5, 1, 2], ["1/8", "1/4", "1/2", "1", "2"])
    axis.set_xlabel("arms of each prompt")
    axis.grid(alpha=0.25, lw=0.5)
    axis.spines[["top", "right"]].set_visible(False)
