"""Inference after a trial that was looked at: by the stage-wise ordering.

A naive estimate after an early stop is too large, because trials stop early when chance helps. Here
the outcomes of the trial are ordered by stages (see :mod:`causal_sae.estimation.sequential.path`);
p is the probability, without an effect, of what ranks at least as high (twice the smaller of the
two sides), the interval holds the effects under which neither side's probability is below half of
alpha, and the estimate is the effect under which what was found is the median. Sources: Tsiatis,
Rosner and Mehta (1984); Jennison and Turnbull (2000), ch. 8. With one look all of it is Student's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np
from scipy import optimize, special, stats

from causal_sae.estimation.inference import Estimate
from causal_sae.estimation.sequential.path import Stage
from causal_sae.estimation.sequential.walk import Walk

WIDEST = 40.0
"""Standard errors within which every limit lies."""
MOST = 37.0
"""The furthest normal quantile that double precision can tell."""


@dataclass(frozen=True)
class Ordered:
    """What the stage-wise ordering says of a test that stopped."""

    estimate: float
    """Median-unbiased, in the outcome's units."""
    p_value: float
    """Two-sided."""
    conf_low: float
    conf_high: float


def as_normal(statistic: float, df: float) -> float:
    """The normal quantile with the tail probability of a Student's t; NaN df: normal already."""
    if not np.isfinite(df):
        return float(np.clip(statistic, -MOST, MOST))
    tail = float(stats.t.sf(abs(statistic), df))
    return (
        float(np.sign(statistic) * min(-special.ndtri(tail), MOST))
        if tail > 0
        else (float(np.sign(statistic)) * MOST)
    )


def ordered(stages: Sequence[Stage], fitted: Estimate, alpha: float) -> Ordered:
    """Estimate, p-value and interval of a test whose last stage decided it.

    Parameters
    ----------
    stages:
        As :func:`causal_sae.estimation.sequential.path.follow` returns them.
    fitted:
        The naive estimate at the last of them, with its standard error and degrees of freedom.
    alpha:
        The interval has level ``1 - alpha``.
    """
    at_zero = rank(stages, fitted, 0.0)

    def where(target: float) -> float:
        return _root(lambda effect: rank(stages, fitted, effect) - target, fitted)

    p_value = min(1.0, 2 * min(at_zero, 1 - at_zero))
    return Ordered(where(0.5), p_value, where(alpha / 2), where(1 - alpha / 2))


def rank(stages: Sequence[Stage], fitted: Estimate, effect: float) -> float:
    """The probability, under an effect, of what ranks at least as high as what was found.

    Notes
    -----
    The last look's statistic is that of the hypothesis, ``(estimate - effect) / se`` as a normal
    quantile, so that Student's distribution is respected there. Earlier looks have the drift that
    the effect has in units of the last look's standard error.
    """
    *before, last = stages
    time = last.regions.time
    shift = effect / fitted.std_error
    walk = Walk(shift / sqrt(time))
    for stage in before:
        walk = walk.kept(stage.regions.time, *stage.regions.going_on(stage.z))
    z = as_normal((fitted.estimate - effect) / fitted.std_error, fitted.df) + shift
    return walk.above + walk.upper(time, z)


def _root(excess: Callable[[float], float], fitted: Estimate) -> float:
    """Where an increasing function of the effect is zero; infinite where it is not found."""
    reach = 4.0
    while reach <= WIDEST:
        low = fitted.estimate - reach * fitted.std_error
        high = fitted.estimate + reach * fitted.std_error
        if excess(low) < 0 < excess(high):
            return float(optimize.brentq(excess, low, high, xtol=1e-10 * fitted.std_error))
        reach *= 2
    return -np.inf if excess(fitted.estimate) > 0 else np.inf
