"""``causal-sae export RUN``: the table of effects in the format of a paper or a spreadsheet."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from causal_sae.cli.options import RunArgument

NAME = "export"


def command(
    run: RunArgument,
    format: Annotated[  # noqa: A002 - the option's name in the contract
        str, typer.Option("--format", help="csv, parquet, md, latex, html or xlsx.")
    ] = "csv",
    out: Annotated[
        Path | None, typer.Option(help="The file. [default: effects.FORMAT in the run folder]")
    ] = None,
) -> None:
    """Export a run's table of effects.

    Example: [bold]causal-sae export runs/scripture/20261122-210000 --format latex[/bold]
    """
    from causal_sae.reporting.export import ENDINGS, export
    from causal_sae.run import load_run

    finished = load_run(run)
    target = out or finished.folder.path / f"effects{ENDINGS.get(format, '.' + format)}"
    export(finished.effects, format, target)
    Console().print(f"[dim]written[/dim]  {target}", highlight=False)
