"""Figures inside the page: SVG that takes the page's fonts and its light or dark colours."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import TYPE_CHECKING

from causal_sae.reporting.figures.canvas import (
    BLUE,
    GREEN,
    INK,
    MUTED,
    PURPLE,
    RULE,
    VERMILION,
    style,
)

if TYPE_CHECKING:
    from markupsafe import Markup
    from matplotlib.figure import Figure

INHERITED = {
    INK: "var(--ink)",
    MUTED: "var(--muted)",
    RULE: "var(--rule-strong)",
    BLUE: "var(--blue)",
    VERMILION: "var(--vermilion)",
    GREEN: "var(--green)",
    PURPLE: "var(--purple)",
    "#ffffff": "var(--paper)",
}


def inline(figure: Figure | Path, name: str, alt: str) -> Markup:
    """The figure as an ``<svg>`` element.

    Parameters
    ----------
    figure:
        A figure of :mod:`causal_sae.reporting.figures`, or the SVG file that it was saved as.
    name:
        Prefix of every id, so that two figures of a page do not share one.
    alt:
        What a reader who does not see the figure is told.
    """
    from markupsafe import Markup, escape  # noqa: PLC0415

    text = figure.read_text(encoding="utf-8") if isinstance(figure, Path) else _drawn(figure)
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    view = re.search(r'viewBox="([^"]*)"', text)
    title = f"<title>{escape(alt)}</title>"
    opening = f'<svg viewBox="{view[1] if view else ""}" role="img" class="figure">{title}'
    text = opening + re.sub(r"^<svg[^>]*>", "", text)
    text = _own_ids(text, name)
    for colour, variable in INHERITED.items():
        text = re.sub(re.escape(colour), variable, text, flags=re.IGNORECASE)
    # Safe: matplotlib escapes the text that it draws, and the title is escaped above.
    return Markup(_page_fonts(text))


def _drawn(figure: Figure) -> str:
    buffer = io.StringIO()
    with style():
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()


def _own_ids(text: str, name: str) -> str:
    """Keep the ids that something refers to, each with the figure's name in front."""
    text = re.sub(r'xlink:href="#([^"]*)"', rf'href="#{name}-\1"', text)
    text = re.sub(r"url\(#([^)]*)\)", rf"url(#{name}-\1)", text)
    used = set(re.findall(r'(?:href="#|url\(#)([^")]*)', text))

    def kept(match: re.Match[str]) -> str:
        own = f"{name}-{match[1]}"
        return f' id="{own}"' if own in used else ""

    return re.sub(r'\sid="([^"]*)"', kept, text)


def _page_fonts(text: str) -> str:
    """Drop the font families, keep the sizes."""
    text = re.sub(r"font: ([\d.]+px) [^;\"]*", r"font-size: \1", text)
    return re.sub(r"font-family: [^;\"]*;?", "", text)
