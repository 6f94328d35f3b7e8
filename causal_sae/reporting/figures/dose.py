"""The dose: how the outcome follows it, and whether it arrived as declared."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from causal_sae.reporting import wording
from causal_sae.reporting.figures.canvas import (
    BLUE,
    INK,
    MUTED,
    PART_COLOURS,
    RULE,
    canvas,
    settled,
    style,
)
from causal_sae.reporting.figures.dose_curve import Panel, dose_curves, panels
from causal_sae.reporting.record import usable

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from causal_sae.reporting.record import TrialRecord
    from causal_sae.spec import Trial

ASKED, FOUND, BEFORE = "activation_asked", "activation_found", "activation_before"
"""Columns of the observations: the edited features' mean activation, by when it was read."""
MARKERS = "oDs^vP<>"


def dose_ladder(trial: Trial) -> tuple[str, ...]:
    """Arms that do the same to the same features in at least two different doses, else nothing."""
    groups: dict[str, list[str]] = {}
    for arm in trial.arms:
        declared = arm.intervention
        if declared.kind in {"scale", "clamp", "add"} and wording.part(arm) == "active":
            rest = declared.model_dump(exclude={"factor"})
            dose = rest.get("dose")
            rest["dose"] = dose["of"] if isinstance(dose, dict) else None
            groups.setdefault(repr(rest), []).append(arm.name)
    longest = max(groups.values(), key=len, default=[])
    return tuple(longest) if len(longest) > 1 else ()


def dose_response(record: TrialRecord) -> Figure | None:
    """Mean outcome against the dose, with t-intervals; None without a ladder.

    Where the trial declares a dose-response analysis the dose is the declared one, and the fitted
    curve is drawn; elsewhere it is the dose that was received.
    """
    declared = panels(record)
    if declared:
        return dose_curves(declared, [_summaries(record, panel) for panel in declared])
    arms = dose_ladder(record.trial)
    observations = record.observations
    if not arms or "dose" not in observations or observations["dose"].isna().all():
        return None
    outcomes = [o.name for o in record.trial.outcomes if (observations["outcome"] == o.name).any()]
    with style():
        figure = canvas(2.3 * len(outcomes) + 0.2, len(outcomes))
        for axes, outcome in zip(figure.axes, outcomes, strict=True):
            of_outcome = observations.loc[observations["outcome"] == outcome]
            _dose_panel(axes, of_outcome, arms, record.trial)
            axes.set_ylabel(outcome)
        figure.axes[-1].set_xlabel("dose received: change of activation, mean over prompts")
        return settled(figure)


def _summaries(record: TrialRecord, panel: Panel) -> dict[str, tuple[float, float, float]]:
    rows = record.observations.loc[record.observations["outcome"] == panel.outcome]
    level = 1 - record.trial.analysis.alpha
    return {arm: mean_interval(_arm_values(rows, arm), level) for arm in panel.doses}


def _dose_panel(axes: Axes, rows: pd.DataFrame, arms: Sequence[str], trial: Trial) -> None:
    level = 1 - trial.analysis.alpha
    points = sorted(
        (float(rows.loc[rows["arm"] == arm, "dose"].mean()), arm)
        for arm in dict.fromkeys((trial.reference, *arms))
        if rows.loc[rows["arm"] == arm, "dose"].notna().any()
    )
    summaries = [mean_interval(_arm_values(rows, arm), level) for _, arm in points]
    doses, means = [dose for dose, _ in points], [mean for mean, _, _ in summaries]
    reference = mean_interval(_arm_values(rows, trial.reference), level)[0]
    if math.isfinite(reference):
        axes.axhline(reference, color=RULE, linewidth=0.9, zorder=1, gid="reference")
    axes.plot(doses, means, color=BLUE, linewidth=1, alpha=0.6, zorder=2)
    for dose, (mean, low, high), (_, arm) in zip(doses, summaries, points, strict=True):
        colour = MUTED if arm == trial.reference else BLUE
        axes.plot([dose, dose], [low, high], color=colour, linewidth=1.6, zorder=3)
        axes.plot([dose], [mean], "o", color=colour, markersize=6, zorder=4, gid=f"dose-{arm}")
        axes.annotate(
            arm, (dose, mean), xytext=(6, 5), textcoords="offset points", fontsize=8.5, color=INK
        )
    axes.margins(x=0.06)
    axes.tick_params(axis="y", length=3)


def _arm_values(rows: pd.DataFrame, arm: str) -> NDArray[np.float64]:
    of_arm = rows.loc[(rows["arm"] == arm) & usable(rows)]
    return np.asarray(of_arm.groupby("unit_id")["value"].mean(), dtype=np.float64)


def mean_interval(values: NDArray[np.float64], level: float) -> tuple[float, float, float]:
    """Mean and t-interval of a sample ``[n]``; NaN where there are none, or no interval of one."""
    from scipy import stats  # noqa: PLC0415

    if len(values) == 0:
        return math.nan, math.nan, math.nan
    mean = float(values.mean())
    if len(values) == 1:
        return mean, math.nan, math.nan
    half = float(stats.t.ppf(0.5 + level / 2, len(values) - 1) * values.std(ddof=1))
    half /= math.sqrt(len(values))
    return mean, mean - half, mean + half


def manipulation(record: TrialRecord) -> Figure | None:
    """The activation asked for against the one that the SAE finds after the edit.

    None when the observations do not tell, or when every prompt was asked for the same (the table
    of delivery then says it all). The axes reach from zero to the largest activation
    before the edit, so that errors are seen in proportion.
    """
    if not {ASKED, FOUND} <= set(record.observations):
        return None
    kept = record.observations.dropna(subset=[ASKED, FOUND])
    kept = kept.drop_duplicates(["unit_id", "arm", ASKED, FOUND])
    if kept[ASKED].nunique() < 2:
        return None
    with style():
        figure = canvas(3.6, width=5.0)
        _manipulation_panel(figure.axes[0], kept, record.trial)
        return settled(figure)


def _manipulation_panel(axes: Axes, kept: pd.DataFrame, trial: Trial) -> None:
    columns = [column for column in (ASKED, FOUND, BEFORE) if column in kept]
    low = min(0.0, float(kept[columns].min().min()))
    high = max(0.0, float(kept[columns].max().max()))
    axes.plot([low, high], [low, high], color=MUTED, linewidth=0.8, gid="identity", zorder=1)
    arms = [arm for arm in trial.arms if (kept["arm"] == arm.name).any()]
    for i, arm in enumerate(arms):
        rows = kept.loc[kept["arm"] == arm.name]
        axes.scatter(
            rows[ASKED].to_numpy("float64"),
            rows[FOUND].to_numpy("float64"),
            s=18,
            marker=MARKERS[i % len(MARKERS)],
            color=PART_COLOURS[wording.part(arm)],
            alpha=0.5,
            linewidths=0,
            label=arm.name,
            zorder=2,
        )
    axes.set(xlabel="activation asked for", ylabel="activation found after the edit")
    axes.tick_params(axis="y", length=3)
    axes.legend(frameon=False, loc="upper left", fontsize=8.5)
