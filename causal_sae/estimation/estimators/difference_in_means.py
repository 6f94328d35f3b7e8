"""Difference in means with an HC2 standard error and n - 2 degrees of freedom.

``estimatr::lm_robust(y ~ z, se_type = "HC2")``. Estimate and standard error equal Welch's; only
the degrees of freedom differ (``estimatr::difference_in_means`` without blocks is Welch's).
"""

from __future__ import annotations

from causal_sae.estimation.estimators.base import Estimator
from causal_sae.estimation.inference import Estimate, student, unknown
from causal_sae.estimation.linear_models import design, robust
from causal_sae.estimation.sample import Sample


def fit(sample: Sample, alpha: float) -> Estimate:
    """Difference in means by least squares on the treatment indicator."""
    treatment, reference = sample.arms
    if min(len(treatment), len(reference)) < 2:
        return unknown("too_few_units")
    centre = sample.outcome.mean()
    effect = robust(sample.outcome - centre, design(sample.treated), se_type=sample.se_type)
    return student(effect.estimate, effect.std_error, effect.df, alpha)


ESTIMATOR = Estimator(fit, frozenset({"plain"}), covariates="none")
