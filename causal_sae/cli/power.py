"""``causal-sae power TRIAL``: how large a trial must be, before anything runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from causal_sae.cli.options import PilotOption, TrialArgument, UnitsOption

NAME = "power"


def command(
    trial: TrialArgument,
    n: UnitsOption = None,
    pilot: PilotOption = None,
    repetitions: Annotated[
        int | None,
        typer.Option(help="Simulated trials; 0 for none. [default: 1000, or 200 where it is slow]"),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="The folder for the table and curve. [default: power/NAME]")
    ] = None,
) -> None:
    """Compute the power of a trial, the size that its target takes, and what that costs.

    For each contrast of a primary outcome, with the trial's own design, estimator and correction:
    by formula where there is one, and by simulation. Never loads torch.

    Example: [bold]causal-sae power trials/scripture[/bold]
    """
    from causal_sae.power.files import print_forecast, write_forecast
    from causal_sae.power.forecast import expected_repetitions, plan_power
    from causal_sae.progress import bar
    from causal_sae.spec.loading import load_trial_file

    declared = load_trial_file(trial)
    count = expected_repetitions(declared.trial, repetitions)
    screen = Console(stderr=True)
    with bar(screen, "simulating", count, transient=True, unit="trials") as advance:
        forecast = plan_power(declared, pilot=pilot, n=n, repetitions=repetitions, advance=advance)
    folder = out or Path("power") / declared.trial.name
    write_forecast(forecast, folder)
    print_forecast(forecast, folder, Console())
