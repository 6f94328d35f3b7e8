"""How the estimates of a family move together: what each unit contributes to each of them.

Every estimate here is, up to its mean, a sum of contributions of independent units (or clusters of
units), and the sum of their squares is its squared standard error: HC2's (or HC3's), Neyman's or
CR2's. The covariance of two estimates is then the sum of the products of their contributions,
whatever outcomes or arms they compare. It is ``clubSandwich::vcovCR`` of the estimates' equations
stacked.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from causal_sae.estimation.contributions import OF_UNITS
from causal_sae.estimation.estimators.cluster import block_columns
from causal_sae.estimation.linear_models import cr2_parts, design, usable_covariates
from causal_sae.estimation.multiplicity.family import SAMPLE, Family
from causal_sae.estimation.sample import (
    Codes,
    Mask,
    Matrix,
    Sample,
    Vector,
    differences,
)

AGREES = 1e-6
"""Contributions whose sum of squares is further (relatively) from the squared standard error than
this are not those of the estimate."""


def correlation(family: Family, rows: Mask) -> Matrix | None:
    """[k, k] the correlations between some of a family's estimates; None where they are unknown.

    Parameters
    ----------
    family:
        Its rows' samples hold the units.
    rows:
        [tests] which estimates; their standard errors are above zero.
    """
    table = family.rows[rows]
    parts: list[pd.Series[float]] = []
    paired = {"matched_pairs" in str(cell) for cell in table["flags"]}
    if len(paired) > 1:
        return None
    for _, row in table.iterrows():
        contribute, sample = CONTRIBUTIONS.get(str(row["estimator"])), row[SAMPLE]
        if contribute is None or not isinstance(sample, Sample):
            return None
        items = family.labels(sample, "block" if paired == {True} else "cluster")
        of_units = pd.Series(contribute(sample))
        part = of_units.groupby(sample.unit if items is None else items).sum()
        squared = float(row["std_error"]) ** 2
        if not abs(float((part**2).sum()) - squared) <= AGREES * squared:
            return None
        parts.append(part)
    stacked = pd.concat(parts, axis=1).fillna(0.0).to_numpy(np.float64)
    scaled = stacked / np.linalg.norm(stacked, axis=0)
    found: Matrix = scaled.T @ scaled
    return found


def _cluster(sample: Sample) -> Vector:
    codes = np.arange(len(sample)) if sample.cluster is None else sample.cluster
    blocks, _ = block_columns(sample, codes)
    covariates, _ = usable_covariates(sample, design(blocks, sample.treated))
    x = design(blocks, covariates, sample.treated)
    return _scores(sample.outcome - sample.outcome.mean(), x, codes)


def _paired(sample: Sample) -> Vector:
    if sample.cluster is None:
        return OF_UNITS["paired"](sample)
    found, difference = np.zeros(len(sample)), differences(sample)
    cluster = sample.cluster[sample.treated]
    found[sample.treated] = _scores(difference, np.ones((len(difference), 1)), cluster)
    return found


def _scores(y: Vector, x: Matrix, codes: Codes) -> Vector:
    """[n] CR2's contributions to the last coefficient; a cluster's stands at its first row."""
    found = np.zeros(len(y))
    parts = cr2_parts(y, x, codes, np.eye(x.shape[1])[:, -1:])
    found[np.unique(codes, return_index=True)[1]] = parts.scores[:, 0]
    return found


CONTRIBUTIONS: dict[str, Callable[[Sample], Vector]] = {
    **OF_UNITS,
    "cluster": _cluster,
    "paired": _paired,
}
"""Estimator -> [n] what each row of a sample contributes to its estimate."""
