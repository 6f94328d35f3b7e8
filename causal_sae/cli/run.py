"""``causal-sae run TRIAL``: the whole product."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from causal_sae.cli.options import TrialArgument

NAME = "run"


def command(
    trial: TrialArgument,
    out: Annotated[
        Path | None, typer.Option(help="The run folder. [default: runs/NAME/TIME]")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with a run that was killed.")
    ] = False,
    backend: Annotated[
        str, typer.Option(help="Where the model runs: local, ray or ndif.")
    ] = "local",
    memory: Annotated[
        float | None,
        typer.Option(
            min=0.001,
            help="GiB that one batch may take beside the weights. "
            "[default: 1, or a quarter of the GPU's memory]",
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(min=1, help="For ray: processes with a model each. [default: one a GPU]"),
    ] = None,
    address: Annotated[
        str | None,
        typer.Option(
            help="For ray: of a running cluster [default: one on this machine]; for ndif: of the "
            "service, or `local` to try it without one."
        ),
    ] = None,
) -> None:
    """Randomise prompts to arms, run the model, estimate the effects and write the report.

    Example: [bold]causal-sae run trials/scripture[/bold]
    """
    from causal_sae.cli.summary import show_run
    from causal_sae.pipeline import run_trial

    finished = run_trial(
        trial,
        out=out,
        resume=resume,
        backend=backend,
        memory=memory,
        workers=workers,
        address=address,
        console=Console(stderr=True),
    )
    show_run(finished, Console())
