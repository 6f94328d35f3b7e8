"""Confidence sequences: intervals that hold at all looks at once, however many there are.

Robbins' (1970) normal mixture, in the asymptotic form of Waudby-Smith, Arbour, Sinha, Kennedy and
Ramdas (2024), Time-uniform central limit theory and asymptotic confidence sequences; Annals of
Statistics 52, 2613. They hold in large samples; at early looks at few units what is missing is the
skewness of the estimate, which the limits of ``hall`` allow for.
"""

from __future__ import annotations

from math import exp, log, sqrt


def tuned(alpha: float) -> float:
    """The mixture's variance, times the units at the end, that makes the last interval short.

    Parameters
    ----------
    alpha:
        One minus the level.

    Notes
    -----
    Equation (7) of the source, to which the true optimum is close.
    """
    return -2 * log(alpha) + log(-2 * log(alpha) + 1)


def boundary(alpha: float, time: float) -> float:
    """Z that no look reaches, with probability 1 - alpha over all looks and without an effect.

    Parameters
    ----------
    alpha:
        One minus the level.
    time:
        The information fraction: units so far over those planned. It may exceed 1.
    """
    ratio = tuned(alpha) * time
    return sqrt((1 + 1 / ratio) * log((ratio + 1) / alpha**2))


def p_value(alpha: float, time: float, z: float) -> float:
    """The level at which the sequence, tuned for alpha, excludes zero at this look; at most 1.

    Parameters
    ----------
    alpha:
        The level that the mixture is tuned for.
    time, z:
        The information fraction, and the statistic as a normal quantile.
    """
    ratio = tuned(alpha) * time
    exponent = 0.5 * z**2 * ratio / (1 + ratio) - 0.5 * log(1 + ratio)
    return 1.0 if exponent <= 0 else exp(-min(exponent, 700.0))


def reach(alpha: float, level: float, time: float) -> float:
    """Half the width of the interval, as a normal quantile.

    Parameters
    ----------
    alpha:
        The level that the mixture is tuned for.
    level:
        One minus the interval's level.
    time:
        The information fraction.
    """
    ratio = tuned(alpha) * time
    return sqrt((1 + 1 / ratio) * log((ratio + 1) / level**2))
