"""ANCOVA: least squares on the treatment and the covariates, HC2, n - k degrees of freedom.

``estimatr::lm_robust(y ~ z + x, se_type = "HC2")``. The outcome of the untouched model
(``clean_outcome``) is usually by far the best covariate.
"""

from __future__ import annotations

import numpy as np

from causal_sae.estimation.estimators.base import Estimator
from causal_sae.estimation.inference import Estimate, student, unknown
from causal_sae.estimation.linear_models import design, robust, usable_covariates
from causal_sae.estimation.sample import Sample


def fit(sample: Sample, alpha: float) -> Estimate:
    """The effect of the treatment at equal covariates."""
    treatment, reference = sample.arms
    if min(len(treatment), len(reference)) < 2:
        return unknown("too_few_units")
    covariates, flags = usable_covariates(sample, design(sample.treated))
    x = design(covariates, sample.treated)
    effect = robust(sample.outcome - sample.outcome.mean(), x, se_type=sample.se_type)
    if np.isnan(effect.std_error):
        return unknown("singular", *flags)
    return student(effect.estimate, effect.std_error, effect.df, alpha, flags)


ESTIMATOR = Estimator(fit, frozenset({"plain"}), covariates="required")
