"""Numbers as a reader wants them: few honest digits, true minus signs, no exponents."""

from __future__ import annotations

import math

MINUS = "\N{MINUS SIGN}"
MISSING = "\N{EN DASH}"
_MOST_DECIMALS = 6


def decimals(scale: float, digits: int = 2) -> int:
    """How many decimals show ``digits`` significant digits of ``scale``, between 0 and 6."""
    if not math.isfinite(scale) or scale == 0:
        return 0
    return min(max(digits - 1 - math.floor(math.log10(abs(scale))), 0), _MOST_DECIMALS)


def fixed(value: float, places: int) -> str:
    """``value`` with that many decimals; what would round to zero is given as a bound."""
    if math.isnan(value):
        return MISSING
    if math.isinf(value):
        return f"{MINUS if value < 0 else ''}\N{INFINITY}"
    text = f"{abs(value):,.{places}f}"
    if value != 0 and float(text.replace(",", "")) == 0 and places == _MOST_DECIMALS:
        least = f"{10**-places:.{places}f}"
        return f"<{least}" if value > 0 else f">{MINUS}{least}"
    negative = value < 0 and float(text.replace(",", "")) != 0
    return f"{MINUS if negative else ''}{text}"


def number(value: float, digits: int = 3) -> str:
    """``value`` with at least that many significant digits and no exponent."""
    if value == 0:
        return "0"
    return fixed(value, decimals(value, digits))


def declared(value: float) -> str:
    """A number as a person wrote it: ``0.1``, not ``0.100``."""
    text = f"{abs(value):.{_MOST_DECIMALS}f}".rstrip("0").rstrip(".")
    return f"{MINUS if value < 0 else ''}{text}" if float(text) else number(value)


def places(estimate: float, low: float, high: float) -> int:
    """Decimals for an estimate and its interval: two significant digits of the half-width."""
    width = (high - low) / 2
    if not math.isfinite(width):
        # A one-sided interval: its finite bound still says how precise the estimate is.
        width = min((abs(b - estimate) for b in (low, high) if math.isfinite(b)), default=0.0)
    if width > 0:
        return decimals(width)
    return decimals(estimate, 3)


def with_interval(estimate: float, low: float, high: float) -> str:
    """``-0.421 [-0.484, -0.358]``, all to the same decimals."""
    shown = places(estimate, low, high)
    if math.isnan(low) and math.isnan(high):
        return fixed(estimate, shown)
    return f"{fixed(estimate, shown)} [{fixed(low, shown)}, {fixed(high, shown)}]"


def interval(estimate: float, low: float, high: float) -> str:
    """``-0.484 to -0.358``, with the decimals that the estimate beside it has."""
    shown = places(estimate, low, high)
    return f"{fixed(low, shown)} to {fixed(high, shown)}"


def magnitude(estimate: float, low: float, high: float) -> str:
    """The size of an estimate without its sign, to the decimals of its interval."""
    return fixed(abs(estimate), places(estimate, low, high))


def p_value(p: float) -> str:
    """``<0.001``, ``0.032``, ``0.0496``, ``0.47``: never rounded across the usual levels."""
    if math.isnan(p):
        return MISSING
    if p < 0.001:
        return "<0.001"
    if p > 0.99:
        return "1.00" if p == 1 else ">0.99"
    if 0.045 < p < 0.055 or 0.0095 < p < 0.0105:
        return f"{p:.4f}"
    return f"{p:.3f}" if p < 0.2 else f"{p:.2f}"


def percent(part: float, whole: float) -> str:
    """``43%``, or a dash of nothing."""
    return f"{100 * part / whole:.0f}%" if whole else MISSING


def seconds(value: float) -> str:
    """``0.4 s``, ``12 s``, ``3 min 05 s``, ``1 h 02 min``."""
    if value < 10:
        return f"{value:.1f} s"
    if value < 60:
        return f"{value:.0f} s"
    minutes, rest = divmod(round(value), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def level(conf_level: float) -> str:
    """``95%``; ``95.8%`` where the level is not a whole number."""
    if math.isnan(conf_level):
        return ""
    return f"{round(100 * conf_level, 1):g}%"


def count(value: int, noun: str, plural: str | None = None) -> str:
    """``1 prompt``, ``212 prompts``."""
    return f"{value:,} {noun if value == 1 else plural or noun + 's'}"
