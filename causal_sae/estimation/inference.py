"""An estimate and the inference from it: one frozen row of numbers."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import stats

NOISE_OF_RANGE, NOISE_OF_LEVEL = 1e-10, 1e-14
"""Standard errors below these shares of the outcome's range and level are rounding, not
variation: what least squares leaves of an exact fit in double precision."""


@dataclass(frozen=True)
class Estimate:
    """What an estimator returns: treatment minus reference, in the outcome's own units."""

    estimate: float
    std_error: float
    statistic: float = np.nan
    df: float = np.nan
    p_value: float = np.nan
    conf_low: float = np.nan
    conf_high: float = np.nan
    flags: tuple[str, ...] = ()

    def flagged(self, *codes: str) -> Estimate:
        """The same numbers with further flags."""
        return replace(self, flags=(*self.flags, *codes))


def student(
    estimate: float, std_error: float, df: float, alpha: float, flags: tuple[str, ...] = ()
) -> Estimate:
    """Two-sided inference by Student's t.

    Parameters
    ----------
    estimate, std_error:
        In the outcome's units.
    df:
        Degrees of freedom, possibly fractional.
    alpha:
        The interval has level ``1 - alpha``.
    flags:
        Codes of :data:`causal_sae.flags.FLAGS`.
    """
    if not (std_error > 0 and df > 0):
        return Estimate(estimate, std_error, df=df, flags=flags)
    statistic = estimate / std_error
    reach = float(stats.t.ppf(1 - alpha / 2, df)) * std_error
    p_value = float(2 * stats.t.sf(abs(statistic), df))
    return Estimate(
        estimate, std_error, statistic, df, p_value, estimate - reach, estimate + reach, flags
    )


def unknown(*flags: str) -> Estimate:
    """No estimate can be made, for the reason that the flags give."""
    return Estimate(np.nan, np.nan, flags=flags)


def settle(estimate: Estimate, outcome: NDArray[np.float64]) -> Estimate:
    """Decide what an estimate without variation says.

    A standard error that is nothing but rounding would turn into absurd p-values. If the estimate
    is nothing either, the arms are identical: exactly 0, p = 1, interval [0, 0]. If the arms
    differ, the outcome is constant within them and a t-test says nothing.

    Parameters
    ----------
    estimate:
        As the estimator returned it.
    outcome:
        [n] the sample's outcomes.
    """
    if np.isnan(estimate.std_error):
        return estimate
    spread = float(np.ptp(outcome))
    noise = NOISE_OF_RANGE * spread + NOISE_OF_LEVEL * float(np.abs(outcome).max())
    if estimate.std_error > noise:
        return estimate
    constant = ("constant_outcome",) if spread == 0 else ()
    if abs(estimate.estimate) <= noise:
        flags = (*estimate.flags, *constant, "exact_zero")
        return Estimate(0.0, 0.0, np.nan, estimate.df, 1.0, 0.0, 0.0, flags)
    return Estimate(estimate.estimate, 0.0, flags=(*estimate.flags, "no_variance"))
