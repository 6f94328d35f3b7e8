"""``causal-sae register TRIAL``: freeze the plan before it runs."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console

from causal_sae.cli.options import TrialArgument

NAME = "register"


def command(
    trial: TrialArgument,
    amend: Annotated[
        bool,
        typer.Option("--amend", help="Replace an earlier registration; what changed is recorded."),
    ] = False,
) -> None:
    """Write TRIAL.lock (hashes of plan, prompts, model and SAE) and a protocol to file.

    [bold]run[/bold] then lists on the report whatever is not as registered. Comments and layout of
    the trial file may change; its meaning may not.

    Example: [bold]causal-sae register trials/scripture[/bold]
    """
    from causal_sae.pipeline import register_trial

    console = Console()
    lock, protocol = register_trial(trial, amend=amend, console=Console(stderr=True))
    console.print(f"[bold green]registered[/bold green]  {lock}", highlight=False)
    console.print(f"protocol    {protocol}", highlight=False, soft_wrap=True)
