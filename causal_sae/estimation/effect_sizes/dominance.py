"""How often treatment exceeds reference: Cliff's delta, and the common-language effect size.

``delta = P(treatment > reference) - P(treatment < reference)``; the common-language effect size
(probability of superiority, area under the curve) is ``(1 + delta) / 2``, ties counting half.
Neither assumes equal spread, unlike the rank-based intervals of R's effectsize.
"""

from __future__ import annotations

import numpy as np
from scipy import optimize, stats

from causal_sae.estimation.effect_sizes.base import Analysed, EffectSize, missing
from causal_sae.estimation.effect_sizes.proportions import paired_risk_difference
from causal_sae.estimation.sample import Vector, differences


def of_cliff_delta(analysis: Analysed) -> EffectSize:
    """Cliff's delta of an analysis: between the arms, or of the differences within units."""
    if analysis.structure == "within-unit":
        return within_delta(differences(analysis.sample), analysis.alpha)
    return cliff_delta(*analysis.sample.arms, analysis.alpha)


def of_cles(analysis: Analysed) -> EffectSize:
    """The common-language effect size of an analysis: Cliff's delta on a scale from 0 to 1."""
    delta = of_cliff_delta(analysis)
    value, low, high = ((1 + v) / 2 for v in (delta.value, delta.low, delta.high))
    return EffectSize(value, "cles", low, high)


def cliff_delta(treatment: Vector, reference: Vector, alpha: float) -> EffectSize:
    """Cliff's delta with the interval of Feng and Cliff (2004).

    The variance is Cliff's (1996) unbiased one, which allows the arms different spreads; the
    limits are asymmetric and use Student's t with n - 2 degrees of freedom. Where every unit of
    one arm exceeds every unit of the other nothing is seen of that variance; the limit is then
    that of Newcombe (2006), his method 5.

    Parameters
    ----------
    treatment, reference:
        [m], [n] the arms' outcomes.
    alpha:
        The interval has level ``1 - alpha``.
    """
    import pingouin as pg  # noqa: PLC0415 - takes a second

    m, n = len(treatment), len(reference)
    if min(m, n) < 2:
        return missing("cliff_delta")
    delta = 2 * float(pg.compute_effsize(treatment, reference, eftype="cles")) - 1
    if abs(delta) == 1:
        low, high = _separated(m, n, alpha)
        return EffectSize(delta, "cliff_delta", *((low, high) if delta > 0 else (-high, -low)))
    if np.ptp(np.concatenate([treatment, reference])) == 0:
        return EffectSize(0.0, "cliff_delta", 0.0, 0.0)
    variance = max(_variance(treatment, reference), (1 - delta**2) / (m * n - 1))
    z = float(stats.t.ppf(1 - alpha / 2, m + n - 2))
    reach = z * float(np.sqrt(variance * ((1 - delta**2) ** 2 + z**2 * variance)))
    base, centre = 1 - delta**2 + z**2 * variance, delta - delta**3
    return EffectSize(delta, "cliff_delta", (centre - reach) / base, (centre + reach) / base)


def _variance(treatment: Vector, reference: Vector) -> float:
    """Cliff's unbiased variance, from the sums of the rows and columns of the signs of x - y."""
    m, n = len(treatment), len(reference)
    rows, columns = _dominance(treatment, reference), -_dominance(reference, treatment)
    delta = float(rows.mean())
    ordered = np.sort(reference)
    right, left = (np.searchsorted(ordered, treatment, side) for side in ("right", "left"))
    differing = m * n - int(np.sum(right - left))
    between = n**2 * np.sum((rows - delta) ** 2) + m**2 * np.sum((columns - delta) ** 2)
    total = differing - m * n * delta**2
    return float(between - total) / (m * n * (m - 1) * (n - 1))


def _dominance(values: Vector, others: Vector) -> Vector:
    """[n] for each value, the share of others below it minus the share above it."""
    ordered = np.sort(others)
    below = np.searchsorted(ordered, values, "left")
    above = len(others) - np.searchsorted(ordered, values, "right")
    shares: Vector = (below - above) / len(others)
    return shares


def _separated(m: int, n: int, alpha: float) -> tuple[float, float]:
    """Newcombe's limits of delta where all units of the treatment exceed all of the reference."""
    z = float(stats.norm.ppf(1 - alpha / 2))

    def excess(theta: float) -> float:
        spread = 1 + ((m + n) / 2 - 1) * ((1 - theta) / (2 - theta) + theta / (1 + theta))
        return (1 - theta) - z**2 * theta * spread / (m * n)

    return 2 * float(optimize.brentq(excess, 0, 1, xtol=1e-14)) - 1, 1.0


def within_delta(within: Vector, alpha: float) -> EffectSize:
    """The share of units with a positive difference minus the share with a negative one.

    They are two proportions of the same units: Newcombe's (1998) interval for these.

    Parameters
    ----------
    within:
        [n] the differences within units.
    alpha:
        The interval has level ``1 - alpha``.
    """
    if len(within) < 2:
        return missing("cliff_delta")
    up, down = (within > 0).astype(np.float64), (within < 0).astype(np.float64)
    size = paired_risk_difference(up, down, alpha)
    if not np.any(within):
        return EffectSize(0.0, "cliff_delta", 0.0, 0.0)
    return EffectSize(size.value, "cliff_delta", size.low, size.high)
