"""``causal-sae allocate TRIAL``: shares of the arms from a pilot, as plain numbers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from causal_sae.cli.options import TrialArgument
from causal_sae.errors import DataError, Place

if TYPE_CHECKING:
    import pandas as pd

    from causal_sae.power.allocation import Allocation
    from causal_sae.spec.loading import TrialFile

NAME = "allocate"


def command(
    trial: TrialArgument,
    pilot: Annotated[
        Path, typer.Option(help="A run folder, or a table of observations, of the same arms.")
    ],
    floor: Annotated[
        float, typer.Option(help="The least share of an arm, relative to an equal one.")
    ] = 0.5,
    out: Annotated[
        Path | None, typer.Option(help="Write the trial with these shares to a new file.")
    ] = None,
) -> None:
    """Choose the arms' shares by Neyman's rule: more units where outcomes vary more.

    The standard deviations of a small pilot are drawn towards each other as far as chance could
    have spread them. The shares are plain numbers in the trial file. Never loads torch.

    Example: [bold]causal-sae allocate trial.yaml --pilot runs/pilot --out shared.yaml[/bold]
    """
    from causal_sae.errors import InputError
    from causal_sae.power.allocation import allocation
    from causal_sae.spec.files import at_home
    from causal_sae.spec.loading import load_trial_file

    declared = load_trial_file(trial)
    try:
        found = allocation(declared.trial, _observations(pilot), floor)
    except InputError as error:
        if error.place.file or (error.place.field or "").startswith("-"):
            raise
        raise at_home(error, declared) from None
    if out is not None:
        _write(declared, found, out)
    _show(found, out, Console())


def _observations(path: Path) -> pd.DataFrame:
    from causal_sae.cli.estimate import read_observations
    from causal_sae.run import load_run

    return load_run(path).observations if path.is_dir() else read_observations(path, "--pilot")


def _write(declared: TrialFile, found: Allocation, out: Path) -> None:
    """The trial file with the shares, its comments kept; it must not exist yet."""
    import io

    from ruamel.yaml import YAML

    if out.exists():
        raise DataError(f"{out} exists already; choose another name", Place(field="--out"))
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 10_000
    content = yaml.load(declared.text)
    for arm, share in zip(content["arms"], found.shares, strict=True):
        arm["share"] = float(share)
    buffer = io.StringIO()
    yaml.dump(content, buffer)
    out.write_text(buffer.getvalue(), encoding="utf-8")


def _show(found: Allocation, out: Path | None, console: Console) -> None:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("arm")
    for heading in ("pilot units", "SD", "SD used (relative)", "share"):
        table.add_column(heading, justify="right")
    for i, arm in enumerate(found.arms):
        table.add_row(
            arm,
            str(found.units[i]),
            f"{found.sd[i]:.4g}",
            f"{found.used[i]:.3f}",
            f"{found.shares[i]:.2f}",
        )
    console.print(table)
    saved = 1 - found.gain
    console.print(
        f"With these shares the contrasts' variances are {saved:.1%} smaller in sum than with "
        "equal ones, if the SDs used are right."
        if saved > 0
        else "Equal shares are as good.",
        highlight=False,
        soft_wrap=True,
    )
    if out is None:
        console.print("Write `share:` to the arms, or add --out.", highlight=False)
    else:
        console.print(f"[dim]trial[/dim] {out}", highlight=False, soft_wrap=True)
