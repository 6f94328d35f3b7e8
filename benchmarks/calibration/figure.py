"""The picture of all rates: one dot for each, and the band in which a rate of 5% would fall."""

from __future__ import annotations

from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from benchmarks.calibration.measure import ALPHA
from benchmarks.calibration.verdicts import tolerance

COLOURS = {"holds": "#1b7837", "conservative": "#2166ac", "does not hold": "#b2182b", "": "#999999"}
COLUMNS: dict[str, tuple[str, ...]] = {
    "Units dealt one by one": ("plain",),
    "Blocks and clusters": ("blocked", "clustered", "blocked and clustered"),
    "Every unit in both arms": ("within-unit",),
}
"""Columns of the figure: estimators by structure. All other rows stand in one more column."""
OTHERS = "Guardrails, effect sizes, families"
TICKS = (0.0, 0.01, 0.05, 0.1, 0.2, 0.4)


def draw(table: pd.DataFrame, path: Path) -> None:
    """Write the figure.

    Parameters
    ----------
    table:
        As :func:`benchmarks.calibration.results.load` returns it.
    path:
        A png.
    """
    estimators = table["part"] == "estimator"
    columns = {
        title: table[estimators & table["structure"].isin(structures)]
        for title, structures in COLUMNS.items()
    }
    columns[OTHERS] = table[~estimators]
    longest = max(_height(column) for column in columns.values())
    figure, axes = plt.subplots(1, len(columns), figsize=(24, 1.3 + 0.168 * longest))
    for axis, (title, rows) in zip(axes, columns.items(), strict=True):
        _column(axis, rows, longest)
        axis.set_title(title, fontsize=11, loc="left", fontweight="bold")
    marks = [_mark("o", True), _mark("D", False)]
    texts = ["true hypotheses rejected", "intervals that leave out the truth"]
    for verdict, colour in list(COLOURS.items())[:3]:
        marks.append(plt.Line2D([], [], marker="s", color=colour, linestyle=""))
        texts.append(verdict)
    figure.legend(marks, texts, loc="upper center", ncol=5, frameon=False, fontsize=10)
    figure.tight_layout(rect=(0, 0, 1, 1 - 0.45 / (1.3 + 0.168 * longest)))
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=100, metadata={"Software": None})
    plt.close(figure)


def _mark(marker: str, filled: bool) -> plt.Line2D:
    face = "#444444" if filled else "none"
    return plt.Line2D(
        [], [], marker=marker, color="#444444", markerfacecolor=face, linestyle="", markersize=5
    )


def _sections(rows: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """The rows by what was measured, in the order of the table."""
    subject = np.where(rows["part"] == "estimator", rows["subject"], rows["part"])
    names = pd.Series(subject, index=rows.index)
    return [(name, rows[names == name]) for name in names.unique()]


def _height(rows: pd.DataFrame) -> float:
    return len(rows) + 1.3 * len(_sections(rows))


def _column(axis: Axes, rows: pd.DataFrame, longest: float) -> None:
    y, places, texts = 0.0, [], []
    for name, section in _sections(rows):
        axis.text(
            -0.01,
            y,
            name,
            transform=axis.get_yaxis_transform(),
            ha="right",
            va="center",
            fontsize=8,
            fontweight="bold",
        )
        for row in section.to_dict("records"):
            y += 1
            _row(axis, row, y)
            places.append(y)
            of = (
                row["world"]
                if row["part"] in {"estimator"}
                else f"{row['subject']}: {row['world']}"
            )
            texts.append(of)
        y += 1.3
    repetitions = int(rows["repetitions"].min()) if len(rows) else 2000
    reach = tolerance(ALPHA, repetitions)
    axis.axvspan(_x(ALPHA - reach), _x(ALPHA + reach), color="#000000", alpha=0.09, linewidth=0)
    axis.set_yticks(places, texts, fontsize=7)
    axis.set_xticks([_x(tick) for tick in TICKS], [f"{tick:.0%}" for tick in TICKS], fontsize=8)
    axis.xaxis.set_ticks_position("both")
    axis.tick_params(labeltop=True, length=2)
    axis.set_xlim(-0.02, _x(0.45))
    axis.set_ylim(longest, -1)
    axis.grid(axis="y", color="#eeeeee", linewidth=0.6)
    for side in ("top", "right", "left"):
        axis.spines[side].set_visible(False)


def _x(rate: float) -> float:
    """Rates are drawn on a square-root scale, on which their errors are about equal."""
    return float(np.sqrt(max(min(rate, 0.44), 0.0)))


def _row(axis: Axes, row: dict[str, object], y: float) -> None:
    for column, marker, filled in (("type_1", "o", True), ("non_coverage", "D", False)):
        value = float(str(row[column]))
        if np.isnan(value):
            continue
        colour = COLOURS[str(row[f"{column}_verdict"])]
        axis.plot(
            _x(value),
            y,
            marker=marker,
            markersize=4.5,
            color=colour,
            markerfacecolor=colour if filled else "none",
            markeredgewidth=1.0,
            clip_on=False,
        )
