"""Cards of features as one HTML file that opens offline, in light and dark."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from causal_sae.reporting.features.card import BIN_NAMES, Card
from causal_sae.reporting.features.terminal import number, percent
from causal_sae.reporting.features.text import MARKS
from causal_sae.reporting.files import replacing

MEASURES = (
    ("density", "fires at", "share of positions; first positions and attention sinks not counted"),
    ("mean_activation", "mean", "activation where it fires"),
    ("q50", "median", "where it fires"),
    ("q99", "99th percentile", "where it fires"),
    ("max_activation", "maximum", "where it fires"),
    ("sharpness", "sharpness", "1: all in one context, 0: alike in all"),
    ("cohesion", "cohesion", "likeness of its top contexts, 0: as of random contexts"),
    ("token_focus", "token focus", "share of its activation on its one commonest token"),
    ("kurtosis", "kurtosis", "excess, of its active values"),
    ("bimodality", "bimodality", "of its active values; 0.56 for a uniform distribution"),
    ("stability", "stability", "cosine with the nearest feature of the other SAE"),
)
"""Column, name, and what it means."""
SHARES = frozenset({"density", "token_focus"})


def write_cards(cards: Sequence[Card], path: Path, about: str) -> Path:
    """Write the page.

    Parameters
    ----------
    cards:
        The features.
    path:
        The file; it appears whole or not at all.
    about:
        What the features are of.
    """
    text = render(cards, about)
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return path


def render(cards: Sequence[Card], about: str) -> str:
    """The page as text; whatever came from a corpus or a tokenizer is escaped."""
    from jinja2 import Environment, PackageLoader, StrictUndefined  # noqa: PLC0415

    environment = Environment(
        loader=PackageLoader("causal_sae.reporting", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(number=number, percent=percent, shown=shown, compact=compact)
    environment.globals.update(
        shade=shade, bins=BIN_NAMES, bars=bars, measures=measures, interval=interval
    )
    return environment.get_template("features.html.j2").render(cards=cards, about=about)


def shown(token: str) -> str:
    """A token's text with what cannot be seen made visible; spaces stay spaces."""
    return "".join(MARKS.get(sign, sign if sign.isprintable() else "\ufffd") for sign in token)


def compact(cell: object) -> list[str]:
    """The tokens of a cell."""
    return [shown(token) for token in cell.split(" | ")] if isinstance(cell, str) and cell else []


def shade(activation: float, scale: float) -> int:
    """How strongly a token is coloured, in per cent: by the root, so that weak ones are seen."""
    return round(100 * math.sqrt(min(max(activation / scale, 0.0), 1.0)))


def bars(card: Card) -> list[tuple[float, float, float]]:
    """The histogram's bars in per cent of the picture: left, width, height (of the root of counts).

    Counts fall off so steeply that a plain scale would show the first bar alone.
    """
    if not card.bars:
        return []
    right, top = card.bars[-1][1], max(count for *_, count in card.bars)
    return [
        (100 * low / right, 100 * (high - low) / right, 100 * math.sqrt(count / top))
        for low, high, count in card.bars
    ]


def measures(card: Card) -> list[tuple[str, str, str]]:
    """Name, value and meaning of every measure that the store has."""
    return [
        (label, percent(card.fact(name)) if name in SHARES else number(card.fact(name)), meaning)
        for name, label, meaning in MEASURES
        if card.fact(name) is not None
    ]


def interval(row: dict[str, object], value: str, low: str, high: str) -> str:
    """``0.123 [0.045, 0.201]``."""
    return f"{number(row[value])} [{number(row[low])}, {number(row[high])}]"
