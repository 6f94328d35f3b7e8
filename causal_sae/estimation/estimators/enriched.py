"""The effect in the whole pool, where exposed prompts were drawn more often than others.

An enriched trial scans a pool, draws exposed and unexposed prompts with known probabilities, and
weights each by the inverse: the effect in the pool is the sum over both strata of the stratum's
share times the effect in it (Horvitz and Thompson 1952, post-stratified). Unexposed prompts that
are bound to be the same in both arms have an effect of exactly zero, drawn or not; where they were
drawn, they must be seen to be exactly unchanged. Anything else has to be drawn to be known.

- Effects within strata: as the design's own estimator gives them (Welch, paired t, blocks, CR2),
  with their own degrees of freedom, and Hall's limits for skewed effects
  (:mod:`causal_sae.estimation.skewness`).
- Shares: counted on the scanned pool. It is a sample of the prompts that the claim is about, so
  their binomial uncertainty is part of the interval; with ``claim: finite`` the pool itself is
  meant, shares are known, and pairs drawn from it have the finite population's correction.
- One stratum with an effect: the two intervals are combined as in ``sparse``, and the test is that
  of the effect among exposed prompts. Two strata: their variances add, with Satterthwaite's
  degrees of freedom.

Clusters are refused, but for the effect of an edit that leaves unexposed prompts alone under
``claim: finite``: how much the share exposed varies between clusters cannot be told from the
prompts drawn.

Estimates and standard errors under ``claim: finite`` are those of ``survey::svymean`` (R) with
strata and the finite population's correction; otherwise those of two-phase sampling
(``survey::twophase``), but for terms of the order of one over the pool's size.

Coverage of the nominal 95% with pools of 10,000: ``docs/explanation/estimators.md`` has the
figures, and ``python tests/estimation/test_enriched_coverage.py`` prints them anew.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product

import numpy as np

from causal_sae.errors import DataError, Place
from causal_sae.estimation.contributions import OF_UNITS
from causal_sae.estimation.estimators import hall
from causal_sae.estimation.estimators.base import Estimator
from causal_sae.estimation.estimators.sparse import combined, wilson
from causal_sae.estimation.inference import Estimate, settle, unknown
from causal_sae.estimation.pool import SAME
from causal_sae.estimation.sample import Pool, Sample, differences, shared_blocks, within_units
from causal_sae.estimation.skewness import (
    ONE_SIDED,
    SHRUNKEN,
    Limits,
    cumulant_of_sum,
    cumulants_of_difference,
    widest,
    with_fractions,
)


@dataclass(frozen=True)
class Stratum:
    """The effect among the exposed, or among the unexposed prompts of a pool."""

    share: float
    """Of the pool."""
    effect: Estimate
    thirds: tuple[float, ...]
    """The third cumulant of the effect's estimate, in one way or two; 0 where only Student's t is
    had."""


NOTHING = Estimate(0.0, 0.0, df=np.inf)
"""The effect on prompts that are bound to be the same in both arms."""


def fit(sample: Sample, alpha: float) -> Estimate:
    """The effect in the pool."""
    return _fit(sample, alpha, SHRUNKEN)


def fit_one_sided(sample: Sample, alpha: float) -> Estimate:
    """The same where only one limit counts."""
    return _fit(sample, alpha, ONE_SIDED)


def _fit(sample: Sample, alpha: float, shrunken: float) -> Estimate:
    if sample.pool is None or sample.exposed is None or sample.stratum_share is None:
        raise DataError(
            "the estimator 'enriched' weights units by how they were drawn from a pool, so the "
            "observations must have sampling_probability, stratum_share and exposed in every row; "
            "fill them in, or use 'auto'.",
            Place(field="sampling_probability"),
        )
    pool, rows = sample.pool, sample.exposed
    if sample.cluster is not None and not pool.finite:
        raise _clusters("how much the share of exposed units varies between clusters is unknown")
    flags = ("pool_shares_known",) if pool.finite else ()
    if not rows.any():
        return unknown("too_few_exposed", *flags)
    share = float(sample.stratum_share[rows][0])
    exposed = _stratum(sample.take(rows), share, alpha, shrunken)
    others = _unexposed(sample.take(~rows), 1 - share, pool, alpha, shrunken)
    if sample.cluster is not None and others.effect is not NOTHING:
        raise _clusters("with clusters exposed and unexposed units are not independent")
    kept = tuple(dict.fromkeys((*exposed.effect.flags, *others.effect.flags, *flags)))
    kept = tuple(flag for flag in kept if flag not in {"exact_zero", "constant_outcome"})
    estimate = share * exposed.effect.estimate + others.share * others.effect.estimate
    if np.isnan(exposed.effect.std_error) or np.isnan(others.effect.std_error):
        return Estimate(estimate, np.nan, flags=kept)
    if others.effect.std_error == 0 and others.effect.estimate == 0:
        return _one(exposed, pool, alpha).flagged(*kept)
    return _two(exposed, others, pool, alpha).flagged(*kept)


def _clusters(why: str) -> DataError:
    return DataError(
        f"{why}, so the estimator 'enriched' has no standard error here; use `estimator: cace` for "
        "the effect on exposed units, or `claim: finite` with unexposed units that do not move.",
        Place(field="cluster"),
    )


def _unexposed(sample: Sample, share: float, pool: Pool, alpha: float, shrunken: float) -> Stratum:
    """The unexposed prompts: without an effect, or drawn and estimated."""
    if share < SAME or (pool.inert and (not len(sample) or _unchanged(sample))):
        return Stratum(max(share, 0.0), NOTHING, (0.0,))
    if not len(sample):
        raise DataError(
            "no unexposed prompt was drawn, and what the edit does to them is not known to be "
            "nothing, so the effect in the whole pool cannot be estimated; use `estimator: cace` "
            "for the effect on exposed prompts, or draw some with `unexposed: 50`.",
            Place(field="population.enrich"),
        )
    return _stratum(sample, share, alpha, shrunken)


def _unchanged(sample: Sample) -> bool:
    """Whether no unit moved at all, where that can be seen."""
    if within_units(sample):
        return bool(np.all(differences(sample) == 0))
    return sample.clean is not None and bool(np.array_equal(sample.outcome, sample.clean))


def _stratum(sample: Sample, share: float, alpha: float, shrunken: float) -> Stratum:
    within = within_units(sample)
    sample, lost = (sample, ()) if within else shared_blocks(sample)
    if not len(sample):
        return Stratum(share, unknown(*lost), (0.0,))
    effect = settle(hall.fit(sample, alpha), sample.outcome).flagged(*lost)
    if (
        not effect.std_error > 0
        or sample.cluster is not None
        or sample.block is not None
        or (sample.covariate_names and not within)
    ):
        return Stratum(share, effect, (0.0,))
    parts = OF_UNITS[hall.base(sample)](sample)
    if not within:
        thirds = cumulants_of_difference(parts[sample.treated], parts[~sample.treated], shrunken)
        return Stratum(share, effect, with_fractions(thirds, shrunken))
    left = _not_drawn(sample, share)
    effect = replace(effect, std_error=effect.std_error * np.sqrt(left))
    third = cumulant_of_sum(parts[sample.treated], shrunken)
    return Stratum(share, effect, with_fractions((third * left**1.5,), shrunken))


def _not_drawn(sample: Sample, share: float) -> float:
    """The finite population's correction: which part of the stratum is not in the sample."""
    if sample.pool is None or not sample.pool.finite:
        return 1.0
    return max(0.0, 1 - len(sample) / 2 / (share * sample.pool.size))


