"""Welch's t-test: difference in means, each arm with a variance of its own.

``stats::t.test(var.equal = FALSE)`` and the simple design of ``estimatr::difference_in_means``:
the standard error is Neyman's, the degrees of freedom are Welch's and Satterthwaite's.
"""

from __future__ import annotations

import numpy as np

from causal_sae.estimation.estimators.base import Estimator
from causal_sae.estimation.inference import Estimate, student, unknown
from causal_sae.estimation.sample import Sample, Vector


def fit(sample: Sample, alpha: float) -> Estimate:
    """Difference in means by Welch's t."""
    treatment, reference = sample.arms
    if min(len(treatment), len(reference)) < 2:
        return unknown("too_few_units")
    shares = np.array([_variance_of_mean(treatment), _variance_of_mean(reference)])
    sizes = np.array([len(treatment), len(reference)])
    squares = float(np.sum(shares**2 / (sizes - 1)))
    df = float(shares.sum()) ** 2 / squares if squares > 0 else float(sizes.sum() - 2)
    difference = float(treatment.mean() - reference.mean())
    return student(difference, float(np.sqrt(shares.sum())), df, alpha)


def _variance_of_mean(values: Vector) -> float:
    return float(values.var(ddof=1)) / len(values)


ESTIMATOR = Estimator(fit, frozenset({"plain"}), covariates="none")
