"""What readers see: the terminal's tables, the figures, the page and the exported tables.

Importing this package loads neither pandas, matplotlib nor Jinja; each function loads what it
draws with when it is called.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from causal_sae.reporting.record import ArmFlow, Flow, Manifest, TrialRecord
from causal_sae.reporting.verdict import Verdict, judge

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

__all__ = [
    "ArmFlow",
    "Flow",
    "Manifest",
    "TrialRecord",
    "Verdict",
    "draw_figures",
    "effects_html",
    "forest",
    "judge",
    "write_report",
]


def forest(record: TrialRecord) -> Figure:
    """Every effect of a run with its interval; see :mod:`causal_sae.reporting.figures.forest`."""
    from causal_sae.reporting import figures  # noqa: PLC0415 - loads matplotlib

    return figures.forest(record.effects, figures.margins_of(record.trial))


def draw_figures(record: TrialRecord, folder: Path) -> list[Path]:
    """Every figure that the run has, as PNG and SVG in ``folder``; returns the paths."""
    from causal_sae.reporting import figures  # noqa: PLC0415 - loads matplotlib

    return figures.save_figures(figures.draw(record), folder)


def write_report(record: TrialRecord, path: Path) -> Path:
    """Write the page of a run: one file that opens offline. Returns ``path``."""
    from causal_sae.reporting import page  # noqa: PLC0415 - loads Jinja and matplotlib

    return page.write_report(record, path)


def effects_html(effects: pd.DataFrame) -> str:
    """The printed table of effects as HTML, for notebooks."""
    from causal_sae.reporting.export import as_html  # noqa: PLC0415 - loads pandas

    return as_html(effects)
