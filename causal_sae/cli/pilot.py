"""``causal-sae pilot TRIAL``: how outcomes vary, seen on prompts that the trial will not use."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from causal_sae.cli.options import TrialArgument

NAME = "pilot"


def command(
    trial: TrialArgument,
    n: Annotated[int, typer.Option("--n", help="How many prompts, at least.")] = 30,
    prompts: Annotated[
        Path | None,
        typer.Option(
            help="A table of other prompts. [default: prompts of the trial, which it then leaves "
            "out]"
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="The folder for the table. [default: pilots/NAME]")
    ] = None,
    backend: Annotated[str, typer.Option(help="Where the model runs: local.")] = "local",
) -> None:
    """Run the trial on a few prompts, and keep how outcomes vary and nothing of its effects.

    Arms are masked, and each arm's mean change is taken off before anything is shown or stored.
    The prompts are listed beside the trial file; the trial's own runs leave them out.

    Example: [bold]causal-sae pilot trials/scripture --n 30[/bold]
    """
    from rich.text import Text

    from causal_sae.pilot import run_pilot
    from causal_sae.power.spread import spread_table
    from causal_sae.reporting.pilot import pilot_table
    from causal_sae.spec.loading import load_trial_file

    declared = load_trial_file(trial)
    done = run_pilot(
        declared, n=n, prompts=prompts, out=out, backend=backend, console=Console(stderr=True)
    )
    console = Console()
    console.print()
    console.print(pilot_table(spread_table(declared.trial, done.observations)))
    console.print()
    console.print(Text(f"{done.units} prompts, listed in {done.used}", style="dim"), soft_wrap=True)
    console.print(
        Text("The trial leaves them out. Plan with: ").append(
            f"causal-sae power {trial} --pilot {done.folder.path}", style="bold"
        ),
        soft_wrap=True,
    )
