"""``causal-sae estimate``: effects from observations that are there already."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from causal_sae.errors import DataError, InputError, Place

if TYPE_CHECKING:
    import pandas as pd

NAME = "estimate"


def command(
    run: Annotated[
        Path | None,
        typer.Argument(metavar="[RUN]", help="A run folder to estimate again.", show_default=False),
    ] = None,
    trial: Annotated[Path | None, typer.Option(help="The trial, for a foreign table.")] = None,
    observations: Annotated[
        Path | None, typer.Option(help="A table of observations: csv or parquet, long form.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="The run folder that is made.")] = None,
) -> None:
    """Estimate effects from a run's saved observations, or from a table made elsewhere.

    A foreign table has the columns unit_id, arm, outcome and value. Never loads torch.

    Example: [bold]causal-sae estimate --trial trial.yaml --observations obs.csv --out runs/x[/bold]
    """
    from causal_sae.cli.summary import show_run
    from causal_sae.pipeline import estimate_observations, estimate_run, report_run
    from causal_sae.run import Run, load_run

    finished: Run
    if run is not None and trial is None and observations is None and out is None:
        finished = load_run(run)
        estimate_run(finished.folder)
        report_run(finished.folder)
        finished = load_run(run)
    elif run is None and trial is not None and observations is not None and out is not None:
        finished = estimate_observations(trial, read_observations(observations), out)
    else:
        raise InputError(
            "give a run folder, or all three of --trial, --observations and --out",
            Place(field="causal-sae estimate"),
        )
    show_run(finished, Console())


def read_observations(path: Path, option: str = "--observations") -> pd.DataFrame:
    """A table of observations from a file; ``option`` is what the user called it."""
    import pandas as pd

    if not path.exists():
        raise DataError("there is no such file", Place(file=path, field=option))
    if path.suffix not in (".csv", ".parquet"):
        raise DataError(
            f"must end in .csv or .parquet, got {path.suffix!r}",
            Place(file=path, field=option),
        )
    try:
        # Units are names: "007" is not 7.
        text = {"unit_id": str, "arm": str, "outcome": str}
        return pd.read_csv(path, dtype=text) if path.suffix == ".csv" else pd.read_parquet(path)
    except (ValueError, OSError) as error:
        reason = str(error).splitlines()[0]
        raise DataError(f"cannot be read: {reason}", Place(file=path)) from None
