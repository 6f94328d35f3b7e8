"""A forecast as files, and as a terminal shows it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from causal_sae.reporting.files import replacing
from causal_sae.reporting.power import power_table

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Console

    from causal_sae.power.forecast import Forecast


def write_forecast(forecast: Forecast, folder: Path) -> list[Path]:
    """Write ``power.csv``, ``power_curve.csv`` and the curve as PNG and SVG; returns the paths.

    With neither formula nor simulation there is no curve, and only the table is written.
    """
    written = [_write(forecast.table, folder / "power.csv")]
    if forecast.curve.empty:
        return written
    from causal_sae.reporting.figures import save_figures  # noqa: PLC0415 - loads matplotlib
    from causal_sae.reporting.figures.power import power_curve  # noqa: PLC0415

    assert forecast.trial.power is not None
    figure = power_curve(
        forecast.curve, forecast.table, forecast.units, forecast.trial.power.target
    )
    written.append(_write(forecast.curve, folder / "power_curve.csv"))
    return [*written, *save_figures({"power": figure}, folder)]


def _write(table: pd.DataFrame, path: Path) -> Path:
    with replacing(path) as temporary:
        table.to_csv(temporary, index=False, lineterminator="\n")
    return path


def print_forecast(forecast: Forecast, folder: Path, console: Console) -> None:
    """The table, what was taken for granted, the cost and where the files are."""
    from rich.text import Text  # noqa: PLC0415

    assert forecast.trial.power is not None
    console.print()
    console.print(power_table(forecast.table, forecast.trial.power.target))
    console.print()
    for sentence in [*cost_lines(forecast), *forecast.notes]:
        console.print(Text(f"\N{BULLET} {sentence}", style="dim"))
    console.print()
    console.print(Text("Written: ").append(str(folder), style="bold"), soft_wrap=True)


def cost_lines(forecast: Forecast) -> list[str]:
    """What the planned size costs, and the size that is required, each in one sentence."""
    from causal_sae.power.cost import passes_of_unit, units_in_all  # noqa: PLC0415

    trial, table = forecast.trial, forecast.table
    each = passes_of_unit(trial)
    lines = [f"Planned: {_cost(forecast, forecast.units, each)}."]
    required = table["n_required"].dropna()
    if len(required):
        total = int(units_in_all(trial, float(required.max())))
        lines.append(f"Required by the most demanding contrast: {_cost(forecast, total, each)}.")
    if not forecast.device:
        lines.append("Minutes are not known: a pilot run of the model would measure them.")
    return lines


def _cost(forecast: Forecast, units: int, each: float) -> str:
    from causal_sae.reporting.numbers import seconds  # noqa: PLC0415

    text = f"{units:,} units, {units * each:,.0f} forward passes"
    if not forecast.device:
        return text
    per_unit = forecast.minutes * 60 / max(forecast.units, 1)
    return f"{text}, {seconds(units * per_unit)} on {forecast.device} as measured in the pilot"
