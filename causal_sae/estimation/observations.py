"""The table of observations: checked, sorted, and brought to one value per unit and arm."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from causal_sae.errors import DataError, Place, did_you_mean
from causal_sae.tables import OBSERVATIONS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from causal_sae.spec import Trial

KEY = ["outcome", "unit_id", "arm"]
ROW = [*KEY, "draw", "sample"]


def check(trial: Trial, observations: pd.DataFrame) -> pd.DataFrame:
    """The observations in the contract's types, in an order that does not depend on the input's.

    Parameters
    ----------
    trial:
        Names the arms and outcomes that may occur.
    observations:
        Long form: one row per unit, arm and outcome (and draw, and sample). Foreign tables need
        ``unit_id``, ``arm``, ``outcome`` and ``value``.

    Raises
    ------
    DataError
        A missing column, an unknown or absent arm or outcome, a value that is not a finite
        number, a duplicated row, or a unit that is in several arms of a parallel design.
    """
    OBSERVATIONS.check(observations)
    frame = observations.reset_index(drop=True).copy()
    for column in KEY:
        _no_gaps(frame, column)
        if not isinstance(frame[column].dtype, pd.StringDtype):  # text is its own label
            frame[column] = frame[column].map(_label)
        frame[column] = frame[column].astype("string")
    _known(frame, "arm", (arm.name for arm in trial.arms))
    _known(frame, "outcome", (outcome.name for outcome in trial.outcomes))
    frame["value"] = _numbers(frame, "value")
    for column in ("draw", "sample"):
        frame[column] = _numbers(frame, column) if column in frame else np.nan
    if "run_order" in frame:
        frame["run_order"] = _places(frame)
    _within_bounds(frame, trial)
    _no_duplicates(frame)
    _complete(frame, trial)
    frame["usable"] = _usable(frame)
    frame = frame.sort_values([*ROW], kind="stable", ignore_index=True)
    return frame if trial.within_unit else _one_arm_each(frame)


def units(frame: pd.DataFrame, keep: Iterable[str]) -> pd.DataFrame:
    """One row per outcome, unit and arm: the mean over draws and samples that came through.

    Parameters
    ----------
    frame:
        As :func:`check` returns it.
    keep:
        Further columns, constant within unit, arm and outcome; their first value is kept.

    Returns
    -------
    Columns ``outcome``, ``unit_id``, ``arm``, ``value`` (NaN where nothing came through),
    ``lost`` (how many draws and samples did not), and the kept ones.
    """
    usable = frame["value"].where(frame["usable"])
    grouped = frame.assign(value=usable, lost=~frame["usable"]).groupby(KEY, sort=True)
    table = grouped.agg(
        value=("value", "mean"),
        lost=("lost", "sum"),
        **{column: (column, "first") for column in keep if column in frame},
    )
    return table.reset_index()


def _label(value: object) -> str:
    """A cell as text; a whole number that a reader made a float keeps its written form."""
    whole = isinstance(value, float) and value.is_integer()
    return str(int(value)) if whole and isinstance(value, float) else str(value)


def _no_gaps(frame: pd.DataFrame, column: str) -> None:
    empty = frame.index[frame[column].isna()]
    if len(empty):
        raise DataError(
            f"every observation must name its {column}, but row {empty[0] + 1} has none; "
            "fill it in or remove the row.",
            Place(field=column),
        )


def _known(frame: pd.DataFrame, column: str, allowed: Iterable[str]) -> None:
    names = list(allowed)
    unknown = sorted(set(frame[column]) - set(names))
    if unknown:
        raise DataError(
            f"the observations hold the {column} {unknown[0]!r}, which the trial does not "
            f"declare; {did_you_mean(unknown[0], names)}",
            Place(field=column),
        )


def _numbers(frame: pd.DataFrame, column: str) -> pd.Series[float]:
    numbers = pd.to_numeric(frame[column], errors="coerce").astype("float64")
    wrong = frame.index[(numbers.isna() & frame[column].notna()) | np.isinf(numbers)]
    if len(wrong):
        row = frame.loc[wrong[0]]
        raise DataError(
            f"{column} must be a finite number or empty, got '{row[column]}' for unit "
            f"{row['unit_id']!r} in arm {row['arm']!r}; mend the cell, or leave it empty and give "
            "the reason in the column 'status'.",
            Place(field=column),
        )
    return numbers


def _places(frame: pd.DataFrame) -> pd.Series[float]:
    """The places in the units' sequences of arms: whole numbers, or empty."""
    places = _numbers(frame, "run_order")
    wrong = frame.index[places.notna() & (places % 1 != 0)]
    if len(wrong):
        row = frame.loc[wrong[0]]
        raise DataError(
            f"run_order must be a whole number or empty, got '{row['run_order']}' for unit "
            f"{row['unit_id']!r} in arm {row['arm']!r}; number a unit's arms from 1 in the order "
            "in which they were run.",
            Place(field="run_order"),
        )
    return places


