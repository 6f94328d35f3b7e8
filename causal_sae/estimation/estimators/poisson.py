"""Counts: the adjusted difference of mean counts, by Poisson regression and g-computation.

Every unit's mean count is predicted under both arms (log link), and the mean difference is the
effect, in counts. Neither the Poisson distribution nor the link has to be right: arms are
randomised, and the standard error is that of the stacked estimating equations with the residuals
as they are (HC0, so counts may vary more or less than Poisson counts do), times ``n / (n - k)``;
n - k degrees of freedom. Without covariates the estimate is the difference in means.

Where an arm, or a group that covariates tell apart, has counts of zero only, the coefficients are
infinite; the unadjusted difference in means stands in, with a flag.
"""

from __future__ import annotations

import numpy as np

from causal_sae.estimation.estimators.base import Estimator
from causal_sae.estimation.estimators.g_computation import difference
from causal_sae.estimation.inference import Estimate
from causal_sae.estimation.sample import Sample
from causal_sae.estimation.separation import zeros_separated
from causal_sae.estimation.standardisation import POISSON


def applies(sample: Sample) -> bool:
    """Whether every outcome is a whole number, none below zero, and one of them above 1."""
    y = sample.outcome
    return bool(len(y) and y.max() > 1 and y.min() >= 0 and np.array_equal(y, np.round(y)))


def fit(sample: Sample, alpha: float) -> Estimate:
    """The difference of mean counts at the covariates of all units; counts are expected."""
    return difference(sample, alpha, POISSON, zeros_separated, "zero_counts")


ESTIMATOR = Estimator(fit, frozenset({"plain"}), covariates="allowed", applies=applies)
