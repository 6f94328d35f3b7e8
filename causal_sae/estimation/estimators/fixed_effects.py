"""Blocked assignment: least squares with block fixed effects, blocks counting by their precision.

``estimatr::lm_robust(y ~ z + x, fixed_effects = ~ block)``. Where the arms' shares are the same in
all blocks this is the size-weighted effect too. Where they differ, blocks with even shares count
for more: the estimate is then of a weighted mean of the blocks' effects that is not the average
effect, and a flag says so; ``block`` gives the average.
"""

from __future__ import annotations

import numpy as np

from causal_sae.estimation.estimators.base import Estimator
from causal_sae.estimation.estimators.block import FEW, SAME
from causal_sae.estimation.inference import Estimate, student, unknown
from causal_sae.estimation.linear_models import design, indicators, robust, usable_covariates
from causal_sae.estimation.sample import Sample, block_counts


def fit(sample: Sample, alpha: float) -> Estimate:
    """The effect at equal blocks and covariates; blocks with one arm only are not expected."""
    if sample.block is None or len(sample) < 3:
        return unknown("too_few_units")
    _, block = np.unique(sample.block, return_inverse=True)
    treated, total = block_counts(block, sample.treated)
    dummies = indicators(block)
    covariates, flags = usable_covariates(sample, design(dummies, sample.treated))
    x = design(dummies, covariates, sample.treated)
    effect = robust(sample.outcome - sample.outcome.mean(), x, se_type=sample.se_type)
    if np.isnan(effect.std_error):
        return unknown("singular", *flags)
    if len(total) < FEW and np.min(np.minimum(treated, total - treated)) < 2:
        flags = (*flags, f"few_blocks:{len(total)}")
    uneven = () if np.ptp(treated / total) < SAME else ("precision_weighted",)
    return student(effect.estimate, effect.std_error, effect.df, alpha, (*flags, *uneven))


ESTIMATOR = Estimator(fit, frozenset({"blocked"}), covariates="allowed")
