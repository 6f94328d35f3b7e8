"""The design's own estimator with Hall's limits for skewed outcomes; `auto` takes it.

Estimate, standard error and degrees of freedom are those of the design: the paired t, Welch's,
ANCOVA's or the blocks'. Only the test and the interval allow for the skewness of the estimate's
distribution (Hall 1992; for two arms Zhou and Dinh 2005): Student's interval leaves out 10% where
the effects of 50 units are lognormal. They are never narrower than Student's, and equal to them as
the skewness goes to zero (:mod:`causal_sae.estimation.skewness`).

Where blocks have a single unit of an arm and are few, HC2 underestimates and HC3 takes its place.
Clusters keep Student's limits: their number, not their skewness, is what goes wrong.
"""

from __future__ import annotations

from dataclasses import replace

from causal_sae.estimation.contributions import OF_UNITS
from causal_sae.estimation.estimators import ancova, block, cluster, paired, welch
from causal_sae.estimation.estimators.base import Estimator, Fit
from causal_sae.estimation.inference import Estimate
from causal_sae.estimation.sample import Sample, within_units
from causal_sae.estimation.skewness import (
    ONE_SIDED,
    SHRUNKEN,
    beyond,
    cumulant_of_sum,
    cumulants_of_difference,
    skewness_flags,
    widest,
    with_fractions,
)

BASES: dict[str, Fit] = {
    "paired": paired.fit,
    "cluster": cluster.fit,
    "block": block.fit,
    "ancova": ancova.fit,
    "welch": welch.fit,
}
SMALLEST = 1e-90
"""Standard errors below have cubes of zero in double precision."""


def base(sample: Sample) -> str:
    """The name of the design's own estimator."""
    if within_units(sample):
        return "paired"
    if sample.cluster is not None:
        return "cluster"
    if sample.block is not None:
        return "block"
    return "ancova" if sample.covariate_names else "welch"


def fit(sample: Sample, alpha: float) -> Estimate:
    """The effect, by the design's own estimator, with limits that allow for skewness."""
    return _fit(sample, alpha, SHRUNKEN)


def fit_one_sided(sample: Sample, alpha: float) -> Estimate:
    """The same where only one limit counts."""
    return _fit(sample, alpha, ONE_SIDED)


def _fit(sample: Sample, alpha: float, shrunken: float) -> Estimate:
    sample, found = _student(sample, alpha)
    thirds = _thirds(sample, found, shrunken)
    if not thirds:
        return found
    limits = widest(found.estimate, found.std_error, found.df, thirds, alpha)
    return replace(
        found,
        statistic=limits.statistic,
        p_value=limits.p_value,
        conf_low=limits.low,
        conf_high=limits.high,
    ).flagged(*(code.replace("skewed", "skewness_corrected") for code in skewness_flags(sample)))


def beyond_effect(sample: Sample, effect: float, side: int) -> float:
    """The one-sided p-value of an effect that the interval of :func:`fit_one_sided` goes with."""
    sample, found = _student(sample, 0.5)
    thirds = _thirds(sample, found, ONE_SIDED)
    return beyond(found.estimate, found.std_error, found.df, thirds or (0.0,))(effect, side)


def _student(sample: Sample, alpha: float) -> tuple[Sample, Estimate]:
    """The design's own estimate, and the sample with the standard error that it was made with."""
    own = BASES[base(sample)]
    found = own(sample, alpha)
    if sample.se_type == "HC2" and any(code.startswith("few_blocks") for code in found.flags):
        sample = replace(sample, se_type="HC3")
        found = own(sample, alpha).flagged("hc3")
    return sample, found


def _thirds(sample: Sample, found: Estimate, shrunken: float) -> tuple[float, ...]:
    """Third cumulants of the estimate; none where it has no interval or clusters."""
    if sample.cluster is not None or not (found.std_error > SMALLEST and found.df > 0):
        return ()
    parts = OF_UNITS[base(sample)](sample)
    if within_units(sample) or "matched_pairs" in found.flags:
        return with_fractions((cumulant_of_sum(parts[sample.treated], shrunken),), shrunken)
    both = cumulants_of_difference(parts[sample.treated], parts[~sample.treated], shrunken)
    return with_fractions(both, shrunken)


ESTIMATOR = Estimator(
    fit,
    frozenset({"plain", "blocked", "within-unit"}),
    covariates="allowed",
    margin_fit=fit_one_sided,
    beyond=beyond_effect,
    students=False,
)
