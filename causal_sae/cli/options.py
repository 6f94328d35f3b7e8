"""Arguments that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

TrialArgument = Annotated[
    Path,
    typer.Argument(
        metavar="TRIAL",
        help="The trial file, or a folder that holds trial.yaml.",
        show_default=False,
    ),
]
RunArgument = Annotated[
    Path, typer.Argument(metavar="RUN", help="A run folder.", show_default=False)
]
UnitsOption = Annotated[
    int | None, typer.Option("--n", help="Units in all. [default: the prompts there are]")
]
PilotOption = Annotated[
    Path | None,
    typer.Option(help="A run folder, or a table of observations, to take the spread from."),
]
