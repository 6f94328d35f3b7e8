"""``causal-sae diagnose TRIAL...``: what designs are worth, and which is the cheapest."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from causal_sae.cli.options import PilotOption, UnitsOption

NAME = "diagnose"


def command(
    trials: Annotated[
        list[Path],
        typer.Argument(
            metavar="TRIAL...",
            help="Trial files, or folders that hold trial.yaml; they are held against the first.",
            show_default=False,
        ),
    ],
    assignment: Annotated[
        str,
        typer.Option(
            help="Other ways to deal the arms, with commas between them: parallel, block, "
            "crossover and the other methods.",
            show_default=False,
        ),
    ] = "",
    draws: Annotated[
        str,
        typer.Option(
            help="Other numbers of placebo features and random directions: 5,20.",
            show_default=False,
        ),
    ] = "",
    n: UnitsOption = None,
    pilot: PilotOption = None,
    repetitions: Annotated[
        int | None,
        typer.Option(
            help="Simulated trials of each design, with the effect and without. [default: 500, or "
            "100 where it is slow]"
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="The folder for the table and figure. [default: diagnosis/NAME]"),
    ] = None,
) -> None:
    """Simulate declared trials many times: bias, power, coverage, false findings, and the cost.

    Each design with its own assignment, estimator and correction; every number has its
    Monte-Carlo standard error. Never loads torch.

    Example: [bold]causal-sae diagnose trials/scripture --assignment crossover --draws 5,20[/bold]
    """
    from causal_sae.diagnosis.diagnose import diagnose, expected_repetitions
    from causal_sae.diagnosis.files import print_diagnosis, write_diagnosis
    from causal_sae.progress import bar
    from causal_sae.spec.loading import load_trial_file

    declared = [load_trial_file(one) for one in trials]
    methods, counts = _words(assignment), _counts(draws)
    total = expected_repetitions(declared, methods, counts, repetitions)
    screen = Console(stderr=True)
    with bar(screen, "simulating", total, transient=True, unit="trials") as advance:
        found = diagnose(
            declared,
            assignments=methods,
            draws=counts,
            pilot=pilot,
            n=n,
            repetitions=repetitions,
            advance=advance,
        )
    folder = out or Path("diagnosis") / declared[0].trial.name
    write_diagnosis(found, folder)
    print_diagnosis(found, folder, Console())


def _words(given: str) -> list[str]:
    return [word.strip() for word in given.split(",") if word.strip()]


def _counts(given: str) -> list[int]:
    from causal_sae.errors import DataError, Place

    words = _words(given)
    for word in words:
        if not word.isdigit():
            raise DataError(
                f"must be whole numbers with commas between them, got {word!r}",
                Place(field="--draws"),
            )
    return [int(word) for word in words]