def _one(exposed: Stratum, pool: Pool, alpha: float) -> Estimate:
    """Only exposed prompts can have an effect: their share times the effect among them."""
    share, mean, error = exposed.share, exposed.effect.estimate, exposed.effect.std_error
    if error == 0:
        return Estimate(share * mean, 0.0, df=exposed.effect.df)
    among = widest(mean, error, exposed.effect.df, exposed.thirds, alpha)
    count = round(share * pool.size)
    rate = (share, share) if pool.finite else wilson(count, pool.size, alpha)
    low, high = combined(share, rate, mean, (among.low, among.high))
    variance = (share * error) ** 2 + mean**2 * _share_variance(share, pool)
    return Estimate(
        share * mean,
        float(np.sqrt(variance)),
        among.statistic,
        exposed.effect.df,
        among.p_value,
        low,
        high,
    )


def _two(exposed: Stratum, others: Stratum, pool: Pool, alpha: float) -> Estimate:
    """Both strata can have an effect."""
    strata = (exposed, others)
    estimate = sum(s.share * s.effect.estimate for s in strata)
    parts = np.array([(s.share * s.effect.std_error) ** 2 for s in strata])
    between = (exposed.effect.estimate - others.effect.estimate) ** 2
    variance = float(parts.sum()) + between * _share_variance(exposed.share, pool)
    if variance == 0:
        return Estimate(estimate, 0.0)
    squares = sum(p**2 / s.effect.df for p, s in zip(parts, strata, strict=True) if p > 0)
    df = variance**2 / squares if squares > 0 else float(pool.size - 1)
    error = float(np.sqrt(variance))
    # Cumulants of independent terms add up.
    ways = product(*(s.thirds for s in strata))
    thirds = tuple(
        sum(s.share**3 * third for s, third in zip(strata, way, strict=True)) for way in ways
    )
    found: Limits = widest(estimate, error, df, thirds, alpha)
    return Estimate(estimate, error, found.statistic, df, found.p_value, found.low, found.high)


def _share_variance(share: float, pool: Pool) -> float:
    """Of the share of exposed prompts, in the pool as a sample."""
    return 0.0 if pool.finite else share * (1 - share) / pool.size


ESTIMATOR = Estimator(
    fit,
    frozenset({"plain", "blocked", "clustered", "blocked and clustered", "within-unit"}),
    covariates="allowed",
    margin_fit=fit_one_sided,
    students=False,
    weighted=True,
    copes_with=frozenset({"zero_inflated"}),
)
