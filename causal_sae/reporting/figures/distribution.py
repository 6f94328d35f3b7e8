"""Outcomes by arm, every prompt a dot."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from causal_sae.reporting import wording
from causal_sae.reporting.figures.canvas import INK, MUTED, PART_COLOURS, canvas, settled, style
from causal_sae.reporting.record import usable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from causal_sae.reporting.record import TrialRecord
    from causal_sae.spec import Trial

MOST_POINTS = 240
"""Points drawn per arm; more are thinned evenly along their sorted values."""


def unit_means(observations: pd.DataFrame) -> pd.DataFrame:
    """One value per unit, arm and outcome: draws and samples of a unit averaged."""
    measured = observations.loc[usable(observations)]
    keys = ["outcome", "arm", "unit_id"]
    return measured.groupby(keys, sort=False, observed=True)["value"].mean().reset_index()


def distributions(record: TrialRecord) -> Figure | None:
    """Every unit and a box per arm; within-unit designs show differences from the reference."""
    values = unit_means(record.observations)
    trial = record.trial
    outcomes = [o.name for o in trial.outcomes if (values["outcome"] == o.name).any()]
    if not outcomes:
        return None
    groups = [_by_arm(values.loc[values["outcome"] == name], trial) for name in outcomes]
    heights = [len(group) + 1.8 for group in groups]
    with style():
        figure = canvas(0.32 * sum(heights) + 0.2, len(groups), heights)
        for axes, name, group in zip(figure.axes, outcomes, groups, strict=True):
            _distribution_panel(axes, name, group, trial)
        return settled(figure)


def _by_arm(values: pd.DataFrame, trial: Trial) -> dict[str, NDArray[np.float64]]:
    wide = values.pivot(index="unit_id", columns="arm", values="value")
    names = [arm.name for arm in trial.arms if arm.name in wide]
    if trial.within_unit and trial.reference in wide:
        wide = wide.sub(wide[trial.reference], axis=0)
        names = [name for name in names if name != trial.reference]
    return {name: wide[name].dropna().to_numpy(dtype="float64") for name in names}


def _distribution_panel(
    axes: Axes, outcome: str, groups: dict[str, NDArray[np.float64]], trial: Trial
) -> None:
    # Not seaborn's boxplot: it still passes `vert`, which matplotlib 3.11 deprecates.
    axes.boxplot(
        list(groups.values()),
        positions=range(len(groups)),
        tick_labels=list(groups),
        orientation="horizontal",
        widths=0.5,
        showfliers=False,
        showcaps=False,
        boxprops={"color": INK, "linewidth": 0.9},
        whiskerprops={"color": INK, "linewidth": 0.9},
        medianprops={"color": INK, "linewidth": 1.8},
        zorder=3,
    )
    for place, (name, values) in enumerate(groups.items()):
        shown = thin(values)
        colour = PART_COLOURS[wording.part(trial.arm(name))]
        axes.scatter(
            shown, place + jitter(len(shown)), s=9, color=colour, alpha=0.35, linewidths=0, zorder=2
        )
    if trial.within_unit:
        axes.axvline(0, color=MUTED, linewidth=0.8, zorder=1)
    label = f"{outcome}, difference from {trial.reference}" if trial.within_unit else outcome
    axes.set_title(label, loc="left")
    axes.set_ylim(len(groups) - 0.4, -0.6)
    axes.spines["left"].set_visible(False)


def thin(values: NDArray[np.float64], most: int = MOST_POINTS) -> NDArray[np.float64]:
    """At most that many of the values, evenly along their order, both extremes among them."""
    if len(values) <= most:
        return values
    places = np.linspace(0, len(values) - 1, most).round().astype(int)
    return np.asarray(np.sort(values)[places], dtype=np.float64)


def jitter(count: int, half_width: float = 0.22) -> NDArray[np.float64]:
    """Offsets that fill a band evenly, the same each time: multiples of the golden ratio."""
    golden = (np.arange(count) * 0.6180339887498949) % 1.0
    return np.asarray((2 * golden - 1) * half_width, dtype=np.float64)
