"""The report: one HTML file that opens offline, on any screen and on paper."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import pandas as pd

from causal_sae.reporting import numbers, sections, wording
from causal_sae.reporting.effect import Effect, read_effects
from causal_sae.reporting.figures import draw
from causal_sae.reporting.files import replacing
from causal_sae.reporting.graph import causal_graph
from causal_sae.reporting.svg import inline
from causal_sae.reporting.texts import shown
from causal_sae.reporting.verdict import judge
from causal_sae.tables import COMPANIONS, EFFECTS

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup
    from matplotlib.figure import Figure

    from causal_sae.reporting.record import TrialRecord
    from causal_sae.spec import Trial

Pictures: TypeAlias = "Mapping[str, Figure | Path]"
"""Names of figures to the figures, or to the SVG files that hold them."""
ROLES = ("primary", "secondary", "guardrail", "exploratory")


def write_report(record: TrialRecord, path: Path, figures: Pictures | None = None) -> Path:
    """Write the report of a run.

    Parameters
    ----------
    record:
        The run.
    path:
        The file to write; it appears whole or not at all.
    figures:
        What :func:`causal_sae.reporting.figures.draw` gave, or the SVG files that it was saved
        as, if they are drawn already.

    Returns
    -------
    Path
        ``path``.
    """
    text = render(record, draw(record) if figures is None else figures)
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return path


def render(record: TrialRecord, figures: Pictures) -> str:
    """The page as text."""
    rows = read_effects(record.effects)
    context = _context(record, rows)
    context["figures"] = _pictures(rows, figures)
    return _environment().get_template("report.html.j2").render(context)


def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined  # noqa: PLC0415

    environment = Environment(
        loader=PackageLoader("causal_sae.reporting", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        number=numbers.number,
        declared=numbers.declared,
        fixed=numbers.fixed,
        p=numbers.p_value,
        level=numbers.level,
        sentence=wording.sentence,
    )
    return environment


def _context(record: TrialRecord, rows: tuple[Effect, ...]) -> dict[str, object]:
    trial, manifest = record.trial, record.manifest
    headings, delivered = sections.delivery(record)
    return {
        "trial": trial,
        "record": record,
        "verdict": judge(record),
        "facts": sections.facts(trial),
        "estimand": sections.estimand(trial),
        "flow": record.flow,
        "within_unit": trial.within_unit,
        "effects_by_outcome": _by_outcome(rows),
        "conf_level": _one_level(rows),
        "all_columns": list(EFFECTS.columns),
        "all_rows": _full_rows(record.effects),
        "arms": sections.arms(trial),
        "outcomes": sections.outcomes(trial),
        "checks": _records(record.diagnostics),
        "delivery_headings": headings,
        "delivery": delivered,
        "balance": [] if record.balance is None else sections.balance(record.balance),
        "balance_limit": sections.BALANCE_LIMIT,
        "analysis_sets": sections.analysis_sets(rows),
        "harm_bound": sections.harm_bound,
        "rail_level": _one_level(tuple(row for row in rows if row.role == "guardrail")),
        "refutations": [{"status": None, **row} for row in _records(record.refutations)],
        "graph": causal_graph(record.identification),
        "companions": [
            _companion(name, table)
            for name, table in record.companions.items()
            if name != "missingness"
        ],
        "missing": sections.missing(record.observations),
        "missingness": sections.missingness(record.companions.get("missingness")),
        "missingness_text": COMPANIONS["missingness"].explanation,
        "flags": sections.flags(rows, record.flag_meanings),
        "texts": shown(trial, record.texts),
        "looks_text": sections.looks(trial, manifest),
        "registration": sections.registration(trial, manifest),
        "deviations": manifest.get("deviations", []),
        "provenance": sections.provenance(manifest),
        "versions": manifest.get("versions", {}),
        "hashes": manifest.get("hashes", {}),
        "timings": sections.timings(manifest),
        "limitations": sections.limitations(record, rows),
        "trial_text": record.trial_text or _as_yaml(trial),
    }


def _by_outcome(rows: tuple[Effect, ...]) -> list[list[Effect]]:
    """Rows grouped by outcome; primary outcomes first, guardrails after secondary ones."""
    order = {role: i for i, role in enumerate(ROLES)}
    outcomes = dict.fromkeys((row.outcome, row.role) for row in rows)
    ranked = sorted(outcomes, key=lambda pair: order.get(pair[1], len(order)))
    return [[row for row in rows if row.outcome == outcome] for outcome, _ in ranked]


def _one_level(rows: tuple[Effect, ...]) -> str:
    levels = {numbers.level(row.conf_level) for row in rows}
    return levels.pop() if len(levels) == 1 else ""


def _full_rows(effects: pd.DataFrame) -> list[list[tuple[str, str]]]:
    """Every cell as (what is shown, the exact value)."""
    full = EFFECTS.conform(effects)
    return [[_cell(full[name].iloc[i], name) for name in EFFECTS.columns] for i in range(len(full))]


def _companion(name: str, table: pd.DataFrame) -> dict[str, object]:
    """A table beside the effects: its title, what it tells, its filled columns and its cells."""
    filled = [str(column) for column in table if table[column].notna().any()]
    return {
        "name": name,
        "title": COMPANIONS[name].title,
        "explanation": COMPANIONS[name].explanation,
        "columns": filled,
        "rows": [[_cell(row[column], column) for column in filled] for _, row in table.iterrows()],
    }


def _cell(value: object, column: str) -> tuple[str, str]:
    if value is None or value is pd.NA or value != value:
        return "", ""
    if isinstance(value, float):
        shown = numbers.p_value(value) if column.startswith("p_") else numbers.number(value, 4)
        return shown, repr(float(value))
    return str(value), str(value)


def _records(table: pd.DataFrame | None) -> list[dict[str, object]]:
    if table is None:
        return []
    return [
        {str(k): None if pd.isna(v) else v for k, v in row.items()}
        for row in table.to_dict("records")
    ]


def _pictures(rows: tuple[Effect, ...], figures: Pictures) -> dict[str, Markup]:
    alts = {
        "forest": "Forest plot. "
        + " ".join(f"{row.outcome}, {row.contrast}: {row.with_interval}." for row in rows),
        "distributions": "Distribution of each outcome by arm; the means are in the table of "
        "effects.",
        "dose_response": "Mean of each outcome against the dose, with intervals.",
        "manipulation": "Activation found on re-encoding against the activation asked for; "
        "points on the diagonal received what was declared.",
        "looks": "The statistic at each look, and the boundaries; the numbers are in the table of "
        "looks.",
    }
    return {name: inline(figure, name, alts.get(name, name)) for name, figure in figures.items()}


def _as_yaml(trial: Trial) -> str:
    from ruamel.yaml import YAML  # noqa: PLC0415

    buffer = io.StringIO()
    writer = YAML()
    writer.default_flow_style = False
    writer.dump(trial.model_dump(mode="json", by_alias=True, exclude_none=True), buffer)
    return buffer.getvalue()
