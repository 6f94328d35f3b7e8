"""DoWhy's backdoor linear regression with an HC2 covariance: the same numbers by another road.

Without covariates it equals ``difference_in_means``, with covariates ``ancova``.
"""

from __future__ import annotations

import numpy as np

from causal_sae.estimation.estimators.base import Estimator
from causal_sae.estimation.inference import Estimate, student, unknown
from causal_sae.estimation.linear_models import design, usable_covariates
from causal_sae.estimation.sample import Sample


def fit(sample: Sample, alpha: float) -> Estimate:
    """The effect that DoWhy identifies by the backdoor criterion and estimates by regression."""
    from causal_sae.estimation import causal_model  # noqa: PLC0415 - DoWhy takes four seconds

    if min(map(len, sample.arms)) < 2:
        return unknown("too_few_units")
    treatment = sample.treated.astype(np.float64)
    covariates, flags = usable_covariates(sample, design(treatment))
    if len(sample) <= 2 + covariates.shape[1]:
        return unknown("singular", *flags)
    outcome = sample.outcome - sample.outcome.mean()
    fitted = causal_model.fit(outcome, treatment, covariates)
    std_error = float(np.ravel(fitted.regression.bse)[1])
    return student(fitted.value, std_error, float(fitted.regression.df_resid), alpha, flags)


ESTIMATOR = Estimator(fit, frozenset({"plain"}), covariates="allowed")
