"""Outcomes of 0 and 1: the adjusted risk difference, by logistic regression and g-computation.

Every unit's risk is predicted under both arms, and the mean difference is the effect. It is
marginal (a difference of risks, not an odds ratio) and needs no faith in the model: arms are
randomised, so a wrong model costs precision only. The standard error is that of the stacked
estimating equations, which allows for a wrong model and for covariates that would differ in
another sample (``stdReg::stdGlm`` in R), times ``n / (n - k)``; n - k degrees of freedom. With
``effect_size: risk_ratio`` or ``odds_ratio`` the effect size is the ratio of the same two risks.

Where a combination of the columns separates the outcomes the coefficients are infinite; the
unadjusted risk difference stands in, with a flag.
"""

from __future__ import annotations

import numpy as np

from causal_sae.estimation.estimators.base import Estimator
from causal_sae.estimation.estimators.g_computation import difference
from causal_sae.estimation.inference import Estimate
from causal_sae.estimation.sample import Sample
from causal_sae.estimation.separation import separated
from causal_sae.estimation.standardisation import BINOMIAL


def applies(sample: Sample) -> bool:
    """Whether the outcome is 0 or 1 on every unit."""
    return bool(np.all((sample.outcome == 0) | (sample.outcome == 1)))


def fit(sample: Sample, alpha: float) -> Estimate:
    """The risk difference at the covariates of all units; :func:`applies` is expected to hold."""
    return difference(sample, alpha, BINOMIAL, separated, "separation")


ESTIMATOR = Estimator(fit, frozenset({"plain"}), covariates="allowed", applies=applies)
