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

from causal_sae.estimation.estimators.cluster import block_columns
from causal_sae.estimation.linear_models import cr2_parts, design, indicators, usable_covariates
from causal_sae.estimation.multiplicity.family import SAMPLE, Family
from causal_sae.estimation.sample import (
    Codes,
    Mask,
    Matrix,
    Sample,
    Vector,
    block_counts,
    differences,
)

SAME = 1e-12
"""Shares of the arms that differ by less are the same share."""
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


def _least_squares(sample: Sample, x: Matrix, weights: Vector | None = None) -> Vector:
    """[n] contributions to the last coefficient of (weighted) least squares."""
    root = np.ones(len(sample)) if weights is None else np.sqrt(weights)
    q, r = np.linalg.qr(x * root[:, None])
    y = root * (sample.outcome - sample.outcome.mean())
    loading = q @ np.linalg.solve(r.T, np.eye(x.shape[1])[-1])
    free = 1 - np.sum(q**2, axis=1)
    found: Vector = loading * (y - q @ (q.T @ y))
    found /= free if sample.se_type == "HC3" else np.sqrt(free)
    return found


def _means(sample: Sample) -> Vector:
    found = np.empty(len(sample))
    for arm, sign in ((sample.treated, 1.0), (~sample.treated, -1.0)):
        values = sample.outcome[arm]
        found[arm] = sign * (values - values.mean()) / np.sqrt(len(values) * (len(values) - 1))
    return found


def _difference_in_means(sample: Sample) -> Vector:
    return _least_squares(sample, design(sample.treated))


def _ancova(sample: Sample) -> Vector:
    covariates, _ = usable_covariates(sample, design(sample.treated))
    return _least_squares(sample, design(covariates, sample.treated))


def _lin(sample: Sample) -> Vector:
    covariates, _ = usable_covariates(sample, design(sample.treated))
    interacted = covariates * sample.treated[:, None]
    return _least_squares(sample, design(covariates, interacted, sample.treated))


def _block(sample: Sample) -> Vector:
    block, treated, total = _blocks(sample)
    if sample.covariate_names:
        return _block_regression(sample)
    if np.all(np.minimum(treated, total - treated) >= 2):
        return _within_blocks(sample, block, total)
    if np.all(total == 2):
        pairs = np.where(sample.treated, sample.outcome, -sample.outcome)
        sums = np.bincount(block, weights=pairs)
        count = len(sums)
        return np.where(
            sample.treated, (sums - sums.mean())[block] / np.sqrt(count * (count - 1)), 0.0
        )
    return _block_regression(sample)


def _blocks(sample: Sample) -> tuple[Codes, Codes, Codes]:
    """[n] the block of each row; [blocks] its treated units, and all of them."""
    block = np.unique(np.zeros(0) if sample.block is None else sample.block, return_inverse=True)[1]
    return block, *block_counts(block, sample.treated)


def _within_blocks(sample: Sample, block: Codes, total: Codes) -> Vector:
    found = np.empty(len(sample))
    for arm, sign in ((sample.treated, 1.0), (~sample.treated, -1.0)):
        values, groups = sample.outcome[arm], block[arm]
        count = np.bincount(groups)
        rest = values - (np.bincount(groups, weights=values) / count)[groups]
        share = (total / len(sample) / np.sqrt(count * (count - 1)))[groups]
        found[arm] = sign * rest * share
    return found


def _block_regression(sample: Sample) -> Vector:
    block, treated, total = _blocks(sample)
    share = (treated / total)[block]
    equal = np.ptp(share) < SAME
    weights = None if equal else np.where(sample.treated, 1 / share, 1 / (1 - share))
    return _least_squares(sample, _block_design(sample, block), weights)


def _block_design(sample: Sample, block: Codes) -> Matrix:
    dummies = indicators(block)
    covariates, _ = usable_covariates(sample, design(dummies, sample.treated))
    return design(dummies, covariates, sample.treated)


def _fixed_effects(sample: Sample) -> Vector:
    return _least_squares(sample, _block_design(sample, _blocks(sample)[0]))


def _cluster(sample: Sample) -> Vector:
    codes = np.arange(len(sample)) if sample.cluster is None else sample.cluster
    blocks, _ = block_columns(sample, codes)
    covariates, _ = usable_covariates(sample, design(blocks, sample.treated))
    x = design(blocks, covariates, sample.treated)
    return _scores(sample.outcome - sample.outcome.mean(), x, codes)


def _paired(sample: Sample) -> Vector:
    found = np.zeros(len(sample))
    difference = differences(sample)
    if sample.cluster is not None:
        cluster = sample.cluster[sample.treated]
        found[sample.treated] = _scores(difference, np.ones((len(difference), 1)), cluster)
        return found
    count = len(difference)
    found[sample.treated] = (difference - difference.mean()) / np.sqrt(count * (count - 1))
    return found


def _scores(y: Vector, x: Matrix, codes: Codes) -> Vector:
    """[n] CR2's contributions to the last coefficient; a cluster's stands at its first row."""
    found = np.zeros(len(y))
    parts = cr2_parts(y, x, codes, np.eye(x.shape[1])[:, -1:])
    found[np.unique(codes, return_index=True)[1]] = parts.scores[:, 0]
    return found


CONTRIBUTIONS: dict[str, Callable[[Sample], Vector]] = {
    "welch": _means,
    "difference_in_means": _difference_in_means,
    "ancova": _ancova,
    "lin": _lin,
    "block": _block,
    "fixed_effects": _fixed_effects,
    "cluster": _cluster,
    "paired": _paired,
}
"""Estimator -> [n] what each row of a sample contributes to its estimate."""
