"""Corrections that need nothing but the p-values of a family."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TypeAlias

import numpy as np
from statsmodels.stats.multitest import multipletests

from causal_sae.estimation.multiplicity.family import Adjusted, Correction, Family
from causal_sae.estimation.sample import Vector

OfPValues: TypeAlias = Callable[[Vector, float], Vector]
"""The p-values [tests], none of them NaN, and alpha in; the adjusted ones out."""


def none(p_values: Vector, alpha: float) -> Vector:
    """The p-values as they are."""
    del alpha
    return p_values


def statsmodels(method: str, p_values: Vector, alpha: float) -> Vector:
    """The adjusted p-values of ``statsmodels.stats.multitest.multipletests``.

    Notes
    -----
    ``fdr_tsbky`` is Definition 6 of Benjamini, Krieger and Yekutieli (2006): the number of true
    null hypotheses is estimated by a first pass at ``alpha / (1 + alpha)``. That number depends on
    alpha, so its adjusted p-values are to be held against the trial's alpha and no other; and one
    may be smaller than the p-value it came from.
    """
    adjusted: Vector = multipletests(p_values, alpha=alpha, method=method)[1]
    return adjusted


def fixed_sequence(p_values: Vector) -> Vector:
    """Tests in their declared order, each only if all before it were significant.

    The adjusted p-value is the largest so far; a test that could not be made stops the sequence.
    """
    adjusted: Vector = np.maximum.accumulate(np.where(np.isnan(p_values), 1.0, p_values))
    return adjusted


def holm(p_values: Vector) -> Vector:
    """[tests] Holm's adjusted p-values; NaN stays NaN, and neither counts nor poisons."""
    present = ~np.isnan(p_values)
    adjusted = np.full(len(p_values), np.nan)
    if present.any():
        adjusted[present] = statsmodels("holm", p_values[present], 0.05)
    return adjusted


def _of_present(adjust: OfPValues, family: Family) -> Adjusted:
    adjusted = np.full(len(family.p_values), np.nan)
    if family.present.any():
        adjusted[family.present] = adjust(family.p_values[family.present], family.alpha)
    return Adjusted(adjusted)


def _in_sequence(family: Family) -> Adjusted:
    return Adjusted(np.where(family.present, fixed_sequence(family.p_values), np.nan))


def of_p_values(adjust: OfPValues) -> Correction:
    """The correction that a function of p-values makes of every family."""
    return Correction(partial(_of_present, adjust))


FIXED_SEQUENCE = Correction(_in_sequence)
