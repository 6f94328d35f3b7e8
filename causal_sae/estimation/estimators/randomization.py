"""Randomisation inference: the assignment drawn again as it was drawn, and the effect re-estimated.

What was randomised is what is drawn again: units within their blocks, whole clusters where
clusters were assigned whole, and the two members of a pair. The statistic is the difference over
its own standard error (Neyman's, or CR2's with clusters), so the test holds exactly when the
treatment changes no unit, and in large samples when it changes none on average (Chung and Romano
2013). All assignments are listed where they are few; otherwise 9,999 (with more than 2,000 units
fewer, but 1,999 at least) are drawn from the trial's seed, and p counts the one that was made among
them. The interval holds the constant effects that the test does not reject.

Where assignments were drawn again until arms were alike, only those are drawn that the same rule
accepts (Morgan and Rubin 2012): 1,999 of them.

In designs within units the two outcomes of a unit (or of all units of a cluster) swap arms.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from causal_sae.estimation.estimators.base import Estimator
from causal_sae.estimation.inference import Estimate, unknown
from causal_sae.estimation.redraws import Items, Redraws, dealt, flipped
from causal_sae.estimation.sample import (
    Codes,
    Sample,
    Vector,
    block_counts,
    differences,
    within_units,
)
from causal_sae.randomness import generator

BISECTIONS = 50
"""Each halves the distance between an effect that is rejected and one that is not."""
DOUBLINGS = 40
"""How far out a rejected effect is looked for."""


def fit(sample: Sample, alpha: float) -> Estimate:
    """The effect, its randomisation p-value, and the interval by test inversion."""
    redraws = drawn(sample)
    if redraws is None:
        return unknown("too_few_units" if sample.cluster is None else "too_few_clusters")
    estimate, std_error = float(redraws.of_outcome[0]), redraws.std_error
    if not std_error > 0:
        return Estimate(estimate, std_error)
    low, high = (_limit(redraws, alpha, side) for side in (-1, 1))
    draws = len(redraws.of_outcome) - 1
    flags = [f"assignments_listed:{draws}" if redraws.listed else f"assignments_drawn:{draws}"]
    if np.isnan(low) or np.isnan(high):
        flags.append("no_interval")
    return Estimate(
        estimate,
        std_error,
        statistic=estimate / std_error,
        p_value=redraws.p_value(0.0),
        conf_low=low,
        conf_high=high,
        flags=tuple(flags),
    )


def beyond(sample: Sample, effect: float, side: int) -> float:
    """The one-sided p-value of the hypothesis that the effect is this large or further out.

    Parameters
    ----------
    sample:
        The units analysed.
    effect:
        The hypothesis' effect.
    side:
        -1 when small estimates speak against the hypothesis, +1 when large ones do.
    """
    redraws = drawn(sample)
    return np.nan if redraws is None else redraws.p_value(effect, side)


def drawn(sample: Sample) -> Redraws | None:
    """The draws of the sample's design; None where there is nothing to draw."""
    rng = generator(sample.seed, "randomization inference")
    if within_units(sample):
        difference = differences(sample)
        cluster = None if sample.cluster is None else sample.cluster[sample.treated]
        return _flipped(difference, cluster, rng)
    if sample.redeal is None and _matched(sample) and sample.block is not None:
        _, block = np.unique(sample.block, return_inverse=True)
        signed = np.where(sample.treated, sample.outcome, -sample.outcome)
        return _flipped(summed(block, signed), None, rng)
    items = _items(sample)
    enough = min(items.treated.sum(), (~items.treated).sum()) > 0 and len(items.size) > 2
    return dealt(items, rng, sample.redeal) if enough else None


def _flipped(difference: Vector, cluster: Codes | None, rng: np.random.Generator) -> Redraws | None:
    item = np.arange(len(difference)) if cluster is None else np.unique(cluster, False, True)[1]
    size = np.bincount(item).astype(np.float64) if len(item) else np.empty(0)
    if len(size) < 2:
        return None
    return flipped(summed(item, difference), size, rng)


def summed(item: Codes, values: Vector) -> Vector:
    """[items] the sum of the values of each item."""
    return np.bincount(item, weights=values).astype(np.float64)


def _matched(sample: Sample) -> bool:
    """Whether every block is one unit of each arm, and units were assigned one by one."""
    if sample.block is None or not len(sample) or sample.cluster is not None:
        return False
    treated, total = block_counts(sample.block, sample.treated)
    return bool(np.all((total == 0) | ((total == 2) & (treated == 1))))


def _items(sample: Sample) -> Items:
    """What was dealt: clusters where each of them is in one arm only, units otherwise."""
    n = len(sample)
    item = np.arange(n)
    if sample.cluster is not None:
        codes = np.unique(sample.cluster, return_inverse=True)[1]
        treated, total = block_counts(codes, sample.treated)
        if np.all((treated == 0) | (treated == total)):
            item = codes
    size = np.bincount(item).astype(np.float64)
    first = np.unique(item, return_index=True)[1]
    block = np.zeros(n, dtype=np.int64) if sample.block is None else sample.block
    return Items(
        total=summed(item, sample.outcome),
        size=size,
        treated=sample.treated[first],
        stratum=np.unique(block[first], return_inverse=True)[1],
    )


def _limit(redraws: Redraws, alpha: float, side: int) -> float:
    """Where effects begin to be rejected on that side of the estimate; NaN where none is."""
    centre, step = float(redraws.of_outcome[0]), redraws.std_error

    def kept(distance: float) -> bool:
        return redraws.p_value(centre + side * distance) > alpha

    near, far = _bracket(kept, step)
    if np.isnan(far):
        return np.nan
    for _ in range(BISECTIONS):
        middle = (near + far) / 2
        near, far = (middle, far) if kept(middle) else (near, middle)
    return centre + side * near


def _bracket(kept: Callable[[float], bool], step: float) -> tuple[float, float]:
    """A distance at which the effect is not rejected, and one at which it is."""
    near, far = 0.0, 2 * step
    for _ in range(DOUBLINGS):
        if not kept(far):
            return near, far
        near, far = far, 2 * far
    return near, np.nan


ESTIMATOR = Estimator(
    fit,
    frozenset({"plain", "blocked", "clustered", "blocked and clustered", "within-unit"}),
    covariates="none",
    beyond=beyond,
    students=False,
)
