"""A concept trial in the terminal and as a page."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from causal_sae.reporting.features.page import shown
from causal_sae.reporting.features.terminal import number, plain_table
from causal_sae.reporting.files import replacing
from causal_sae.reporting.svg import inline
from causal_sae.spec.verdicts import EFFECTS, GUARDS, KINDS, RULE

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure
    from rich.table import Table

    from causal_sae.spec.concepts import ConceptTrial

ORDER = ("upheld", "harmful", "not upheld", "cannot tell")
"""Verdicts as they are listed: the good news first."""
MARKS = {"upheld": "●", "harmful": "▲", "not upheld": "○", "cannot tell": "·"}


def ordered(verdicts: pd.DataFrame) -> pd.DataFrame:
    """By verdict, then by the p-value that speaks for the label."""
    rank = verdicts["verdict"].map({verdict: i for i, verdict in enumerate(ORDER)})
    keyed = verdicts.assign(rank=rank)
    return keyed.sort_values(["rank", "p_upheld", "feature"], kind="stable").drop(columns="rank")


def verdicts_table(verdicts: pd.DataFrame, count: int, width: int) -> Table:
    """The claims, those upheld first.

    Parameters
    ----------
    verdicts:
        :data:`causal_sae.spec.verdicts.VERDICTS`.
    count:
        Rows.
    width:
        Of the console: the wider, the more is shown.
    """
    counts = verdicts["verdict"].value_counts()
    told = ", ".join(f"{counts.get(verdict, 0)} {verdict}" for verdict in ORDER)
    wide = width >= 110
    table = plain_table(
        *("concept", ">feature", ">AUROC", "verdict", ">ablation \\[95% CI]", ">amplification"),
        *([">p upheld", "decided by"] if wide else []),
        caption=f"[dim]{len(verdicts):,} claims: {told}. Effects on the concept, in nats; p "
        f"adjusted over all of them ({verdicts['correction'].iloc[0]}).[/dim]",
    )
    for row in ordered(verdicts).head(count).to_dict("records"):
        low, high = row["ablation_conf_low"], row["ablation_conf_high"]
        table.add_row(
            str(row["concept"]),
            str(row["feature"]),
            number(row["auroc"]),
            f"{MARKS[str(row['verdict'])]} {row['verdict']}",
            f"{number(row['ablation_estimate'])} \\[{number(low)}, {number(high)}]",
            number(row["amplification_estimate"]),
            *(
                [number(row["p_upheld_adjusted"]), str(row["because"]).replace("_", " ")]
                if wide
                else []
            ),
        )
    return table


def write_concept_report(
    trial: ConceptTrial,
    verdicts: pd.DataFrame,
    tests: pd.DataFrame,
    manifest: Mapping[str, Any],
    figures: Mapping[str, Figure],
    path: Path,
) -> Path:
    """Write the page: one HTML file that opens offline.

    Parameters
    ----------
    trial:
        What was declared.
    verdicts, tests:
        One row a claim; one row a test.
    manifest:
        Of the run.
    figures:
        By name.
    path:
        The file; it appears whole or not at all.
    """
    text = render(trial, verdicts, tests, manifest, figures)
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return path


def render(
    trial: ConceptTrial,
    verdicts: pd.DataFrame,
    tests: pd.DataFrame,
    manifest: Mapping[str, Any],
    figures: Mapping[str, Figure],
) -> str:
    """The page as text; whatever came from a file or a tokenizer is escaped."""
    from jinja2 import Environment, PackageLoader, StrictUndefined  # noqa: PLC0415

    environment = Environment(
        loader=PackageLoader("causal_sae.reporting", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(number=number, shown=shown)
    counts = verdicts["verdict"].value_counts()
    alt = (
        "Effect of amplification against effect of ablation, one point a claim; the numbers are in "
    )
    return environment.get_template("concepts.html.j2").render(
        trial=trial,
        manifest=manifest,
        rule=RULE,
        requirements=(*EFFECTS, *GUARDS),
        marks=MARKS,
        counts={verdict: int(counts.get(verdict, 0)) for verdict in ORDER},
        rows=ordered(verdicts).to_dict("records"),
        by_concept=_by_concept(verdicts),
        tests=_evidence(tests),
        figures={name: inline(f, name, alt + "the table") for name, f in figures.items()},
    )


def _by_concept(verdicts: pd.DataFrame) -> list[dict[str, Any]]:
    """For each concept how many claims got which verdict."""
    rows = []
    for concept, own in verdicts.groupby("concept", sort=False):
        counts = own["verdict"].value_counts()
        rows.append(
            {"concept": concept, "claims": len(own)}
            | {verdict: int(counts.get(verdict, 0)) for verdict in KINDS}
        )
    return rows


def _evidence(tests: pd.DataFrame) -> dict[tuple[str, int], dict[str, dict[str, Any]]]:
    """For each claim its tests by requirement."""
    found: dict[tuple[str, int], dict[str, dict[str, Any]]] = {}
    for row in tests.to_dict("records"):
        claim = found.setdefault((str(row["concept"]), int(row["feature"])), {})
        claim[str(row["requirement"])] = {str(name): value for name, value in row.items()}
    return found
