"""The effect among exposed units: the principal stratum in which the edit can do anything.

Whether the feature fires on a prompt is known from the untouched model, before any treatment, so
the units that would comply are seen, not inferred: the analysis of the design is made among them
alone. In designs within units that is the t-test on their differences; between units the
difference in means, with the blocks, clusters and covariates that the design has. What a feature
does where it fires is often skewed, so the limits are Hall's
(:mod:`causal_sae.estimation.estimators.hall`).
"""

from __future__ import annotations

from causal_sae.estimation.estimators import hall
from causal_sae.estimation.estimators.base import Estimator

ESTIMATOR = Estimator(
    hall.fit,  # of a sample that is expected to hold exposed units only
    frozenset({"plain", "blocked", "clustered", "blocked and clustered", "within-unit"}),
    covariates="allowed",
    beyond=hall.beyond_effect,
    margin_fit=hall.fit_one_sided,
    stratum="exposed",
    students=False,
)
