"""The table of effects in the formats that papers and colleagues ask for."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from causal_sae.errors import InputError, Place, did_you_mean
from causal_sae.reporting.effect import Effect, read_effects
from causal_sae.reporting.files import replacing
from causal_sae.reporting.numbers import MINUS, MISSING, number, p_value

if TYPE_CHECKING:
    import pandas as pd

LATEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    MINUS: "$-$",
    "<": "$<$",
    ">": "$>$",
    MISSING: "--",
    "δ": r"$\delta$",
    "\N{MULTIPLICATION SIGN}": r"$\times$",
}
HEADINGS = ("Outcome", "Role", "Contrast", "n", "Estimate [CI]", "p", "p adjusted", "Effect size")


def export(effects: pd.DataFrame, fmt: str, path: Path) -> Path:
    """Write the effects to ``path``.

    csv, parquet and xlsx hold every column at full precision; md, latex and html hold the table
    that a paper prints.

    Raises
    ------
    InputError
        The format is not one of :data:`FORMATS`, or its library is not installed.
    """
    if fmt not in FORMATS:
        raise InputError(
            f"the format must be one that is known, got {fmt!r}; {did_you_mean(fmt, FORMATS)}",
            Place(field="--format"),
        )
    with replacing(path) as temporary:
        FORMATS[fmt](effects, temporary)
    return path


def _csv(effects: pd.DataFrame, path: Path) -> None:
    effects.to_csv(path, index=False)


def _parquet(effects: pd.DataFrame, path: Path) -> None:
    effects.to_parquet(path, index=False)


def _xlsx(effects: pd.DataFrame, path: Path) -> None:
    if find_spec("openpyxl") is None:
        raise InputError(
            "writing xlsx needs the library openpyxl, which is not installed; "
            "run: pip install 'causal-sae[excel]'",
            Place(field="--format"),
        )
    effects.to_excel(
        path, index=False, sheet_name="effects", engine="openpyxl", freeze_panes=(1, 4)
    )


def printed(effect: Effect) -> tuple[str, ...]:
    """The cells of one row of a printed table, under :data:`HEADINGS`."""
    size = number(effect.effect_size)
    return (
        effect.outcome,
        effect.role,
        effect.contrast,
        f"{effect.n_treatment}/{effect.n_reference}",
        effect.with_interval,
        p_value(effect.p_value),
        p_value(effect.p_adjusted) + ("*" if effect.reject else ""),
        f"{effect.size_symbol} {size}".strip(),
    )


def _note(rows: tuple[Effect, ...]) -> str:
    levels: dict[str, list[str]] = {}
    for e in rows:
        if e.conf_level == e.conf_level:
            levels.setdefault(f"{100 * e.conf_level:.3g}%", []).append(e.outcome)
    level = f"{next(iter(levels))} " if len(levels) == 1 else ""
    each = (f"{level} for {', '.join(dict.fromkeys(of))}" for level, of in levels.items())
    mixed = f" ({', '.join(each)})" if len(levels) > 1 else ""
    corrections = ", ".join(dict.fromkeys(e.adjusted for e in rows))
    return (
        f"Treatment minus reference, {level}confidence interval{mixed}; p adjusted: {corrections}. "
        "* rejected at the trial's alpha after adjustment."
    )


def _markdown(effects: pd.DataFrame, path: Path) -> None:
    rows = read_effects(effects)
    lines = ["| " + " | ".join(HEADINGS) + " |", "|" + "|".join(["---"] * len(HEADINGS)) + "|"]
    for row in rows:
        cells = (cell.replace("|", r"\|").replace("*", r"\*") for cell in printed(row))
        lines.append("| " + " | ".join(cells) + " |")
    text = "\n".join([*lines, "", _note(rows).replace("*", r"\*"), ""])
    path.write_text(text, encoding="utf-8")


def _escape(text: str) -> str:
    return "".join(LATEX.get(character, character) for character in text)


def _latex(effects: pd.DataFrame, path: Path) -> None:
    rows = read_effects(effects)
    body = [" & ".join(_escape(cell) for cell in printed(row)) + r" \\" for row in rows]
    lines = [
        r"% needs \usepackage{booktabs}",
        r"\begin{tabular}{lllrrrrr}",
        r"\toprule",
        " & ".join(_escape(heading) for heading in HEADINGS) + r" \\",
        r"\midrule",
        *body,
        r"\bottomrule",
        r"\end{tabular}",
        f"% {_note(rows)}",
        "",
    ]
    path.write_text("\n".join(lines), encoding="utf-8")


def _html(effects: pd.DataFrame, path: Path) -> None:
    path.write_text(as_html(effects), encoding="utf-8")


def as_html(effects: pd.DataFrame) -> str:
    """The printed table as an HTML ``<table>``, everything in it escaped."""
    from markupsafe import Markup  # noqa: PLC0415 - arrives with Jinja

    rows = read_effects(effects)
    cell, head = Markup("<td>{}</td>"), Markup('<th scope="col">{}</th>')
    line = Markup("<tr>{}</tr>\n")
    header = line.format(Markup("").join(head.format(heading) for heading in HEADINGS))
    body = Markup("").join(
        line.format(Markup("").join(cell.format(text) for text in printed(row))) for row in rows
    )
    table = Markup(
        "<table>\n<caption>{}</caption>\n<thead>\n{}</thead>\n<tbody>\n{}</tbody>\n</table>\n"
    ).format(_note(rows), header, body)
    return str(table)


FORMATS: dict[str, Callable[[pd.DataFrame, Path], None]] = {
    "csv": _csv,
    "parquet": _parquet,
    "md": _markdown,
    "latex": _latex,
    "html": _html,
    "xlsx": _xlsx,
}
"""Name of a format to its writer."""
ENDINGS = {"latex": ".tex"}
"""The ending of a format's files, where it is not the format's name."""
