"""Standardised effects with intervals: Hedges g, Cohen d_z, risk differences."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import optimize, special, stats
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint

from causal_sae.estimation.inference import Estimate
from causal_sae.estimation.sample import Sample, Vector, differences


@dataclass(frozen=True)
class EffectSize:
    """A standardised effect: treatment minus reference, unit-free, with its interval."""

    value: float
    kind: str
    low: float
    high: float


def effect_size(sample: Sample, estimate: Estimate, structure: str, alpha: float) -> EffectSize:
    """The effect size that suits the outcome and the analysis.

    Kinds: ``risk_difference`` for outcomes of 0 and 1; ``hedges_g`` for two independent arms and
    ``cohen_dz`` for pairs, with exact intervals. Where the analysis adjusts (covariates, blocks,
    clusters) the kind ends in ``_adjusted``: the adjusted estimate and its own interval, divided
    by the standard deviation, because an interval that ignored the design would be wrong.

    Parameters
    ----------
    sample:
        The units analysed.
    estimate:
        What the estimator made of them.
    structure:
        One of :data:`causal_sae.estimation.estimators.base.Structure`.
    alpha:
        The interval has level ``1 - alpha``.
    """
    simple = structure in {"plain", "within-unit"} and not _adjusted(sample, structure)
    if _binary(sample.outcome):
        return _binary_effect(sample, estimate, structure, alpha, simple)
    if structure == "within-unit":
        within = differences(sample)
        if simple:
            return cohen_dz(within, alpha)
        sd = float(within.std(ddof=1)) if len(within) > 1 else np.nan
        return _rescaled(estimate, sd, 1.0, "cohen_dz_adjusted")
    treatment, reference = sample.arms
    if simple:
        return hedges_g(treatment, reference, alpha)
    sd, df = pooled_sd(treatment, reference)
    return _rescaled(estimate, sd, small_sample_factor(df), "hedges_g_adjusted")


def _adjusted(sample: Sample, structure: str) -> bool:
    """Covariates change an estimate between units; within units they do not, but clusters do."""
    return sample.cluster is not None or (structure == "plain" and bool(sample.covariate_names))


def _binary(outcome: Vector) -> bool:
    """An outcome of zeros and ones, both of them present."""
    return bool(len(outcome) and np.ptp(outcome) == 1 and np.all((outcome == 0) | (outcome == 1)))


def _binary_effect(
    sample: Sample, estimate: Estimate, structure: str, alpha: float, simple: bool
) -> EffectSize:
    if not simple:
        return _rescaled(estimate, 1.0, 1.0, "risk_difference")
    if structure == "within-unit":
        treated = sample.treated
        return paired_risk_difference(sample.outcome[treated], sample.outcome[~treated], alpha)
    return risk_difference(*sample.arms, alpha)


def _rescaled(estimate: Estimate, sd: float, factor: float, kind: str) -> EffectSize:
    """The analysis's own estimate and interval in units of a standard deviation."""
    if not sd > 0:
        return EffectSize(np.nan, kind, np.nan, np.nan)
    scale = factor / sd
    low, high = estimate.conf_low * scale, estimate.conf_high * scale
    return EffectSize(estimate.estimate * scale, kind, low, high)


def pooled_sd(treatment: Vector, reference: Vector) -> tuple[float, float]:
    """The arms' pooled standard deviation and its degrees of freedom."""
    df = len(treatment) + len(reference) - 2
    if min(len(treatment), len(reference)) < 2:
        return np.nan, np.nan
    squares = sum(float(np.sum((arm - arm.mean()) ** 2)) for arm in (treatment, reference))
    return float(np.sqrt(squares / df)), float(df)


def small_sample_factor(df: float) -> float:
    """Hedges' exact correction of the bias of Cohen's d (Hedges 1981)."""
    return float(
        np.exp(special.gammaln(df / 2) - np.log(df / 2) / 2 - special.gammaln((df - 1) / 2))
    )


def hedges_g(treatment: Vector, reference: Vector, alpha: float) -> EffectSize:
    """Hedges g with the exact noncentral-t interval: ``effectsize::hedges_g``.

    Parameters
    ----------
    treatment, reference:
        [n] the arms' outcomes.
    alpha:
        The interval has level ``1 - alpha``.
    """
    sd, df = pooled_sd(treatment, reference)
    if not sd > 0:
        return EffectSize(np.nan, "hedges_g", np.nan, np.nan)
    d = float(treatment.mean() - reference.mean()) / sd
    width = float(np.sqrt(1 / len(treatment) + 1 / len(reference)))
    low, high = noncentrality_interval(d / width, df, alpha)
    factor = small_sample_factor(df)
    return EffectSize(d * factor, "hedges_g", low * width * factor, high * width * factor)


def cohen_dz(within: Vector, alpha: float) -> EffectSize:
    """Cohen's d_z with the exact noncentral-t interval: ``effectsize::cohens_d(paired = TRUE)``.

    Parameters
    ----------
    within:
        [n] the differences within units.
    alpha:
        The interval has level ``1 - alpha``.
    """
    n = len(within)
    sd = float(within.std(ddof=1)) if n > 1 else np.nan
    if not sd > 0:
        return EffectSize(np.nan, "cohen_dz", np.nan, np.nan)
    d = float(within.mean()) / sd
    low, high = noncentrality_interval(d * np.sqrt(n), n - 1, alpha)
    return EffectSize(d, "cohen_dz", low / np.sqrt(n), high / np.sqrt(n))


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
