"""The table of power in the terminal."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from causal_sae.reporting import numbers

if TYPE_CHECKING:
    import pandas as pd
    from rich.table import Table
    from rich.text import Text

TOGETHER = {"any": "at least one effect", "all": "every effect"}


def power_table(table: pd.DataFrame, target: float) -> Table:
    """The table of power, grouped by outcome.

    Parameters
    ----------
    table:
        :data:`causal_sae.plan_tables.POWER`.
    target:
        The power that is wanted; what reaches it is bold.
    """
    from rich import box  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    shown = Table(
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        pad_edge=False,
        show_edge=False,
        caption=_caption(target),
        caption_justify="left",
        caption_style="dim",
    )
    shown.add_column("Outcome, contrast", overflow="fold")
    for heading in ("n", "Effect", "Formula", "Simulated", "n needed", "MDE"):
        shown.add_column(heading, justify="right", no_wrap=True)
    rows = table.to_dict("records")
    for outcome in dict.fromkeys(str(row["outcome"]) for row in rows):
        shown.add_row(Text(outcome, style="bold"))
        of_outcome = [row for row in rows if str(row["outcome"]) == outcome]
        for name in dict.fromkeys(map(_contrast, of_outcome)):
            same = {str(r["method"]): r for r in of_outcome if _contrast(r) == name}
            shown.add_row(f"  {name}", *_cells(same, target))
        shown.add_section()
    return shown


def _caption(target: float) -> str:
    return (
        f"n: units in treatment / reference. n needed: units in each arm for a power of "
        f"{target:g}, arms of equal size (within units: units). MDE: the smallest effect that n "
        "finds with that power. [ ]: 95% interval, of the pilot and of the simulation."
    )


def _contrast(row: Mapping[Any, Any]) -> str:
    if str(row["treatment"]) in TOGETHER:
        return TOGETHER[str(row["treatment"])]
    return f"{row['treatment']} {numbers.MINUS} {row['reference']}"


def _cells(rows: Mapping[str, Mapping[Any, Any]], target: float) -> list[Any]:
    """One contrast, by both methods."""
    first = next(iter(rows.values()))
    required = max((_number(row["n_required"]) for row in rows.values()), key=_known)
    mde = max((_number(row["mde"]) for row in rows.values()), key=_known)
    return [
        _pair(first["n_treatment"], first["n_reference"]),
        _short(_number(first["effect"])),
        _power(rows.get("closed_form"), target),
        _power(rows.get("simulation"), target),
        f"{required:,.0f}" if not math.isnan(required) else "",
        _short(mde),
    ]


def _known(value: float) -> float:
    return -math.inf if math.isnan(value) else value


def _power(row: Mapping[Any, Any] | None, target: float) -> Text:
    from rich.text import Text  # noqa: PLC0415

    if row is None:
        return Text("")
    power, low, high = (_number(row[k]) for k in ("power", "power_low", "power_high"))
    text = numbers.fixed(power, 3)
    if not math.isnan(low) and (low, high) != (power, power):
        text += f"\n[{numbers.fixed(low, 2)}, {numbers.fixed(high, 2)}]"
    return Text(text, style="bold" if power >= target else "")


def _short(value: float) -> str:
    return "" if math.isnan(value) else numbers.number(value, 3)


def _number(value: Any) -> float:
    try:
        return float(value)
    except TypeError:  # pandas' NA
        return math.nan


def _pair(n: Any, m: Any) -> str:
    first, second = _number(n), _number(m)
    if math.isnan(first) or math.isnan(second):
        return ""
    return f"{first:,.0f}" if first == second else f"{first:,.0f}/{second:,.0f}"
