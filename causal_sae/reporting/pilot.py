"""What a pilot shows in the terminal: how outcomes vary, and nothing of effects."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from causal_sae.reporting import numbers

if TYPE_CHECKING:
    import pandas as pd
    from rich.table import Table

COLUMNS = {
    "units": "Units",
    "sd": "SD",
    "skewness": "Skewness",
    "rho": "rho",
    "icc": "ICC",
    "active": "Active",
}
"""Column -> its heading."""


def pilot_table(spread: pd.DataFrame) -> Table:
    """One row for each outcome.

    Parameters
    ----------
    spread:
        As :func:`causal_sae.power.pilot.spread_table` returns it.
    """
    from rich import box  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415

    shown = Table(
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        pad_edge=False,
        show_edge=False,
        caption="rho: the correlation of a unit's outcomes in two arms. ICC: of two units of a "
        "cluster, or of a block. Active: the share of units on which the feature fires. Arms are "
        "masked, and nothing of their effects is kept.",
        caption_justify="left",
        caption_style="dim",
    )
    shown.add_column("Outcome", overflow="fold")
    for heading in COLUMNS.values():
        shown.add_column(heading, justify="right", no_wrap=True)
    for row in spread.to_dict("records"):
        cells = [f"{row['units']:,}", _number(row["sd"], 3), *(_short(row, k) for k in REST)]
        shown.add_row(str(row["outcome"]), *cells)
    return shown


REST = ("skewness", "rho", "icc", "active")


def _short(row: dict[object, object], key: str) -> str:
    value = float(str(row.get(key, math.nan)))
    return "" if math.isnan(value) else numbers.fixed(value, 2 if key != "rho" else 3)


def _number(value: float, digits: int) -> str:
    return numbers.number(value, digits)
