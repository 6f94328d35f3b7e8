"""The declared doses: arms' means, the curve fitted through them, and the dose of half the effect.

Drawn where a trial declares a dose-response analysis. The axis is the dose as declared, because
that is what slope and ED50 are of.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from causal_sae.reporting import numbers, wording
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
from causal_sae.spec.doses import ladder
from causal_sae.spec.interventions import Add, Clamp, QuantileDose, Scale

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from causal_sae.reporting.record import TrialRecord
    from causal_sae.spec import Trial
    from causal_sae.spec.analysis import DoseResponse

Summary = tuple[float, float, float]
"""A mean and its interval."""
POINTS = 200


@dataclass(frozen=True)
class Panel:
    """One dose-response analysis of one outcome."""

    outcome: str
    doses: Mapping[str, float]
    """Arm -> declared dose, from the lowest to the highest."""
    rows: pd.DataFrame
    """Its rows of the table of dose-response analyses."""
    unit: str
    """What the doses are in."""

    def estimate(self, quantity: str) -> pd.Series | None:
        """The row of one quantity; None where it is not there."""
        found = self.rows.loc[self.rows["quantity"] == quantity]
        return None if found.empty else found.iloc[0]


def panels(record: TrialRecord) -> list[Panel]:
    """What is to be drawn: every analysis of every outcome that has rows."""
    table = record.companions.get("dose_response")
    if table is None or table.empty:
        return []
    found = []
    for entry in record.trial.analysis.dose_response:
        doses = ladder(record.trial, entry)
        of_entry = table.loc[table["arms"] == ", ".join(doses)]
        for outcome in record.trial.outcomes:
            rows = of_entry.loc[of_entry["outcome"] == outcome.name]
            if not rows.empty:
                unit = dose_unit(record.trial, entry)
                found.append(Panel(outcome.name, doses, rows, unit))
    return found


def dose_unit(trial: Trial, entry: DoseResponse) -> str:
    """What a dose of 1 is, in words."""
    edits = [trial.arm(arm).intervention for arm in entry.arms]
    edit = next((e for e in edits if isinstance(e, Scale | Clamp | Add)), None)
    if entry.doses is not None or edit is None:
        return "as declared"
    if isinstance(edit, Scale):
        return "factor minus 1"
    if isinstance(edit.dose, QuantileDose):
        quantile = wording.QUANTILES[edit.dose.of].replace("its", "the feature's", 1)
        return f"multiples of {quantile}"
    return "units of activation"


def dose_curves(found: Sequence[Panel], summaries: Sequence[Mapping[str, Summary]]) -> Figure:
    """Arms' means with intervals, and the fitted curve with its ED50.

    Parameters
    ----------
    found:
        The panels.
    summaries:
        For each panel the mean and interval of each arm.
    """
    with style():
        figure = canvas(2.5 * len(found) + 0.2, len(found))
        for axes, panel, means in zip(figure.axes, found, summaries, strict=True):
            _panel(axes, panel, means)
        return settled(figure)


def _panel(axes: Axes, panel: Panel, means: Mapping[str, Summary]) -> None:
    reference = next(iter(panel.doses))
    axes.axhline(means[reference][0], color=RULE, linewidth=0.9, zorder=1, gid="reference")
    _curve(axes, panel, means)
    for arm, dose in panel.doses.items():
        mean, low, high = means[arm]
        colour = MUTED if arm == reference else BLUE
        axes.plot([dose, dose], [low, high], color=colour, linewidth=1.6, zorder=3)
        axes.plot([dose], [mean], "o", color=colour, markersize=6, zorder=4, gid=f"dose-{arm}")
        axes.annotate(
            arm, (dose, mean), xytext=(6, 5), textcoords="offset points", fontsize=8.5, color=INK
        )
    axes.margins(x=0.06)
    axes.tick_params(axis="y", length=3)
    axes.set_ylabel(panel.outcome)
    axes.set_xlabel(f"dose, {panel.unit}")


def _curve(axes: Axes, panel: Panel, means: Mapping[str, Summary]) -> None:
    doses = np.linspace(*_ends(panel), POINTS)
    rows = [panel.estimate(name) for name in ("E0", "Emax", "ED50")]
    fitted = [float(row["estimate"]) if row is not None else math.nan for row in rows]
    if all(math.isfinite(value) for value in fitted):
        e0, emax, ed50 = fitted
        axes.plot(doses, e0 + emax * doses / (ed50 + doses), **_line("emax"))
        _half(axes, panel, ed50, e0 + emax / 2)
        return
    slope = panel.estimate("slope per unit of dose")
    if slope is not None and math.isfinite(float(slope["estimate"])):
        centre = float(np.mean(list(panel.doses.values())))
        level = float(np.mean([mean for mean, _, _ in (means[arm] for arm in panel.doses)]))
        line: NDArray[np.float64] = level + float(slope["estimate"]) * (doses - centre)
        axes.plot(doses, line, **_line("linear"))


def _line(gid: str) -> dict[str, Any]:
    return {"color": BLUE, "linewidth": 1.2, "alpha": 0.7, "zorder": 2, "gid": gid}


def _ends(panel: Panel) -> tuple[float, float]:
    doses = list(panel.doses.values())
    return min(doses), max(doses)


def _half(axes: Axes, panel: Panel, ed50: float, half: float) -> None:
    """Mark ED50 and its interval, as far as they lie among the doses."""
    least, most = _ends(panel)
    row = panel.estimate("ED50")
    low, high = (math.nan, math.nan) if row is None else (row["conf_low"], row["conf_high"])
    told = f"ED50 {numbers.with_interval(ed50, float(low), float(high))}"
    axes.set_title(told, loc="right", color=VERMILION, fontsize=8.5)
    if math.isfinite(float(low)) and float(low) < most:
        ends = [max(float(low), least), min(float(high), most)]
        axes.plot(ends, [half, half], color=VERMILION, linewidth=1.4, zorder=2, gid="ed50-interval")
    if least <= ed50 <= most:
        axes.axvline(ed50, color=VERMILION, linewidth=1.0, dashes=(4, 3), zorder=1, gid="ed50")
