"""``causal-sae looks TRIAL``: the boundaries of a trial with looks, and what they cost and save."""

from __future__ import annotations

from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from causal_sae.cli.options import PilotOption, TrialArgument, UnitsOption

if TYPE_CHECKING:
    from rich.table import Table

    from causal_sae.power.looks import LooksPlan

NAME = "looks"


def command(
    trial: TrialArgument,
    n: UnitsOption = None,
    pilot: PilotOption = None,
    out: Annotated[
        Path | None, typer.Option(help="The folder for the table. [default: power/NAME]")
    ] = None,
) -> None:
    """Compute the boundaries of a trial with looks before its end, its power and expected size.

    For each primary contrast, by integration for statistics that are normal. Never loads torch.

    Example: [bold]causal-sae looks designs/sequential.yaml[/bold]
    """
    import pandas as pd

    from causal_sae.power.looks import plan_looks
    from causal_sae.spec.loading import load_trial_file

    declared = load_trial_file(trial)
    plans = plan_looks(declared, n=n, pilot=pilot)
    folder = out or Path("power") / declared.trial.name
    folder.mkdir(parents=True, exist_ok=True)
    together = pd.concat([plan.table() for plan in plans], ignore_index=True)
    together.to_csv(folder / "looks.csv", index=False, lineterminator="\n")
    console = Console()
    for plan in plans:
        console.print(_table(plan))
        console.print(_summary(plan), highlight=False, soft_wrap=True)
    console.print(f"[dim]table[/dim] {folder / 'looks.csv'}", highlight=False, soft_wrap=True)


def _table(plan: LooksPlan) -> Table:
    """The looks of one contrast."""
    from rich import box
    from rich.table import Table

    table = Table(
        title=f"{plan.outcome}: {plan.treatment} \N{MINUS SIGN} {plan.reference}",
        title_justify="left",
        box=box.SIMPLE_HEAD,
    )
    headings = ["look", "units", "reject from |z|", "nominal p"]
    futile = plan.rule.looks.futility is not None
    headings += ["give up below |z|"] if futile else []
    headings += ["decided, no effect", "decided, planned effect"]
    for heading in headings:
        table.add_column(heading, justify="right")
    for _, row in plan.table().iterrows():
        cells = [str(row["look"]), f"{int(row['units']):,}"]
        cells += [f"{float(row['boundary']):.4f}", f"{float(row['nominal_p']):.5f}"]
        if futile:
            below = float(row["futile_below"])
            cells.append("" if isnan(below) else f"{below:.3f}")
        stops = ("stops_without_effect", "stops_planned_effect")
        cells += [f"{float(row[column]):.3f}" for column in stops]
        table.add_row(*cells)
    return table


def _summary(plan: LooksPlan) -> str:
    """Power, error and expected size in two sentences."""
    none, planned = (plan.expected_units(c) for c in (plan.without, plan.planned))
    return (
        f"Power at the planned effect: {plan.planned.power:.3f} (one analysis at the end: "
        f"{plan.fixed_power:.3f}); false rejections: {plan.without.power:.4f}. Units on average: "
        f"{planned:,.0f} with the planned effect, {none:,.0f} without, of {plan.units:,}."
    )
