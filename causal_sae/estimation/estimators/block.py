"""Blocked assignment: differences within blocks, weighted by the blocks' sizes.

Three cases, all of them estimates of the same quantity:

- every block has two or more units in each arm: ``estimatr::difference_in_means(blocks =)``,
  with n - 2 * blocks degrees of freedom;
- every block is a matched pair: the variance between the pairs' differences, pairs - 1 degrees
  of freedom (the same function's matched-pair design);
- otherwise, or with covariates: least squares on block indicators (and covariates) with an HC2
  standard error, ``estimatr::lm_robust(y ~ z + block)``; where the arms' shares differ between
  blocks, with inverse-probability weights, which give back the size-weighted estimate.
"""

from __future__ import annotations

import numpy as np

from causal_sae.estimation.estimators.base import Estimator
from causal_sae.estimation.inference import Estimate, student, unknown
from causal_sae.estimation.linear_models import design, indicators, robust, usable_covariates
from causal_sae.estimation.sample import Codes, Mask, Sample, Vector, block_counts

FEW = 30
"""Below this number of blocks that have one unit of an arm, the flag ``few_blocks`` is raised."""
SAME = 1e-12
"""Shares that differ by less are the same share."""


def fit(sample: Sample, alpha: float) -> Estimate:
    """The block-size-weighted difference in means; blocks with one arm only are not expected."""
    if sample.block is None or len(sample) < 3:
        return unknown("too_few_units")
    _, block = np.unique(sample.block, return_inverse=True)
    treated, total = block_counts(block, sample.treated)
    if sample.covariate_names:
        return _regression(sample, block, alpha)
    if np.all(np.minimum(treated, total - treated) >= 2):
        return _within_blocks(sample, block, alpha)
    if np.all(total == 2):
        return _matched_pairs(sample, block, alpha)
    return _regression(sample, block, alpha)


def _within_blocks(sample: Sample, block: Codes, alpha: float) -> Estimate:
    means, variances = zip(
        *(_arm_moments(sample.outcome, block, arm) for arm in (sample.treated, ~sample.treated)),
        strict=True,
    )
    weights = np.bincount(block) / len(block)
    difference = float(weights @ (means[0] - means[1]))
    std_error = float(np.sqrt(weights**2 @ (variances[0] + variances[1])))
    return student(difference, std_error, len(block) - 2 * len(weights), alpha)


def _arm_moments(outcome: Vector, block: Codes, arm: Mask) -> tuple[Vector, Vector]:
    """[blocks] the arm's mean in each block, and the variance of that mean."""
    values, groups = outcome[arm], block[arm]
    count = np.bincount(groups)
    mean = np.bincount(groups, weights=values) / count
    squares = np.bincount(groups, weights=(values - mean[groups]) ** 2)
    return mean, squares / (count - 1) / count


def _matched_pairs(sample: Sample, block: Codes, alpha: float) -> Estimate:
    sign = np.where(sample.treated, 1.0, -1.0)
    pairs = np.bincount(block, weights=sign * sample.outcome)
    if len(pairs) < 2:
        return unknown("too_few_units")
    std_error = float(pairs.std(ddof=1) / np.sqrt(len(pairs)))
    return student(float(pairs.mean()), std_error, len(pairs) - 1, alpha, ("matched_pairs",))


def _regression(sample: Sample, block: Codes, alpha: float) -> Estimate:
    treated, total = block_counts(block, sample.treated)
    share = (treated / total)[block]
    equal = np.ptp(share) < SAME
    weights = None if equal else np.where(sample.treated, 1 / share, 1 / (1 - share))
    dummies = indicators(block)
    covariates, flags = usable_covariates(sample, design(dummies, sample.treated))
    x = design(dummies, covariates, sample.treated)
    effect = robust(sample.outcome - sample.outcome.mean(), x, weights, sample.se_type)
    if np.isnan(effect.std_error):
        return unknown("singular", *flags)
    if len(total) < FEW and np.min(np.minimum(treated, total - treated)) < 2:
        flags = (*flags, f"few_blocks:{len(total)}")
    flags = (*flags, "block_regression", *(() if equal else ("probability_weighted",)))
    return student(effect.estimate, effect.std_error, effect.df, alpha, flags)


ESTIMATOR = Estimator(fit, frozenset({"blocked"}), covariates="allowed")
