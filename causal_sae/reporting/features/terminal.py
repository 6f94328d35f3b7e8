"""Features in the terminal."""

from __future__ import annotations

import math
from collections.abc import Hashable
from typing import TYPE_CHECKING, Any

from rich import box
from rich.table import Table
from rich.text import Text

from causal_sae.reporting.features.card import BIN_NAMES, Card, Example
from causal_sae.reporting.features.text import flat, visible

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Console

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
            no_wrap=True,
            overflow="ellipsis",
            min_width=max(len(heading) - 1, 5) if right else 6,
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


def feature_list(features: pd.DataFrame, total: int, sort: str, width: int) -> Table:
    """One row a feature, in a console of ``width`` columns."""
    room = max(10, (width - 51) // 2)
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
            cut(tokens(row["fires_on"], 8), room),
            cut(tokens(row["top_tokens"], 8), room),
        )
    return table


def cut(text: str, room: int) -> str:
    """A cell of at most ``room`` signs."""
    return text if len(text) <= room else text[: room - 1].rstrip("\\") + "…"


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


BLOCKS = " ▁▂▃▄▅▆▇█"


def show_card(card: Card, console: Console, most: int = 6) -> None:
    """One feature: its numbers, what it fires on and raises, contexts, neighbours, trials.

    Parameters
    ----------
    card:
        The feature.
    console:
        Where.
    most:
        Contexts of the strongest; a third of that of each range below.
    """
    console.print(f"[bold]Feature {card.feature}[/bold]{_flags(card)}", highlight=False)
    console.print(_numbers(card))
    console.print(_bars(card), highlight=False)
    for title, words in (
        ("fires on", tokens(card.row.get("fires_on"), 8)),
        ("raises", _logits(card, "boosted")),
        ("lowers", _logits(card, "suppressed")),
    ):
        console.print(f"[dim]{title:<9}[/dim] {words}", highlight=False)
    for name, examples in card.examples.items():
        console.print(f"\n[dim]{BIN_NAMES[name]}[/dim]", highlight=False)
        for example in examples[: most if name == "top" else max(1, most // 3)]:
            console.print(context(example, card.scale, console.width - 1), no_wrap=True)
    for kind, title in (("coactivation", "Fires with"), ("decoder", "Writes like")):
        _neighbours(card, kind, title, console)
    if card.groups:
        console.print(_groups(card))
    if card.effects:
        console.print(_effects(card))


def _flags(card: Card) -> str:
    said = [name for name, on in (("never fired", "dead"), ("dense", "dense")) if card.row.get(on)]
    return f" [yellow]{', '.join(said)}[/yellow]" if said else ""


def _numbers(card: Card) -> Table:
    table = plain_table(
        *(">density", ">mean", ">q50", ">q90", ">q99", ">max", ">sharpness", ">cohesion"),
        ">token focus",
    )
    names = ("mean_activation", "q50", "q90", "q99", "max_activation", "sharpness", "cohesion")
    table.add_row(
        percent(card.fact("density")),
        *(number(card.fact(name)) for name in names),
        percent(card.fact("token_focus"), 0),
    )
    return table


def _bars(card: Card) -> str:
    """The histogram in one line, heights by the root of the counts."""
    if not card.bars:
        return ""
    width = card.bars[0][1] - card.bars[0][0]
    heights = [0] * (round(card.bars[-1][1] / width))
    top = max(count for *_, count in card.bars)
    for low, _, count in card.bars:
        heights[round(low / width)] = max(1, round(8 * math.sqrt(count / top)))
    drawn = "".join(BLOCKS[height] for height in heights)
    return f"[dim]0[/dim] [cyan]{drawn}[/cyan] [dim]{number(card.bars[-1][1])}[/dim]"


def _logits(card: Card, kind: str) -> str:
    return " ".join(visible(token) for token, _ in card.logits.get(kind, ())[:8]) or NONE


def context(example: Example, scale: float, width: int) -> Text:
    """A context on one line, the active token in the middle and every token shaded."""
    middle = next(i for i, token in enumerate(example.tokens) if token.middle)
    text = Text(f"{number(example.activation):>6}  ", style="dim")
    room = max(20, width - len(text))
    before = flat("".join(t.text for t in example.tokens[:middle]))
    cut = max(0, len(before) - room * 2 // 3)
    line = Text()
    for token in example.tokens:
        share = math.sqrt(min(max(token.activation / scale, 0.0), 1.0))
        colour = f"on rgb({round(60 + 150 * share)},{round(50 + 60 * share)},20)"
        style = "bold reverse" if token.middle else (f"white {colour}" if share > 0 else "")
        line.append(flat(token.text), style)
    line = line[cut:]
    line.truncate(room, overflow="ellipsis")
    return text + line


def _neighbours(card: Card, kind: str, title: str, console: Console) -> None:
    near = card.neighbours.get(kind, ())[:4]
    if not near:
        return
    console.print(f"\n[dim]{title}[/dim]", highlight=False)
    for other, value, fires in near:
        console.print(f"{other:>6}  {value:.2f}  {tokens(fires, 5)}", highlight=False)


def _groups(card: Card) -> Table:
    table = plain_table("\ngroup", ">documents", ">AUROC \\[95% CI]", ">p adj.")
    for row in card.groups:
        interval = f"{row['auroc']:.2f} [{row['auroc_low']:.2f}, {row['auroc_high']:.2f}]"
        table.add_row(
            str(row["group"]),
            str(row["documents"]),
            interval.replace("[", "\\["),
            number(row["p_adjusted"]),
        )
    return table


def _effects(card: Card) -> Table:
    table = plain_table("\ntrial", "contrast", "outcome", ">estimate \\[95% CI]", ">p adj.")
    for row in card.effects:
        interval = f"[{number(row['conf_low'])}, {number(row['conf_high'])}]".replace("[", "\\[")
        table.add_row(
            str(row["trial"]),
            f"{row['treatment']} - {row['reference']}",
            str(row["outcome"]),
            f"{number(row['estimate'])} {interval}",
            number(row["p_adjusted"]),
        )
    return table


def balance_table(table: pd.DataFrame) -> Table:
    """Placebos beside the feature that they stand in for."""
    shown = plain_table(
        *("", ">feature", ">density", ">over", ">mean", ">over", ">norm", ">over", "fires on"),
        caption="[dim]over: of the treated feature's[/dim]",
    )
    for row in table.to_dict("records"):
        shown.add_row(
            str(row["role"]),
            str(row["feature"]),
            percent(row["density"]),
            number(row["density_ratio"]),
            number(row["mean_activation"]),
            number(row["mean_activation_ratio"]),
            number(row["decoder_norm"]),
            number(row["decoder_norm_ratio"]),
            tokens(row["fires_on"], 4),
        )
    return shown


def found_table(found: pd.DataFrame, features: pd.DataFrame, total: int) -> Table:
    """What a search found: its own columns, and what each feature fires on."""
    fires = features.set_index("feature")["fires_on"]
    ranked = "auroc_low" in found
    hidden = {str(c) for c in found if str(c).endswith(("_low", "_high"))} | {"p_value"}
    columns = [str(c) for c in found if c not in hidden]
    headings = {"auroc": ">AUROC \\[95% CI]  ", "token": "on"}
    table = plain_table(
        *(headings.get(c, f">{c.replace('_', ' ')}") for c in columns),
        "fires on",
        caption=f"[dim]{len(found)} of {total:,} found"
        + ("; p adjusted over all features[/dim]" if ranked else "[/dim]"),
    )
    for row in found.to_dict("records"):
        table.add_row(*(_cell(row, c) for c in columns), tokens(fires.get(row["feature"]), 4))
    return table


def _cell(row: dict[Hashable, Any], column: str) -> str:
    value = row[column]
    if column == "token":
        return visible(str(value))
    if column in {"feature", "raises"}:
        return str(value)
    if column == "auroc":
        return f"{value:.2f} \\[{row['auroc_low']:.2f}, {row['auroc_high']:.2f}]"
    return number(value)
