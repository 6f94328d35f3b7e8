"""What all figures share: palette, style, and a canvas outside pyplot."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from causal_sae.reporting import wording

if TYPE_CHECKING:
    from matplotlib.figure import Figure

INK, MUTED, RULE = "#1b1d21", "#6a6f78", "#c9cdd3"
BLUE, VERMILION, GREEN, PURPLE = "#0072b2", "#d55e00", "#009e73", "#a6588f"
ROLE_COLOURS = {"primary": BLUE, "secondary": MUTED, "guardrail": VERMILION, "exploratory": PURPLE}
PART_COLOURS: dict[wording.Part, str] = {"active": BLUE, "placebo": VERMILION, "control": MUTED}
WIDTH = 7.0

TICKS: dict[str, Any] = {
    **dict.fromkeys(("figure.facecolor", "axes.facecolor"), "white"),
    **dict.fromkeys(("xtick.direction", "ytick.direction"), "out"),
    **dict.fromkeys(("xtick.top", "ytick.right", "axes.grid"), False),
    **dict.fromkeys(("xtick.bottom", "ytick.left", "axes.axisbelow"), True),
    "grid.linestyle": "-",
    "grid.color": ".8",
    "lines.solid_capstyle": "round",
    "patch.edgecolor": "w",
    "patch.force_edgecolor": True,
}
"""seaborn's style "ticks", written out: to ask seaborn for it takes half a second, because it
brings pyplot along."""


@contextmanager
def style() -> Iterator[None]:
    """The look of every figure: a white page, thin axes, text that stays text in SVG."""
    import matplotlib as mpl  # noqa: PLC0415

    looks: dict[Any, Any] = {
        **TICKS,
        "font.family": "DejaVu Sans",
        "font.size": 9.0,
        "axes.labelsize": 9.0,
        "axes.titlesize": 9.5,
        "xtick.labelsize": 8.5,
        "ytick.labelsize": 9.0,
        "axes.linewidth": 0.7,
        "xtick.major.width": 0.7,
        "xtick.major.size": 3.0,
        "ytick.major.size": 0.0,
        "text.color": INK,
        "axes.labelcolor": INK,
        "xtick.color": INK,
        "ytick.color": INK,
        "axes.edgecolor": RULE,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "svg.fonttype": "none",
        "svg.hashsalt": "causal-sae",
        "axes.unicode_minus": True,
        "text.parse_math": False,
    }
    with mpl.rc_context(looks):
        yield


def canvas(
    height: float,
    panels: int = 1,
    heights: Sequence[float] | None = None,
    width: float = WIDTH,
    columns: int = 1,
) -> Figure:
    """A figure with ``panels`` rows of axes, unknown to pyplot; inches."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415
    from matplotlib.figure import Figure  # noqa: PLC0415
    from matplotlib.layout_engine import ConstrainedLayoutEngine  # noqa: PLC0415

    figure = Figure(figsize=(width, height), layout=ConstrainedLayoutEngine(h_pad=0.1))
    FigureCanvasAgg(figure)
    ratios = list(heights or [1.0] * panels)
    figure.subplots(panels, columns, squeeze=False, height_ratios=ratios)
    return figure


def settled(figure: Figure) -> Figure:
    """The figure with its layout computed once and for all: every save gives the same bytes."""
    figure.draw_without_rendering()
    # None rather than "none": with any engine matplotlib draws twice at every save.
    figure.set_layout_engine(None)
    return figure
