"""Every unit in both arms: the t-test on differences within units.

``stats::t.test(paired = TRUE)``. Where units come in clusters (prompts made from one template),
the mean difference gets a CR2 standard error: an intercept-only
``estimatr::lm_robust(d ~ 1, clusters =, se_type = "CR2")``.
"""

from __future__ import annotations

import numpy as np

from causal_sae.estimation.estimators.base import Estimator
from causal_sae.estimation.estimators.cluster import cluster_flags
from causal_sae.estimation.inference import Estimate, student, unknown
from causal_sae.estimation.linear_models import cr2
from causal_sae.estimation.sample import Codes, Sample, Vector, differences


def fit(sample: Sample, alpha: float) -> Estimate:
    """The mean difference within units; every unit is expected to have both arms."""
    return _fit(sample, alpha, jackknife=False)


def fit_jackknife(sample: Sample, alpha: float) -> Estimate:
    """The same with a CR3 standard error, for units in few clusters."""
    return _fit(sample, alpha, jackknife=True).flagged("cr3")


def _fit(sample: Sample, alpha: float, jackknife: bool) -> Estimate:
    difference = differences(sample)
    if len(difference) < 2:
        return unknown("too_few_units")
    flags = ("covariates_absorbed",) if sample.covariate_names else ()
    if sample.cluster is not None:
        cluster = sample.cluster[sample.treated]
        return _clustered(difference, cluster, alpha, jackknife).flagged(*flags)
    std_error = float(difference.std(ddof=1) / np.sqrt(len(difference)))
    return student(float(difference.mean()), std_error, len(difference) - 1, alpha, flags)


def _clustered(difference: Vector, cluster: Codes, alpha: float, jackknife: bool) -> Estimate:
    clusters = len(np.unique(cluster))
    if clusters < 2:
        return unknown("too_few_clusters")
    mean = cr2(difference, np.ones((len(difference), 1)), cluster, jackknife)
    flags = cluster_flags(clusters, mean.df)
    return student(mean.estimate, mean.std_error, mean.df, alpha, flags)


ESTIMATOR = Estimator(fit, frozenset({"within-unit"}), covariates="allowed", few_fit=fit_jackknife)
