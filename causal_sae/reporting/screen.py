"""A screen in the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from causal_sae.reporting.features.terminal import cut, number, percent, plain_table, tokens

if TYPE_CHECKING:
    import pandas as pd
    from rich.table import Table

WIDE = 100
"""From this width on, the effect where the feature fires is shown too."""


def hits_table(
    table: pd.DataFrame, outcome: str, features: pd.DataFrame | None, count: int, width: int
) -> Table:
    """The features of one outcome, the surest first.

    Parameters
    ----------
    table:
        :data:`causal_sae.tables.SCREEN`.
    outcome:
        Which.
    features:
        The SAE's features table, for what each fires on; None: not known.
    count:
        Rows.
    width:
        Of the console.
    """
    own = table[(table["outcome"] == outcome) & (table["stage"] == "exact")]
    order = own.sort_values(["p_adjusted", "p_value"], kind="stable", na_position="last")
    rejected = int(own["reject"].fillna(False).sum())
    method = str(own["correction"].iloc[0]) if len(own) else ""
    size = int(own["family_size"].iloc[0]) if len(own) else 0
    wide = width >= WIDE
    shown = plain_table(
        *(">feature", ">fires on", ">effect \\[95% CI]"),
        *([">where active"] if wide else []),
        *(">p adj.", ">", ">placebo", "about"),
        caption=f"[dim]{outcome}: {rejected} of {size:,} rejected ({method}). fires on: share of "
        "prompts; effect: ablated minus untouched, over all prompts; placebo: share of features "
        "that fire alike with an effect as large.[/dim]",
    )
    fires = None if features is None else features.set_index("feature")
    for row in order.head(count).to_dict("records"):
        interval = f"{number(row['conf_low'])}, {number(row['conf_high'])}"
        shown.add_row(
            str(row["feature"]),
            percent(row["density"], 0),
            f"{number(row['estimate'])} \\[{interval}]",
            *([number(row["effect_exposed"])] if wide else []),
            number(row["p_adjusted"]),
            "●" if row["reject"] is True else "○",
            number(row["placebo_share"]),
            cut(_about(fires, int(row["feature"])), max(8, width - (80 if wide else 66))),
        )
    return shown


def _about(fires: pd.DataFrame | None, feature: int) -> str:
    if fires is None:
        return ""
    row = fires.loc[feature]
    known = row["fires_on"] if isinstance(row["fires_on"], str) else row["top_tokens"]
    return tokens(known, 4)
