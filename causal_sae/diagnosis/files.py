"""A diagnosis as files, and as a terminal shows it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from causal_sae.reporting.diagnosis import CAPTION, cost_table, diagnosis_tables
from causal_sae.reporting.files import replacing

if TYPE_CHECKING:
    from rich.console import Console

    from causal_sae.diagnosis.diagnose import Diagnosis


def write_diagnosis(found: Diagnosis, folder: Path) -> list[Path]:
    """Write ``diagnosis.csv`` and the figure as PNG and SVG; returns the paths."""
    from causal_sae.reporting.figures import save_figures  # noqa: PLC0415 - loads matplotlib
    from causal_sae.reporting.figures.diagnosis import diagnosis_figure  # noqa: PLC0415

    path = folder / "diagnosis.csv"
    with replacing(path) as temporary:
        found.table.to_csv(temporary, index=False, lineterminator="\n")
    figure = diagnosis_figure(found.table)
    return [path, *(save_figures({"diagnosis": figure}, folder) if figure is not None else [])]


def print_diagnosis(found: Diagnosis, folder: Path, console: Console) -> None:
    """The tables, which design is the cheapest, what was taken for granted, where the files are."""
    from rich.text import Text  # noqa: PLC0415

    for table in (*diagnosis_tables(found.table), cost_table(found.table)):
        console.print()
        console.print(table)
    console.print(Text(CAPTION, style="dim"))
    console.print()
    for sentence in found.verdict:
        console.print(Text(sentence, style="bold"))
    for sentence in found.notes:
        console.print(Text(f"\N{BULLET} {sentence}", style="dim"))
    console.print()
    console.print(Text("Written: ").append(str(folder), style="bold"), soft_wrap=True)
