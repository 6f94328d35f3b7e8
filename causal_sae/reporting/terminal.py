"""The results in the terminal: verdict, effects and checks, at any width from 80 columns."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from causal_sae.reporting import numbers, wording
from causal_sae.reporting.claim import Status
from causal_sae.reporting.effect import Effect, flag_notes, read_effects
from causal_sae.reporting.verdict import judge

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from causal_sae.reporting.record import TrialRecord

WIDE = 100
"""From this width on, the raw p-value and the interval of the effect size are shown too."""
VERDICT_STYLES: dict[Status, str] = {
    "held": "bold green",
    "held_partly": "bold yellow",
    "did_not_hold": "bold red",
    "cannot_tell": "bold yellow",
}
CHECK_STYLES = {"pass": ("✓", "green"), "warn": ("!", "yellow"), "fail": ("✗", "bold red")}


def effects_table(
    effects: pd.DataFrame, width: int = 80, meanings: Mapping[str, str] | None = None
) -> Table:
    """The table of effects, grouped by outcome, laid out for a console of ``width`` columns.

    A filled mark stands at contrasts that are rejected after adjustment; flags are numbered and
    explained in the caption.
    """
    from rich import box  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415

    rows = read_effects(effects)
    notes = _flag_numbers(rows)
    table = Table(
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        pad_edge=False,
        show_edge=False,
        caption=_caption(rows, notes, meanings or {}),
        caption_justify="left",
        caption_style="dim",
    )
    table.add_column("Outcome, contrast", overflow="fold")
    for heading in _headings(rows, width):
        table.add_column(heading, justify="right", no_wrap=True)
    tell_level = len({row.conf_level for row in rows}) > 1
    for outcome in dict.fromkeys(row.outcome for row in rows):
        group = [row for row in rows if row.outcome == outcome]
        _add_outcome(table, group, notes, width, tell_level)
    return table


def _headings(rows: tuple[Effect, ...], width: int) -> list[str]:
    levels = {numbers.level(row.conf_level) for row in rows}
    level = f"{levels.pop()} " if len(levels) == 1 else ""
    wide = [f"Estimate [{level}CI]", "p", "p adj.", "", "Effect size [CI]", "n"]
    return wide if width >= WIDE else [wide[0], wide[2], "", "Size", "n"]


def _add_outcome(
    table: Table, rows: list[Effect], notes: dict[str, int], width: int, tell_level: bool
) -> None:
    from rich.text import Text  # noqa: PLC0415

    level = f", {numbers.level(rows[0].conf_level)} CI" if tell_level else ""
    head = Text.assemble((rows[0].outcome, "bold"), (f"  {rows[0].role}{level}", "dim"))
    table.add_row(head)
    for row in rows:
        name = Text(f"  {row.contrast}")
        marks = ",".join(str(notes[flag.partition(":")[0]]) for flag in row.notable_flags)
        if marks:
            name.append(f" [{marks}]", style="yellow")
        table.add_row(name, *_cells(row, width), style="" if row.reject else "dim")
    table.add_section()


def _cells(row: Effect, width: int) -> list[str]:
    mark = "●" if row.reject else "○"
    n = (
        str(row.n_treatment)
        if row.n_treatment == row.n_reference
        else f"{row.n_treatment}/{row.n_reference}"
    )
    size = numbers.fixed(row.effect_size, 2)
    symbol = f"{row.size_symbol} " if row.size_symbol and not math.isnan(row.effect_size) else ""
    p = numbers.p_value(row.p_adjusted)
    if width < WIDE:
        return [row.with_interval, p, mark, f"{symbol}{size}", n]
    bounds = ""
    if not math.isnan(row.effect_size_low):
        low, high = (numbers.fixed(v, 2) for v in (row.effect_size_low, row.effect_size_high))
        bounds = f" [{low}, {high}]"
    return [row.with_interval, numbers.p_value(row.p_value), p, mark, f"{symbol}{size}{bounds}", n]


def _flag_numbers(rows: tuple[Effect, ...]) -> dict[str, int]:
    """Code of a flag, without its number -> its footnote."""
    flags = (flag.partition(":")[0] for row in rows for flag in row.notable_flags)
    return {name: i for i, name in enumerate(dict.fromkeys(flags), start=1)}


def _caption(rows: tuple[Effect, ...], notes: dict[str, int], meanings: Mapping[str, str]) -> Text:
    from rich.text import Text  # noqa: PLC0415

    methods = dict.fromkeys(row.adjusted for row in rows if not math.isnan(row.p_adjusted))
    adjusted = f" p adj.: {', '.join(methods)}." if methods else ""
    rails = " For guardrails p tests the margin: ● harm excluded." if _margins(rows) else ""
    same = " Claims of no change: ● change excluded." if _equivalences(rows) else ""
    text = f"Treatment minus reference.{adjusted} ● rejected, ○ not, after adjustment.{rails}{same}"
    told = flag_notes(((row, flag) for row in rows for flag in row.notable_flags), meanings)
    explained = [f"[{i}] {told[name].sentence}" for name, i in notes.items()]
    return Text("\n".join([text, *explained]))


def _margins(rows: tuple[Effect, ...]) -> bool:
    return any("margin_test" in row.flag_list and row.role == "guardrail" for row in rows)


def _equivalences(rows: tuple[Effect, ...]) -> bool:
    return any({"equivalent", "equivalence_not_shown"} & set(row.flag_list) for row in rows)


def checks_table(diagnostics: pd.DataFrame) -> Table:
    """The checks: a mark, the check, and its sentence."""
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table(box=None, show_header=False, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    table.add_column(overflow="fold", ratio=1)
    for _, row in diagnostics.iterrows():
        mark, style = CHECK_STYLES.get(str(row["status"]), ("?", ""))
        table.add_row(
            Text(mark, style=style),
            Text(str(row["check"])),
            Text(wording.sentence(row["sentence"])),
        )
    return table


def verdict_line(record: TrialRecord) -> Text:
    """The label in the colour of the verdict, then the sentence and its caveats."""
    from rich.text import Text  # noqa: PLC0415

    verdict = judge(record)
    text = Text(f"{verdict.label}\n", style=VERDICT_STYLES[verdict.status])
    text.append(verdict.sentence, style="default not bold")
    for caveat in verdict.caveats:
        text.append(f"\n• {caveat}", style="dim not bold")
    return text


def print_results(record: TrialRecord, console: Console, report: Path | None = None) -> None:
    """Checks, effects, verdict, and where the report is."""
    from rich.text import Text  # noqa: PLC0415

    console.print()
    if record.diagnostics is not None and not record.diagnostics.empty:
        console.print(checks_table(record.diagnostics))
        console.print()
    console.print(effects_table(record.effects, console.width, record.flag_meanings))
    console.print()
    console.print(verdict_line(record))
    if report is not None:
        console.print()
        console.print(Text("Report: ").append(str(report), style="bold"), soft_wrap=True)
