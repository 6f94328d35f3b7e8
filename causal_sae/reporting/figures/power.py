"""The power curve: power against the number of units, with the planned trial marked."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from causal_sae.reporting import numbers
from causal_sae.reporting.figures.canvas import (
    BLUE,
    GREEN,
    INK,
    MUTED,
    PURPLE,
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

COLOURS = (BLUE, VERMILION, GREEN, PURPLE, MUTED)
DASHES = ("-", "--", "-.", ":")
SAME = 1e-9
LEFT = 0.2
"""Left of this part of the axis a label stands to the right of its line."""


def power_curve(curve: pd.DataFrame, table: pd.DataFrame, units: int, target: float) -> Figure:
    """Power over the number of units, one panel per outcome.

    Parameters
    ----------
    curve:
        :data:`causal_sae.plan_tables.POWER_CURVE`.
    table:
        :data:`causal_sae.plan_tables.POWER`: the simulated powers at the planned size.
    units:
        The planned size.
    target:
        The power that is wanted.

    Notes
    -----
    Contrasts with the same curve share a line. Dots: the planned size, by formula; dashes: as
    simulated.
    """
    outcomes = list(dict.fromkeys(curve["outcome"].astype(str)))
    with style():
        figure = canvas(2.9 * len(outcomes) + 0.2, len(outcomes))
        for axes, outcome in zip(figure.axes, outcomes, strict=True):
            _panel(
                axes,
                curve[curve["outcome"] == outcome],
                table[table["outcome"] == outcome],
                units,
                target,
            )
            axes.set_title(outcome, loc="left", color=INK)
        figure.axes[-1].set_xlabel("units in all")
        return settled(figure)


def _panel(axes: Axes, curve: pd.DataFrame, table: pd.DataFrame, units: int, target: float) -> None:
    axes.axhline(target, color=MUTED, linewidth=0.8, linestyle=(0, (3, 3)), gid="target")
    axes.axvline(units, color=RULE, linewidth=0.9, gid="planned")
    for i, (labels, size, power) in enumerate(_lines(curve)):
        colour = COLOURS[i % len(COLOURS)]
        dash = DASHES[i // len(COLOURS) % len(DASHES)]
        axes.plot(size, power, dash, color=colour, linewidth=1.6, label=",\n".join(labels))
        at = float(np.interp(units, size, power))
        axes.plot([units], [at], "o", color=colour, markersize=6.5, zorder=4, gid="planned-power")
        for row in _simulated(table, labels):
            axes.plot([units, units], row[1:], color=colour, linewidth=3.0, alpha=0.35, zorder=3)
            axes.plot([units], row[:1], "_", color=INK, markersize=9, zorder=5, gid="simulated")
    axes.set_ylim(0, 1.03)
    axes.set_xlim(0, float(curve["units"].max()))
    axes.set_ylabel("power")
    axes.tick_params(axis="y", length=3)
    axes.annotate(
        f"target {target:g}",
        (0, target),
        xytext=(4, 3),
        textcoords="offset points",
        color=MUTED,
        fontsize=8,
    )
    left = units < LEFT * float(curve["units"].max())
    axes.annotate(
        f"planned: {units:,}",
        (units, 0),
        xytext=(4 if left else -4, 4),
        textcoords="offset points",
        ha="left" if left else "right",
        color=MUTED,
        fontsize=8,
    )
    if table["method"].eq("simulation").any():
        axes.plot([], [], "_", color=INK, markersize=9, label="simulated, with its 95% interval")
    axes.legend(frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize=8.5)


def _lines(curve: pd.DataFrame) -> list[tuple[list[str], np.ndarray, np.ndarray]]:
    """The distinct curves, each with the contrasts that have it."""
    found: list[tuple[list[str], np.ndarray, np.ndarray]] = []
    for (treatment, reference), rows in curve.groupby(["treatment", "reference"], sort=False):
        label = f"{treatment} {numbers.MINUS} {reference}"
        size = rows["units"].to_numpy(np.float64)
        power = rows["power"].to_numpy(np.float64)
        for labels, _, other in found:
            if len(other) == len(power) and np.allclose(other, power, atol=SAME):
                labels.append(label)
                break
        else:
            found.append(([label], size, power))
    return found


def _simulated(table: pd.DataFrame, labels: list[str]) -> list[list[float]]:
    """The simulated power of each of these contrasts, and its limits."""
    rows = table[(table["method"] == "simulation") & table["power"].notna()]
    names = rows["treatment"] + f" {numbers.MINUS} " + rows["reference"]
    kept = rows[names.isin(labels)]
    values = kept[["power", "power_low", "power_high"]].to_numpy(np.float64)
    return [list(map(float, row)) for row in values]
