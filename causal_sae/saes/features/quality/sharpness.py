"""How concentrated a feature's activations are: over contexts, and over their own range."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def sharpness(mass: Floats, log_mass: Floats, contexts: int) -> Floats:
    """One minus the normalised entropy of a feature's activation over contexts.

    ``1 - H / log N`` with ``H = -sum p log p``, where p is a context's share of all that the
    feature ever fired: 0 when it fires alike in each of the N contexts, 1 when it fires in one.

    Parameters
    ----------
    mass:
        ``[F]``: the sum over contexts of the feature's summed activation m in it.
    log_mass:
        ``[F]``: the sum over contexts of ``m log m``. Both add up over parts of a corpus.
    contexts:
        N, those included in which nothing fires.

    Returns
    -------
    ``[F]``; NaN where nothing fired, or there are fewer than two contexts.
    """
    if contexts < 2:
        return np.full(len(mass), np.nan)
    with np.errstate(divide="ignore", invalid="ignore"):
        entropy = np.log(mass) - log_mass / mass
    clipped: Floats = np.clip(1 - entropy / np.log(contexts), 0.0, 1.0)
    return np.where(mass > 0, clipped, np.nan)


def kurtosis(count: Floats, powers: Floats) -> Floats:
    """The excess kurtosis of a feature's active values (Fisher's g2); 0 for a normal distribution.

    Parameters
    ----------
    count:
        ``[F]``: how often it fired.
    powers:
        ``[4, F]``: the sums of its active values to the first, second, third and fourth power.
        Scale the values so that their mean is near 1, or digits are lost.

    Returns
    -------
    ``[F]``; NaN for fewer than four values or where all are equal.
    """
    _, variance, _, fourth = _central(count, powers)
    with np.errstate(divide="ignore", invalid="ignore"):
        value = fourth / variance**2 - 3
    return np.where((count >= 4) & (variance > 0), value, np.nan)


def bimodality(count: Floats, powers: Floats) -> Floats:
    """Sarle's bimodality coefficient of a feature's active values, with the finite-sample term.

    ``(g1^2 + 1) / (g2 + 3 (n - 1)^2 / ((n - 2)(n - 3)))`` with the unbiased skewness and kurtosis
    (SAS Institute 1990; Pfister et al. 2013): 5/9 for a uniform distribution, 1 for two points.
    High values can also come from skewness alone.

    Parameters and result are those of :func:`kurtosis`.
    """
    n = np.maximum(count, 4.0)
    _, variance, third, fourth = _central(count, powers)
    with np.errstate(divide="ignore", invalid="ignore"):
        g1, g2 = third / variance**1.5, fourth / variance**2 - 3
        skew = g1 * np.sqrt(n * (n - 1)) / (n - 2)
        excess = (n - 1) / ((n - 2) * (n - 3)) * ((n + 1) * g2 + 6)
        value = (skew**2 + 1) / (excess + 3 * (n - 1) ** 2 / ((n - 2) * (n - 3)))
    return np.where((count >= 4) & (variance > 0), value, np.nan)


def _central(count: Floats, powers: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    """Mean, and the second to fourth central moments (biased)."""
    one, two, three, four = powers / np.maximum(count, 1.0)
    variance = two - one**2
    # What rounding leaves of values that are all equal is not a spread.
    variance = np.where(variance > 1e-10 * two, variance, 0.0)
    third = three - 3 * one * two + 2 * one**3
    fourth = four - 4 * one * three + 6 * one**2 * two - 3 * one**4
    return one, variance, third, fourth
