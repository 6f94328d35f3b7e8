"""Crossover trials with an effect of the place at which an arm was run: period effects taken out.

A unit's difference is the treatment's effect plus the difference between the two periods in which
its arms were run. Least squares of the differences on an intercept (the effect) and the periods'
differences, with an HC2 standard error and n - k degrees of freedom:
``estimatr::lm_robust(d ~ p2 + p3, se_type = "HC2")``. With two periods this is Hills and
Armitage's (1979) comparison of the two sequences, without their assumption of equal variances.
Where units come in clusters the standard error is CR2's.
"""

from __future__ import annotations

import numpy as np
from scipy import linalg

from causal_sae.errors import DataError, Place
from causal_sae.estimation.estimators.base import Estimator
from causal_sae.estimation.estimators.cluster import cluster_flags
from causal_sae.estimation.inference import Estimate, student, unknown
from causal_sae.estimation.linear_models import cr2, robust
from causal_sae.estimation.sample import Matrix, Sample, Vector, differences

INDEPENDENT = 1e-9
"""Columns whose remainder after the others is below this are combinations of them."""


def fit(sample: Sample, alpha: float) -> Estimate:
    """The effect at equal periods; every unit is expected to have both arms.

    Raises
    ------
    DataError
        The order in which a unit's arms were run was not recorded.
    """
    difference, periods = differences(sample), period_columns(sample)
    if len(difference) < 2:
        return unknown("too_few_units")
    flags = ("covariates_absorbed",) if sample.covariate_names else ()
    kept = independent(periods) if separable(periods) else periods[:, :0]
    flags = flags if kept.shape[1] else (*flags, "order_fixed")
    x = np.column_stack([kept, np.ones(len(difference))])
    if sample.cluster is not None:
        return _clustered(sample, difference, x, alpha).flagged(*flags)
    effect = robust(difference, x, se_type=sample.se_type)
    if np.isnan(effect.std_error):
        return unknown("singular", *flags)
    return student(effect.estimate, effect.std_error, effect.df, alpha, flags)


def _clustered(sample: Sample, difference: Vector, x: Matrix, alpha: float) -> Estimate:
    cluster = np.asarray(sample.cluster)[sample.treated]
    clusters = len(np.unique(cluster))
    if clusters < 2:
        return unknown("too_few_clusters")
    if len(difference) <= x.shape[1] or clusters <= x.shape[1]:
        return unknown("singular")
    effect = cr2(difference, x, cluster)
    flags = cluster_flags(clusters, effect.df)
    return student(effect.estimate, effect.std_error, effect.df, alpha, flags)


def period_columns(sample: Sample) -> Matrix:
    """[pairs, periods] +1 in the period of the unit's treatment, -1 in that of its reference.

    Raises
    ------
    DataError
        The order was not recorded.
    """
    if sample.order is None:
        raise DataError(
            "the estimator 'crossover' compares arms at equal places in the order in which a "
            "unit's arms were run, so the observations must give that place in the column "
            "'run_order' of every row, from 1; fill it in, or use 'paired'.",
            Place(field="run_order"),
        )
    periods = np.unique(sample.order)
    at = (sample.order[:, None] == periods).astype(np.float64)
    columns: Matrix = at[sample.treated] - at[~sample.treated]
    return columns


def separable(columns: Matrix) -> bool:
    """Whether the effect can be told from the periods': no mixture of theirs is constant."""
    return len(columns) > 0 and _rank(np.column_stack([columns, np.ones(len(columns))])) > _rank(
        columns
    )


def independent(columns: Matrix) -> Matrix:
    """As many of the columns as are linearly independent; the effect does not depend on which."""
    if not len(columns):
        return columns[:, :0]
    order = linalg.qr(columns, mode="r", pivoting=True)[1]
    kept: Matrix = columns[:, np.sort(order[: _rank(columns)])]
    return kept


def _rank(columns: Matrix) -> int:
    return int(np.linalg.matrix_rank(columns, tol=INDEPENDENT * np.sqrt(max(columns.shape))))


ESTIMATOR = Estimator(fit, frozenset({"within-unit"}), covariates="allowed")
