"""Arguments that the commands on features share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

StoreArgument = Annotated[
    Path,
    typer.Argument(
        metavar="STORE",
        help="A feature store, an SAE's folder that holds one, or a trial.",
        show_default=False,
    ),
]
