"""What each unit contributes to an estimate of independent units.

Up to its mean every such estimate is a sum of contributions of units, and the sum of their squares
is its squared standard error: HC2's (or HC3's), or Neyman's. The sum of their cubes is its third
cumulant.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from causal_sae.estimation.linear_models import design, indicators, usable_covariates
from causal_sae.estimation.sample import Codes, Matrix, Sample, Vector, block_counts, differences

SAME = 1e-12
"""Shares of the arms that differ by less are the same share."""


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


def _paired(sample: Sample) -> Vector:
    found = np.zeros(len(sample))
    difference = differences(sample)
    count = len(difference)
    found[sample.treated] = (difference - difference.mean()) / np.sqrt(count * (count - 1))
    return found


OF_UNITS: dict[str, Callable[[Sample], Vector]] = {
    "welch": _means,
    "difference_in_means": _difference_in_means,
    "ancova": _ancova,
    "lin": _lin,
    "block": _block,
    "fixed_effects": _fixed_effects,
    "paired": _paired,
}
"""Estimator -> [n] what each row of a sample without clusters contributes to its estimate; that of
a pair stands at its treated row."""
