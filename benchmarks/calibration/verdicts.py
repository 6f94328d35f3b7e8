"""Whether a measured rate is the rate that was promised, as far as the repetitions can tell."""

from __future__ import annotations

from typing import Literal

import numpy as np

Verdict = Literal["holds", "conservative", "does not hold", ""]
REACH = 3.29
"""In standard errors: one false alarm in a thousand."""


def tolerance(rate: float, repetitions: int) -> float:
    """How far a rate that is right strays from it: ``3.29 sqrt(rate (1 - rate) / repetitions)``.

    Parameters
    ----------
    rate:
        The promised rate.
    repetitions:
        Out of how many the rate was measured.
    """
    return REACH * float(np.sqrt(rate * (1 - rate) / repetitions)) if repetitions else np.nan


def verdict(measured: float, promised: float, repetitions: int) -> Verdict:
    """Whether errors are as rare as promised; rarer is ``conservative``, which is no failure.

    Parameters
    ----------
    measured, promised:
        Rates of errors.
    repetitions:
        Out of how many the rate was measured; nothing is said of a rate that was not.
    """
    if not repetitions or np.isnan(measured):
        return ""
    margin = tolerance(promised, repetitions)
    if measured > promised + margin:
        return "does not hold"
    return "conservative" if measured < promised - margin else "holds"
