"""Exact limits of a noncentrality: what the intervals of d, g, d_z and Glass's delta rest on."""

from __future__ import annotations

import numpy as np
from scipy import optimize, stats


def noncentrality_interval(t: float, df: float, alpha: float) -> tuple[float, float]:
    """The noncentralities at which the observed t sits at the upper and the lower tail.

    Parameters
    ----------
    t:
        The observed t statistic.
    df:
        Its degrees of freedom.
    alpha:
        The interval has level ``1 - alpha``.

    Notes
    -----
    Steiger (2004). The root is bracketed outwards from t, because ``nct.cdf`` is NaN far from it.
    """
    return (
        _noncentrality(t, df, 1 - alpha / 2, -1.0),
        _noncentrality(t, df, alpha / 2, +1.0),
    )


def _noncentrality(t: float, df: float, probability: float, direction: float) -> float:
    """The ncp with ``P(T <= t | ncp) = probability``, looked for from t in one direction."""

    def excess(ncp: float) -> float:
        return _noncentral_cdf(t, df, ncp) - probability

    step = float(np.sqrt(1 + t**2 / (2 * df)))
    near, far = t - direction * step, t + direction * step
    for _ in range(60):
        if excess(near) * excess(far) <= 0:
            return float(optimize.brentq(excess, near, far, xtol=1e-12, rtol=1e-14))
        near, far = far, far + direction * step
    return np.nan


def _noncentral_cdf(t: float, df: float, ncp: float) -> float:
    """``P(T <= t)``; far out, where scipy gives up, the normal limit (Abramowitz 26.7.10)."""
    value = float(stats.nct.cdf(t, df, ncp))
    if np.isfinite(value):
        return value
    shrink = 1 - 1 / (4 * df)
    return float(stats.norm.cdf((t * shrink - ncp) / np.sqrt(1 + t**2 / (2 * df))))
