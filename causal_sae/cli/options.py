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
