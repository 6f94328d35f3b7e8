"""The figures of a report: matplotlib through its object interface.

No figure is ever registered with pyplot, so nothing leaks and nothing depends on a display.
Colours are Okabe and Ito's, which colour-blind readers can tell apart.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from causal_sae.reporting.figures.canvas import style
from causal_sae.reporting.figures.distribution import distributions
from causal_sae.reporting.figures.dose import dose_response, manipulation
from causal_sae.reporting.figures.forest import forest, margins_of
from causal_sae.reporting.figures.looks import looks
from causal_sae.reporting.files import replacing

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from causal_sae.reporting.record import TrialRecord

__all__ = [
    "FIGURES",
    "distributions",
    "dose_response",
    "draw",
    "forest",
    "looks",
    "manipulation",
    "margins_of",
    "save_figure",
    "save_figures",
]


def _forest_of(record: TrialRecord) -> Figure | None:
    if record.effects.empty:
        return None
    return forest(record.effects, margins_of(record.trial))


FIGURES: dict[str, Callable[[TrialRecord], Figure | None]] = {
    "forest": _forest_of,
    "distributions": distributions,
    "dose_response": dose_response,
    "manipulation": manipulation,
    "looks": looks,
}
"""File name to the figure of a record, or to nothing where the record has no such figure."""


def draw(record: TrialRecord) -> dict[str, Figure]:
    """Every figure that the record has."""
    drawn = {name: figure(record) for name, figure in FIGURES.items()}
    return {name: figure for name, figure in drawn.items() if figure is not None}


def save_figures(figures: dict[str, Figure], folder: Path) -> list[Path]:
    """Each figure as PNG (200 dots per inch) and SVG; returns the paths."""
    paths = [folder / f"{name}.{suffix}" for name in figures for suffix in ("png", "svg")]
    for path in paths:
        save_figure(figures[path.stem], path)
    return paths


def save_figure(figure: Figure, path: Path) -> None:
    """Write one figure in the format of the path's suffix; the same figure gives the same bytes."""
    dated = {"Date": None} if path.suffix == ".svg" else {"Software": None}
    with style(), replacing(path) as temporary:
        figure.savefig(temporary, dpi=200, metadata=dated)
