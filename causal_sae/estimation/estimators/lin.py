"""Lin's (2013) regression adjustment: centred covariates, interacted with the treatment, HC2.

``estimatr::lm_lin(y ~ z, covariates = ~ x)``. Unlike ANCOVA it cannot lose precision in large
samples when effects vary with the covariates.
"""

from __future__ import annotations

import numpy as np

from causal_sae.estimation.estimators.base import Estimator
from causal_sae.estimation.inference import Estimate, student, unknown
from causal_sae.estimation.linear_models import design, robust, usable_covariates
from causal_sae.estimation.sample import Sample


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
    return student(effect.estimate, effect.std_error, effect.df, alpha, flags)


ESTIMATOR = Estimator(fit, frozenset({"plain"}), covariates="required")
