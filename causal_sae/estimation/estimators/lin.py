"""Lin's (2013) regression adjustment: centred covariates, interacted with the treatment, HC2.

``estimatr::lm_lin(y ~ z, covariates = ~ x)``. Unlike ANCOVA it cannot lose precision in large
samples when effects vary with the covariates.
"""

from __future__ import annotations

import numpy as np

from causal_sae.estimation.estimators.base import Estimator
from causal_sae.estimation.inference import Estimate, student, unknown
from causal_sae.estimation.linear_models import design, robust, usable_covariates
from causal_sae.estimation.sample import Matrix, Sample, Vector

SHARE = 0.1
"""From this share of the variance on, the flag ``covariate_means`` is raised."""


def fit(sample: Sample, alpha: float) -> Estimate:
    """The effect of the treatment at the covariates' means."""
    treatment, reference = sample.arms
    if min(len(treatment), len(reference)) < 2:
        return unknown("too_few_units")
    covariates, flags = usable_covariates(sample, design(sample.treated))
    x = design(covariates, covariates * sample.treated[:, None], sample.treated)
    if np.linalg.matrix_rank(x) < x.shape[1]:
        return unknown("singular", *flags)
    effect = robust(sample.outcome - sample.outcome.mean(), x, se_type=sample.se_type)
    if np.isnan(effect.std_error):
        return unknown("singular", *flags)
    added = _of_means(sample.outcome, x, covariates)
    if effect.std_error > 0 and added > SHARE * effect.std_error**2:
        flags = (*flags, f"covariate_means:{added / effect.std_error**2:.2f}")
    return student(effect.estimate, effect.std_error, effect.df, alpha, flags)


def _of_means(outcome: Vector, x: Matrix, covariates: Matrix) -> float:
    """The variance that the covariates' means add in a superpopulation (Negi and Wooldridge 2021).

    Parameters
    ----------
    outcome:
        [n] the outcome.
    x:
        [n, 2 + 2k] intercept, covariates, their interactions, treatment.
    covariates:
        [n, k] centred.
    """
    k = covariates.shape[1]
    slopes = np.linalg.lstsq(x, outcome, rcond=None)[0][1 + k : 1 + 2 * k]
    return float(np.var(covariates @ slopes)) / len(outcome)


ESTIMATOR = Estimator(fit, frozenset({"plain"}), covariates="required")
