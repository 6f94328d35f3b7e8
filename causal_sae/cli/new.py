"""``causal-sae new NAME --design DESIGN``: a trial folder to start from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

NAME = "new"


def command(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="NAME",
            help="The folder to make; its last part is the trial's name.",
            show_default=False,
        ),
    ],
    design: Annotated[
        str,
        typer.Option(
            help="One of the designs that come with causal-sae, or the path of one. A name that "
            "there is not lists them.",
        ),
    ] = "sham-and-placebo",
) -> None:
    """Make a commented trial folder from a design.

    Nothing is overwritten: the folder must not exist.

    Example: [bold]causal-sae new trials/paris --design crossover[/bold]
    """
    from rich.text import Text

    from causal_sae.templates import find_template, new_trial

    template = find_template(design)
    written = new_trial(folder, template)
    console = Console()
    console.print(Text.assemble(("made", "bold green"), f"  {written[0]}"), soft_wrap=True)
    steps = [f"change what is marked `# change` in {written[0]}"]
    if template.columns:
        columns = ", ".join(template.columns)
        steps.append(f"put your prompts in {folder / 'prompts.csv'}, with the columns {columns}")
    steps += [f"causal-sae {word} {folder}" for word in ("validate", "power", "run")]
    if template.name == "model-comparison":
        steps = [*steps[:1], f"causal-sae power {folder}", "follow the comments of the file"]
    for number, step in enumerate(steps, start=1):
        console.print(Text(f"{number}. {step}", style="dim"), soft_wrap=True)
