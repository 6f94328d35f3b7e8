"""``causal-sae assign TRIAL``: deal the arms out, without running the model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from causal_sae.cli.options import TrialArgument

NAME = "assign"


def command(
    trial: TrialArgument,
    out: Annotated[Path, typer.Option(help="The table that is written.")] = Path(
        "assignment.parquet"
    ),
) -> None:
    """Randomise the trial's prompts to its arms and write the assignment.

    Example: [bold]causal-sae assign trials/scripture --out assignment.parquet[/bold]
    """
    from causal_sae.errors import DataError, Place
    from causal_sae.pipeline import assign_trial
    from causal_sae.run_folder import RunFolder

    if out.suffix not in (".parquet", ".csv"):
        raise DataError(f"must end in .parquet or .csv, got {out.name!r}", Place(field="--out"))
    assignment = assign_trial(trial)
    RunFolder(out.parent).write_table(out.name, assignment)
    console = Console()
    for arm, count in assignment["arm"].value_counts(sort=False).items():
        console.print(f"{arm}  {count}", highlight=False)
    console.print(f"[dim]written[/dim]  {out}", highlight=False)
