"""Arms, or cells, that vary so differently that what pools them is warned of."""

from __future__ import annotations

from collections.abc import Sequence

from causal_sae.estimation.sample import Vector

FAR_APART = 2.0
"""From this ratio of two standard deviations on, pooling them is warned of."""


def spread_ratio(groups: Sequence[Vector]) -> float | None:
    """The largest standard deviation over the smallest, where that is far from one.

    Parameters
    ----------
    groups:
        Their outcomes; groups of one unit do not count.
    """
    spreads = [float(group.std(ddof=1)) for group in groups if len(group) > 1]
    if len(spreads) < 2 or not min(spreads) > 0:
        return None
    ratio = max(spreads) / min(spreads)
    return ratio if ratio >= FAR_APART else None


def spread_flags(groups: Sequence[Vector]) -> tuple[str, ...]:
    """``unequal_spread`` where two arms are far apart."""
    ratio = spread_ratio(groups)
    return () if ratio is None else (f"unequal_spread:{ratio:.1f}",)
