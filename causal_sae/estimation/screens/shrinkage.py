"""What a screen's hits may be expected to show again: shrunken estimates, and their power."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Floats = NDArray[np.float64]


def shrunken(
    estimate: Floats, std_error: Floats, typical: NDArray[np.bool_] | None = None
) -> Floats:
    """``[F]`` the estimates drawn towards zero as far as all of them together tell.

    The largest of many estimates are too large: the winner's curse. With effects from a normal
    distribution around zero, whose variance ``tau^2`` the mean of ``z^2 - 1`` tells, the expected
    effect behind an estimate is ``tau^2 / (tau^2 + se^2)`` of it (Efron and Morris 1973; van Zwet
    and Cator 2021). The variance is measured on the scale of z, because features of different
    frequency have effects of different size: the factor is then one for all, ``1 - 1 / mean z^2``.

    Parameters
    ----------
    estimate, std_error:
        ``[F]`` of all features tested, not of the hits alone; NaN where there is none.
    typical:
        ``[F]`` the features from which the factor is learned, where those that were tested are a
        choice of the largest: ones drawn at random. None: all.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        z = estimate / std_error
    known = z[np.isfinite(z) & (True if typical is None else typical)]
    mean_square = (
        float(np.mean(np.minimum(known**2, np.quantile(known**2, 0.99)))) if len(known) else 1.0
    )
    factor = max(0.0, 1.0 - 1.0 / max(mean_square, 1.0))
    return estimate * factor


def paired_power(effect: Floats, sd: Floats, n: int, alpha: float) -> Floats:
    """``[F]`` the power of a two-sided paired t-test, by the noncentral t distribution.

    Parameters
    ----------
    effect:
        ``[F]`` mean differences.
    sd:
        ``[F]`` standard deviations of the differences over units, zeros of silent ones included.
    n:
        How many units.
    alpha:
        The level of each test.
    """
    df, shift = n - 1, np.abs(effect) / sd * np.sqrt(n)
    limit = float(stats.t.ppf(1 - alpha / 2, df))
    power: Floats = stats.nct.sf(limit, df, shift) + stats.nct.cdf(-limit, df, shift)
    # Far from zero scipy's noncentral t is NaN where its value is 1.
    return np.where(np.isfinite(power), power, np.where(shift > limit, 1.0, alpha))
