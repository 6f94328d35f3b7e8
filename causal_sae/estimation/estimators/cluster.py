"""Clustered units: least squares with CR2 standard errors and Satterthwaite degrees of freedom.

``estimatr::lm_robust(y ~ z + x, clusters =, se_type = "CR2")`` and clubSandwich. Below about
fifty clusters the usual cluster-robust errors reject true null hypotheses far too often; CR2 with
its own degrees of freedom does not.

With blocks of clusters, block indicators join the model; where the arms' shares differ between
blocks the centred indicators are interacted with the treatment, so that blocks count by their
number of units.

With fewer than 30 clusters CR2 can still reject a little too often (6% where the arms' clusters
differ in spread); `auto` then takes CR3, the jackknife of clusters, with the same degrees of
freedom.
"""

from __future__ import annotations

import numpy as np

from causal_sae.estimation.estimators.base import Estimator
from causal_sae.estimation.inference import Estimate, student, unknown
from causal_sae.estimation.linear_models import (
    centred,
    cr2,
    design,
    indicators,
    usable_covariates,
)
from causal_sae.estimation.sample import Codes, Mask, Matrix, Sample, Vector, block_counts

FEW = 30
"""Below this number of clusters the flag ``few_clusters`` is raised."""
LOW_DF = 4
"""Below this the Satterthwaite approximation is poor (Pustejovsky and Tipton 2018)."""
SAME = 1e-12
"""Shares that differ by less are the same share."""


def fit(sample: Sample, alpha: float) -> Estimate:
    """The effect of the treatment, with errors that may be correlated within clusters."""
    return _fit(sample, alpha, jackknife=False)


def fit_jackknife(sample: Sample, alpha: float) -> Estimate:
    """The same with CR3 standard errors."""
    return _fit(sample, alpha, jackknife=True).flagged("cr3")


def _fit(sample: Sample, alpha: float, jackknife: bool) -> Estimate:
    cluster, treated = sample.cluster, sample.treated
    if cluster is None or min(_count(cluster[treated]), _count(cluster[~treated])) < 2:
        return unknown("too_few_clusters")
    blocks, block_flags = block_columns(sample, cluster)
    covariates, flags = usable_covariates(sample, design(blocks, treated))
    x = design(blocks, covariates, treated)
    if len(sample) <= x.shape[1] or np.linalg.matrix_rank(x) < x.shape[1]:
        return unknown("singular", *flags)
    effect = cr2(sample.outcome - sample.outcome.mean(), x, cluster, jackknife)
    flags = (*flags, *block_flags, *cluster_flags(_count(cluster), effect.df))
    return student(effect.estimate, effect.std_error, effect.df, alpha, flags)


def cluster_flags(clusters: int, df: float) -> tuple[str, ...]:
    """Warnings about few clusters and few degrees of freedom."""
    few = (f"few_clusters:{clusters}",) if clusters < FEW else ()
    low = (f"low_df:{df:.1f}",) if df < LOW_DF else ()
    return (*few, *low)


def _count(codes: Codes) -> int:
    return len(np.unique(codes))


def block_columns(sample: Sample, cluster: Codes) -> tuple[Matrix, tuple[str, ...]]:
    """Block indicators, interacted with the treatment where the shares of the arms differ."""
    if sample.block is None or _count(sample.block) < 2:
        return np.empty((len(sample), 0)), ()
    _, block = np.unique(sample.block, return_inverse=True)
    dummies = centred(indicators(block))
    treated, reference = _clusters_by_block(block, cluster, sample.treated)
    if _equal_shares(block, cluster, sample.treated, treated / (treated + reference)):
        return dummies, ()
    if np.min(np.minimum(treated, reference)) < 2:
        return dummies, ("precision_weighted",)
    return np.hstack([dummies, dummies * sample.treated[:, None]]), ("block_interactions",)


def _clusters_by_block(block: Codes, cluster: Codes, treated: Mask) -> tuple[Codes, Codes]:
    """[blocks] how many clusters have treated units, and how many have reference units."""
    rows = np.unique(np.column_stack([block, cluster, treated]), axis=0)
    in_treatment, total = block_counts(rows[:, 0], rows[:, 2].astype(bool))
    return in_treatment, total - in_treatment


def _equal_shares(block: Codes, cluster: Codes, treated: Mask, of_clusters: Vector) -> bool:
    """Whether all blocks were dealt the same shares: of clusters, or of units where those were."""
    in_arms = np.unique(np.column_stack([cluster, treated]), axis=0)
    if len(in_arms) == _count(cluster):
        return bool(np.ptp(of_clusters) < SAME)
    in_treatment, total = block_counts(block, treated)
    return bool(np.ptp(in_treatment / total) < SAME)


ESTIMATOR = Estimator(
    fit,
    frozenset({"clustered", "blocked and clustered"}),
    covariates="allowed",
    few_fit=fit_jackknife,
)
