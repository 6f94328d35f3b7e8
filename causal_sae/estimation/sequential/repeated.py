"""Repeated confidence intervals: they hold at all looks at once, whatever made the trial stop.

A trial stops because of its primary outcomes. What is measured beside them goes with them, and an
interval that takes no account of the looks is then off. Jennison and Turnbull's (1989, Journal of
the Royal Statistical Society B 51, 305) intervals spend their own error over the planned looks as
if they were looked at and never stopped by; so they hold at whichever look the trial ended, for
whatever reason. The price is their width at an early one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import optimize, special

from causal_sae.estimation.sequential import always_valid
from causal_sae.estimation.sequential.path import follow
from causal_sae.estimation.sequential.spending import SPENDING, planned_spending
from causal_sae.estimation.sequential.times import is_last, planned_time

if TYPE_CHECKING:
    from causal_sae.spec.analysis import Looks

LEAST = 1e-12
"""A level below is taken for this one: its interval is seven standard errors to each side."""
SURE, MOST = 1e-10, 0.9
"""The levels between which a p-value is looked for."""


def nominal(looks: Looks, number: int, alpha: float) -> float:
    """The level at which one look is tested, so that all looks together err by alpha.

    Parameters
    ----------
    looks:
        As declared; a rule of futility is not counted on.
    number:
        The look, from 1.
    alpha:
        Two-sided; for a test of one side twice its level.
    """
    time = planned_time(looks, number)
    if looks.spending == "always_valid":
        return max(LEAST, 2 * float(special.ndtr(-always_valid.boundary(alpha, time))))
    times = [planned_time(looks, i) for i in range(1, number + 1)]
    planned = planned_spending(looks.spending, alpha, looks.at or (1.0,))
    of_time = SPENDING.get(looks.spending)
    spent = [
        alpha / 2
        if is_last(looks, i)
        else float(planned[i - 1] if of_time is None else of_time(alpha / 2, t))
        for i, t in enumerate(times, 1)
    ]
    last = follow(times, spent, [0.0] * number, number + 1)[-1]
    return float(np.clip(2 * special.ndtr(-last.regions.upper), LEAST, alpha))


def repeated_p_value(looks: Looks, number: int, p_value: float) -> float:
    """The smallest alpha at which a look rejects: the p-value that goes with the intervals.

    Parameters
    ----------
    looks, number:
        As for :func:`nominal`.
    p_value:
        Two-sided, as if there had been one analysis; for a test of one side twice its own.
    """
    if not p_value > nominal(looks, number, SURE):
        return SURE
    if p_value >= nominal(looks, number, MOST):
        return 1.0

    def lack(logarithm: float) -> float:
        return float(np.log(nominal(looks, number, float(np.exp(logarithm))) / p_value))

    return float(np.exp(optimize.brentq(lack, np.log(SURE), np.log(MOST), xtol=1e-6)))
