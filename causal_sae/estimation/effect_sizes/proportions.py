"""Differences of two proportions, independent or paired, with score intervals."""

from __future__ import annotations

import numpy as np
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint

from causal_sae.estimation.effect_sizes.base import Analysed, EffectSize, rescaled
from causal_sae.estimation.sample import Vector


def of_risks(analysis: Analysed) -> EffectSize:
    """The risk difference of an analysis; where it adjusts, its own estimate and interval."""
    sample, alpha = analysis.sample, analysis.alpha
    if not analysis.simple:
        return rescaled(analysis, 1.0, 1.0, "risk_difference")
    if analysis.structure == "within-unit":
        treated = sample.treated
        return paired_risk_difference(sample.outcome[treated], sample.outcome[~treated], alpha)
    return risk_difference(*sample.arms, alpha)


def risk_difference(treatment: Vector, reference: Vector, alpha: float) -> EffectSize:
    """The difference of two proportions with Newcombe's (1998) hybrid score interval.

    Parameters
    ----------
    treatment, reference:
        [n] outcomes of 0 and 1.
    alpha:
        The interval has level ``1 - alpha``.
    """
    low, high = confint_proportions_2indep(
        int(treatment.sum()),
        len(treatment),
        int(reference.sum()),
        len(reference),
        method="newcomb",
        compare="diff",
        alpha=alpha,
    )
    value = float(treatment.mean() - reference.mean())
    return EffectSize(value, "risk_difference", float(low), float(high))


def paired_risk_difference(treatment: Vector, reference: Vector, alpha: float) -> EffectSize:
    """The difference of paired proportions with Newcombe's (1998) interval, his method 10.

    Wilson's intervals of the two proportions, combined with the correlation of the pair.

    Parameters
    ----------
    treatment, reference:
        [pairs] outcomes of 0 and 1, row by row of the same unit.
    alpha:
        The interval has level ``1 - alpha``.
    """
    p, q = float(treatment.mean()), float(reference.mean())
    phi = _paired_correlation(treatment, reference)
    p_low, p_high = _wilson(treatment, alpha)
    q_low, q_high = _wilson(reference, alpha)

    def reach(a: float, b: float) -> float:
        return float(np.sqrt(max(a**2 - 2 * phi * a * b + b**2, 0.0)))

    low = p - q - reach(p - p_low, q_high - q)
    high = p - q + reach(p_high - p, q - q_low)
    return EffectSize(p - q, "risk_difference", low, high)


def _wilson(values: Vector, alpha: float) -> tuple[float, float]:
    low, high = proportion_confint(int(values.sum()), len(values), alpha=alpha, method="wilson")
    return float(low), float(high)


def _paired_correlation(treatment: Vector, reference: Vector) -> float:
    """Phi of the 2 x 2 table, its positive numerator corrected for continuity by n / 2."""
    n = len(treatment)
    both = float(np.sum(treatment * reference))
    neither = float(np.sum((1 - treatment) * (1 - reference)))
    only_treatment = float(treatment.sum()) - both
    only_reference = float(reference.sum()) - both
    margins = treatment.sum() * (n - treatment.sum()) * reference.sum() * (n - reference.sum())
    if margins == 0:
        return 0.0
    product = both * neither - only_treatment * only_reference
    if product > 0:
        product = max(product - n / 2, 0.0)
    return product / float(np.sqrt(margins))