def _within_bounds(frame: pd.DataFrame, trial: Trial) -> None:
    """Outcomes whose lowest and highest values are declared keep to them."""
    for outcome in trial.outcomes:
        if outcome.bounds is None:
            continue
        low, high = outcome.bounds
        values = frame.loc[frame["outcome"] == outcome.name, "value"]
        outside = values.index[(values < low) | (values > high)]
        if len(outside):
            row = frame.loc[outside[0]]
            raise DataError(
                f"{outcome.name!r} must lie between its declared bounds {low:g} and {high:g}, got "
                f"{row['value']:g} for unit {row['unit_id']!r} in arm {row['arm']!r}; mend the "
                "cell, or the bounds.",
                Place(field="value"),
            )


def _no_duplicates(frame: pd.DataFrame) -> None:
    repeated = frame.index[frame.duplicated(ROW)]
    if len(repeated):
        row = frame.loc[repeated[0]]
        raise DataError(
            f"unit {row['unit_id']!r} in arm {row['arm']!r} must have one row for outcome "
            f"{row['outcome']!r}, but has several; number repeated measurements in the columns "
            "'draw' or 'sample', or remove the copies.",
            Place(field="unit_id"),
        )


def _complete(frame: pd.DataFrame, trial: Trial) -> None:
    """Every declared outcome and every arm of a contrast has rows."""
    for outcome in trial.outcomes:
        if not (frame["outcome"] == outcome.name).any():
            raise DataError(
                f"the observations must hold the declared outcome {outcome.name!r}, but have no "
                "row of it; add its rows (empty values with a status are fine), or remove the "
                "outcome from the trial.",
                Place(field="outcome"),
            )
    present = set(frame["arm"])
    for arm in (name for contrast in trial.contrasts for name in contrast):
        if arm not in present:
            raise DataError(
                f"the observations must hold the arm {arm!r} of the contrasts, but have no row "
                f"of it; they hold: {', '.join(sorted(present))}.",
                Place(field="arm"),
            )


def _usable(frame: pd.DataFrame) -> pd.Series[bool]:
    """Rows with a value whose status is ok, or that have no status at all."""
    measured = frame["value"].notna()
    if "status" not in frame:
        return measured
    return measured & frame["status"].fillna("ok").astype("string").eq("ok")


def _one_arm_each(frame: pd.DataFrame) -> pd.DataFrame:
    arms = frame[["unit_id", "arm"]].drop_duplicates()
    several = arms.loc[arms["unit_id"].duplicated(), "unit_id"]
    if len(several):
        unit = several.iloc[0]
        names = ", ".join(arms.loc[arms["unit_id"] == unit, "arm"])
        raise DataError(
            f"in this design a unit is in one arm, but unit {unit!r} is in {names}; declare "
            "assignment.method: crossover, or name the units apart.",
            Place(field="unit_id"),
        )
    return frame
