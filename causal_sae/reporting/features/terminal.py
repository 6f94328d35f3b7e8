"""Features in the terminal."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from rich import box
from rich.table import Table

from causal_sae.reporting.features.text import visible

if TYPE_CHECKING:
    import pandas as pd

    from causal_sae.feature_tables import FeatureStore


NONE = "-"


def plain_table(*columns: str, **options: str) -> Table:
    """A table without lines but one; columns whose heading begins with ``>`` are numbers."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    table.caption, table.caption_justify = options.get("caption"), "left"
    for heading in columns:
        right = heading.startswith(">")
        table.add_column(
            heading.removeprefix(">"),
            justify="right" if right else "left",
            no_wrap=right,
            overflow="ellipsis",
        )
    return table


def store_summary(store: FeatureStore) -> Table:
    """What an extraction made."""
    told, table = store.manifest, Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    features = store.features
    dead, dense = int(features["dead"].sum()), int(features["dense"].sum())
    seconds = float(told.get("seconds_reading") or 0)
    pace = f", {told['tokens'] / seconds:,.0f} tokens a second" if seconds > 1 else ""
    table.add_row("store", str(store.path))
    table.add_row("corpus", f"{told['documents']:,} documents, {told['tokens']:,} tokens{pace}")
    table.add_row(
        "features",
        f"{len(features):,}: {dead:,} never fired, {dense:,} fire at more than a tenth of "
        f"positions; {told['active_per_position']:.1f} fire at a position",
    )
    kept = store.path / "activations"
    if kept.is_dir():
        size = sum(file.stat().st_size for file in kept.iterdir()) / 1e6
        table.add_row("activations", f"{size:,.0f} MB in {kept} (not needed any more)")
    table.add_row("next", f"causal-sae features list {store.path} --sort sharpness")
    return table


def feature_list(features: pd.DataFrame, total: int, sort: str) -> Table:
    """One row a feature."""
    shown = f"{len(features):,} of {total:,} features, sorted by {sort}"
    table = plain_table(
        *(">feature", ">density", ">mean", ">q99", ">sharp", ">cohesion", ">focus"),
        *("fires on", "raises"),
        caption=f"[dim]{shown}. density: share of positions; mean, q99: where active.[/dim]",
    )
    for row in features.to_dict("records"):
        table.add_row(
            str(row["feature"]),
            percent(row["density"]),
            number(row["mean_activation"]),
            number(row["q99"]),
            number(row["sharpness"]),
            number(row["cohesion"]),
            percent(row["token_focus"], 0),
            tokens(row["fires_on"], 4),
            tokens(row["top_tokens"], 4),
        )
    return table


def number(value: object) -> str:
    """Three significant digits; a dash where there is none."""
    known = isinstance(value, int | float) and math.isfinite(value)
    return f"{value:.3g}" if known else NONE


def percent(value: object, digits: int = 2) -> str:
    """A share in per cent."""
    if not isinstance(value, int | float) or not math.isfinite(value):
        return NONE
    return (
        f"{100 * value:.{digits}f}%"
        if value * 100 >= 10**-digits or value == 0
        else (f"{100 * value:.1g}%")
    )


def tokens(cell: object, count: int) -> str:
    """The first tokens of a cell, white space made visible."""
    if not isinstance(cell, str) or not cell:
        return NONE
    return " ".join(visible(token) for token in cell.split(" | ")[:count])
