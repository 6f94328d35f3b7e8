"""``causal-sae concepts FILE``: whether features do what their names say."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

if TYPE_CHECKING:
    from causal_sae.screening.concepts.run import ConceptRun

NAME = "concepts"


def command(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="The concepts, or a folder that holds concepts.yaml.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path | None, typer.Option(help="The folder. [default: concepts/NAME/TIME]")
    ] = None,
    register: Annotated[
        bool,
        typer.Option("--register", help="Freeze concepts, texts, model and rule; run nothing."),
    ] = False,
    count: Annotated[int, typer.Option("--count", "-n", help="Rows shown.", min=1)] = 20,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a run.")] = False,
) -> None:
    """Find the features that claim each concept, and try whether they do what the name says.

    A label is upheld where ablation lowers the concept and amplification raises it, both more than
    matched placebo features and random directions do, and guardrails hold.

    Example: [bold]causal-sae concepts trials/concepts --out concepts/first[/bold]
    """
    from causal_sae.spec.concepts import load_concepts

    declared = load_concepts(file)
    quiet = Console(stderr=True)
    if register:
        from causal_sae.screening.concepts.run import register_concepts

        path = register_concepts(declared, quiet)
        Console().print(f"[dim]written:[/dim] {path}", soft_wrap=True)
        return
    from causal_sae.screening.concepts.run import run_concepts

    _show(run_concepts(declared, out, quiet, resume=resume), Console(), count)


def _show(done: ConceptRun, console: Console, count: int) -> None:
    from causal_sae.reporting.concepts import verdicts_table, write_concept_report
    from causal_sae.reporting.figures import save_figures
    from causal_sae.reporting.figures.concepts import claims_figure

    console.print(verdicts_table(done.verdicts, count, console.width))
    drawn = {"claims": claims_figure(done.verdicts, done.trial.least)}
    save_figures(drawn, done.folder.figures)
    page = done.folder.report
    write_concept_report(done.trial, done.verdicts, done.tests, done.manifest, drawn, page)
    console.print(f"[dim]written:[/dim] {done.folder.path}", highlight=False, soft_wrap=True)
