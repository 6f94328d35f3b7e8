"""The causal graph of a trial as a small picture, from the edges that its identification names."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from markupsafe import Markup

Edge: TypeAlias = "tuple[str, str]"
Point: TypeAlias = "tuple[float, float]"

ARM, OUTCOME = "arm", "outcome"
LETTER, PADDING, GAP = 6.6, 22.0, 26.0
"""Widths of a letter, of what surrounds a node's text, and between two nodes."""
HALF_HEIGHT, ROW, MARGIN = 13.0, 62.0, 16.0
UNSEEN = frozenset({"prompt"})
"""Nodes that stand for more than was measured: drawn with a dashed outline."""


def edges_of(identification: str) -> tuple[Edge, ...]:
    """The edges in a text of ``cause -> effect`` lines, which are indented."""
    found = re.findall(r"^ +(\S.*?) -> (\S.*?)$", identification, flags=re.MULTILINE)
    return tuple((cause, effect) for cause, effect in found)


def causal_graph(identification: str) -> Markup | None:
    """The graph as an ``<svg>`` element; None where the text names no edge from arm to outcome.

    The arm stands on the left, the outcome on the right, what else causes the outcome above them,
    and causes of causes above that.
    """
    from markupsafe import Markup, escape  # noqa: PLC0415

    edges = edges_of(identification)
    if (ARM, OUTCOME) not in edges:
        return None
    places, width, height = _places(edges)
    told = "; ".join(f"{cause} causes {effect}" for cause, effect in edges)
    parts = [
        f'<svg viewBox="0 0 {width:.0f} {height:.0f}" role="img" class="figure graph" '
        f'style="max-width: {width:.0f}px"><title>{escape(f"Causal graph: {told}.")}</title>',
        '<defs><marker id="graph-tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" '
        'markerHeight="7" orient="auto"><path d="M0 0.8 7.5 4 0 7.2z" fill="var(--muted)"/>'
        "</marker></defs>",
        *(_arrow(cause, places[cause], effect, places[effect]) for cause, effect in edges),
        *(
            _node(str(escape(name)), _half_width(name), place, name)
            for name, place in places.items()
        ),
        "</svg>",
    ]
    # Safe: every name is escaped above, and all else is ours.
    return Markup("".join(parts))


def _places(edges: tuple[Edge, ...]) -> tuple[dict[str, Point], float, float]:
    """Where each node's centre is, and the size of the picture."""
    nodes = list(dict.fromkeys(name for edge in edges for name in edge))
    near = [n for n in nodes if n not in (ARM, OUTCOME) and (n, OUTCOME) in edges]
    near.sort(key=lambda name: (name, ARM) not in edges)  # what decides the arm stands over it
    far = [n for n in nodes if n not in (ARM, OUTCOME, *near)]
    rows = [row for row in (far, near, [ARM, OUTCOME]) if row]
    inner = max(300.0, *(_length(row) for row in rows))
    places: dict[str, Point] = {}
    for level, row in enumerate(rows):
        y = MARGIN + HALF_HEIGHT + level * ROW
        spare = (inner - _length(row)) / (len(row) - 1 if row[0] == ARM else len(row) + 1)
        x = MARGIN + (0.0 if row[0] == ARM else spare)
        for name in row:
            places[name] = (x + _half_width(name), y)
            x += 2 * _half_width(name) + GAP + spare
    return places, inner + 2 * MARGIN, 2 * MARGIN + 2 * HALF_HEIGHT + (len(rows) - 1) * ROW


def _half_width(name: str) -> float:
    return (LETTER * len(name) + PADDING) / 2


def _length(row: list[str]) -> float:
    return sum(2 * _half_width(name) for name in row) + GAP * (len(row) - 1)


def _border(name: str, centre: Point, other: Point) -> Point:
    """Where the line from a node's centre to another leaves the node's box."""
    dx, dy = other[0] - centre[0], other[1] - centre[1]
    reach = min(
        _half_width(name) / abs(dx) if dx else float("inf"),
        HALF_HEIGHT / abs(dy) if dy else float("inf"),
    )
    return centre[0] + reach * dx, centre[1] + reach * dy


def _arrow(cause: str, start: Point, effect: str, end: Point) -> str:
    (x1, y1), (x2, y2) = _border(cause, start, end), _border(effect, end, start)
    kind = "var(--blue)" if (cause, effect) == (ARM, OUTCOME) else "var(--muted)"
    return (
        f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{kind}" '
        f'stroke-width="{1.8 if kind == "var(--blue)" else 1.1}" marker-end="url(#graph-tip)"/>'
    )


def _node(text: str, half: float, centre: Point, name: str) -> str:
    x, y = centre
    dashes = ' stroke-dasharray="4 3"' if name in UNSEEN else ""
    colour = "var(--blue)" if name in (ARM, OUTCOME) else "var(--rule-strong)"
    return (
        f'<rect x="{x - half:.1f}" y="{y - HALF_HEIGHT:.1f}" width="{2 * half:.1f}" '
        f'height="{2 * HALF_HEIGHT:.1f}" rx="6" fill="var(--paper)" stroke="{colour}"{dashes}/>'
        f'<text x="{x:.1f}" y="{y + 4:.1f}" text-anchor="middle" font-size="12" '
        f'fill="var(--ink)">{text}</text>'
    )
