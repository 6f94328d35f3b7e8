"""The effect among exposed units: the principal stratum in which the edit can do anything.

Whether the feature fires on a prompt is known from the untouched model, before any treatment, so
the units that would comply are seen, not inferred: the analysis of the design is made among them
alone. In designs within units that is the t-test on their differences; between units the
difference in means, with the blocks, clusters and covariates that the design has.
"""

from __future__ import annotations

from causal_sae.estimation.estimators import ancova, block, cluster, paired, welch
from causal_sae.estimation.estimators.base import Estimator
from causal_sae.estimation.inference import Estimate
from causal_sae.estimation.sample import Sample, within_units


def fit(sample: Sample, alpha: float) -> Estimate:
    """The effect on the sample, which is expected to hold exposed units only."""
    if within_units(sample):
        return paired.fit(sample, alpha)
    if sample.cluster is not None:
        return cluster.fit(sample, alpha)
    if sample.block is not None:
        return block.fit(sample, alpha)
    adjusted = bool(sample.covariate_names)
    return ancova.fit(sample, alpha) if adjusted else welch.fit(sample, alpha)


ESTIMATOR = Estimator(
    fit,
    frozenset({"plain", "blocked", "clustered", "blocked and clustered", "within-unit"}),
    covariates="allowed",
    stratum="exposed",
)
