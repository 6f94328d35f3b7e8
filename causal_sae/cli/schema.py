"""``causal-sae schema``: the trial file's JSON Schema, for editors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

NAME = "schema"


def command(
    out: Annotated[Path | None, typer.Option(help="The file. [default: standard output]")] = None,
) -> None:
    """Print the JSON Schema of trial files, with which editors complete and check them.

    Put [bold]# yaml-language-server: $schema=trial.schema.json[/bold] on a trial's first line.

    Example: [bold]causal-sae schema --out trial.schema.json[/bold]
    """
    from causal_sae.spec.schema import json_schema

    text = json.dumps(json_schema(), indent=2) + "\n"
    if out is None:
        typer.echo(text, nl=False)
    else:
        out.write_text(text, encoding="utf-8")
