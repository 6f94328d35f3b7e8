"""Linear mixed model with a random intercept, by REML with Satterthwaite's degrees of freedom.

``lmerTest::lmer(y ~ z + x + (1 | group))``. In designs within units the group is the unit, and
units that lack an outcome in one arm still count; where every unit has both arms the test is the
paired t-test. In clustered designs the group is the cluster, with covariates and block indicators
as fixed effects.

The model assumes one variance for both arms, one effect for all groups and groups that do not
correlate negatively. Where the groups are estimated to share nothing (a variance of 0, a singular
fit in lme4) the test is, as lmerTest's, that of independent rows; the flag ``variance_at_zero``
then says that the interval leans on that estimate. ``paired`` and ``cluster`` assume none of this.
"""

from __future__ import annotations

import numpy as np

from causal_sae.errors import Place, SpecError
from causal_sae.estimation.estimators.base import Estimator
from causal_sae.estimation.estimators.cluster import cluster_flags
from causal_sae.estimation.inference import Estimate, student, unknown
from causal_sae.estimation.linear_models import design, indicators, usable_covariates
from causal_sae.estimation.random_intercept import fit_random_intercept
from causal_sae.estimation.sample import Codes, Matrix, Sample, block_counts

SAME = 1e-12
"""Shares that differ by less are the same share."""


def fit(sample: Sample, alpha: float) -> Estimate:
    """The treatment's fixed effect.

    Raises
    ------
    SpecError
        Units that are in both arms come in clusters: two random effects would be needed.
    """
    _, unit = np.unique(sample.unit, return_inverse=True)
    repeated = len(unit) > 0 and int(unit.max()) + 1 < len(unit)
    if repeated and sample.cluster is not None:
        raise SpecError(
            "the estimator 'mixed' has one random intercept, but here units are in both arms and "
            "come in clusters; use 'paired', whose standard error allows for the clusters.",
            Place(field="analysis.estimator"),
        )
    return _clustered(sample, alpha) if sample.cluster is not None else _within(sample, unit, alpha)


def _within(sample: Sample, unit: Codes, alpha: float) -> Estimate:
    pairs = len(unit) - (int(unit.max()) + 1) if len(unit) else 0
    if pairs < 2:
        return unknown("too_few_units")
    # With both arms of a unit, what is constant within it changes nothing.
    flags = ("covariates_absorbed",) if sample.covariate_names else ()
    return _fitted(sample, design(sample.treated), unit, alpha).flagged(*flags)


def _clustered(sample: Sample, alpha: float) -> Estimate:
    cluster, treated = np.asarray(sample.cluster), sample.treated
    if min(len(np.unique(cluster[arm])) for arm in (treated, ~treated)) < 2:
        return unknown("too_few_clusters")
    blocks, block_flags = _blocks(sample, cluster)
    covariates, flags = usable_covariates(sample, design(blocks, treated))
    found = _fitted(sample, design(blocks, covariates, treated), cluster, alpha)
    few = cluster_flags(len(np.unique(cluster)), found.df)
    return found.flagged(*flags, *block_flags, *few)


def _blocks(sample: Sample, cluster: Codes) -> tuple[Matrix, tuple[str, ...]]:
    """Block indicators, and a flag where the arms' shares of clusters differ between blocks."""
    if sample.block is None:
        return np.empty((len(sample), 0)), ()
    _, block = np.unique(sample.block, return_inverse=True)
    dealt = np.unique(np.column_stack([block, cluster, sample.treated]), axis=0)
    treated, total = block_counts(dealt[:, 0], dealt[:, 2].astype(bool))
    uneven = np.ptp(treated / total) > SAME
    return indicators(block), ("precision_weighted",) if uneven else ()


def _fitted(sample: Sample, x: Matrix, group: Codes, alpha: float) -> Estimate:
    if len(sample) <= x.shape[1] or np.linalg.matrix_rank(x) < x.shape[1]:
        return unknown("singular")
    found = fit_random_intercept(sample.outcome, x, group)
    if np.isnan(found.std_error):
        return unknown("singular")
    flags = ("variance_at_zero",) if found.singular else ()
    return student(found.estimate, found.std_error, found.df, alpha, flags)


ESTIMATOR = Estimator(
    fit,
    frozenset({"within-unit", "clustered", "blocked and clustered"}),
    covariates="allowed",
    incomplete=True,
)
