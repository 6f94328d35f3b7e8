"""The tables of a diagnosis in the terminal: what designs are worth, and what they cost."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from causal_sae.reporting import numbers
from causal_sae.reporting.power import TOGETHER

if TYPE_CHECKING:
    import pandas as pd
    from rich.table import Table

SHOWN = {
    "bias": "Bias",
    "rmse": "RMSE",
    "power": "Power",
    "coverage": "Cover.",
    "type_s": "Type S",
    "type_m": "Type M",
    "type_i": "Type I",
    "fwer": "FWER",
}
"""Column -> its heading; columns without any number are left out."""
RATES = frozenset({"power", "coverage", "type_s", "type_i", "fwer"})
CAPTION = (
    "( ): Monte-Carlo standard error. Cover.: how often the interval holds the truth. Type S: of "
    "what is called an effect, the share with the wrong sign. Type M: by which factor it is too "
    "large. Type I: how often a contrast without an effect is called one. FWER: how often any "
    "test of the family rejects where the feature does nothing. Same precision: forward passes "
    "at which a design is as precise as the first."
)


def diagnosis_tables(table: pd.DataFrame) -> list[Table]:
    """What every design is worth: one table for each contrast, and one of several effects.

    Parameters
    ----------
    table:
        :data:`causal_sae.plan_tables.DIAGNOSIS`.
    """
    rows = table.to_dict("records")
    single = [row for row in rows if str(row["treatment"]) not in TOGETHER]
    shown = [
        _of_contrast(name, [row for row in single if _contrast(row) == name])
        for name in dict.fromkeys(map(_contrast, single))
    ]
    several = [row for row in rows if str(row["treatment"]) in TOGETHER]
    return [*shown, _of_several(several)] if several else shown


def _of_contrast(name: str, rows: Sequence[Mapping[Any, Any]]) -> Table:
    shown = _plain(name)
    present = [key for key in SHOWN if any(not math.isnan(row[key]) for row in rows)]
    for key in present:
        shown.add_column(SHOWN[key], justify="right", no_wrap=True)
    for row in rows:
        shown.add_row(str(row["design"]), *(_cell(row, key) for key in present))
    return shown


def _of_several(rows: Sequence[Mapping[Any, Any]]) -> Table:
    """The power to find at least one effect, and to find all."""
    shown = _plain("several effects")
    names = list(dict.fromkeys(f"{row['outcome']}: {TOGETHER[row['treatment']]}" for row in rows))
    for name in names:
        shown.add_column(f"Power, {name}", justify="right")
    for design in dict.fromkeys(str(row["design"]) for row in rows):
        own = [_cell(row, "power") for row in rows if str(row["design"]) == design]
        shown.add_row(design, *own)
    return shown


def cost_table(table: pd.DataFrame) -> Table:
    """What every design costs at its size, and at the precision of the first."""
    shown = _plain("cost")
    shown.add_column("Units", justify="right")
    shown.add_column("Forward passes", justify="right")
    measured = table["minutes"].notna().any()
    if measured:
        shown.add_column("Time", justify="right")
    records = table.to_dict("records")
    compared = list(
        dict.fromkeys(
            _contrast(row) for row in records if not math.isnan(row["passes_same_precision"])
        )
    )
    for name in compared:
        shown.add_column(f"Same precision,\n{name}", justify="right")
    for design in dict.fromkeys(str(row["design"]) for row in records):
        own = {_contrast(row): row for row in records if str(row["design"]) == design}
        first = next(iter(own.values()))
        cells = [f"{first['units']:,}", f"{first['forward_passes']:,}"]
        if measured:
            cells.append(numbers.seconds(60 * float(first["minutes"])))
        cells += [_passes(own[name]["passes_same_precision"]) for name in compared]
        shown.add_row(design, *cells)
    return shown


def _plain(title: str) -> Table:
    from rich import box  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415

    shown = Table(
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        pad_edge=False,
        show_edge=False,
        title=title,
        title_justify="left",
        title_style="bold",
    )
    shown.add_column("Design", overflow="fold")
    return shown


def _contrast(row: Mapping[Any, Any]) -> str:
    return f"{row['outcome']}: {row['treatment']} {numbers.MINUS} {row['reference']}"


def _cell(row: Mapping[Any, Any], name: str) -> str:
    value, error = float(row[name]), float(row[f"{name}_mcse"])
    if math.isnan(value):
        return ""
    digits = 3 if name in RATES else max(numbers.decimals(error, 1), 2)
    if math.isnan(error):
        return numbers.fixed(value, digits)
    return f"{numbers.fixed(value, digits)}\n({numbers.fixed(error, digits)})"


def _passes(value: Any) -> str:
    if math.isnan(value):
        return numbers.MISSING
    return f"{value:,.0f}" if math.isfinite(value) else "never"
