"""Difference in differences against the placebo distribution: the draws are the randomisation.

The contrast is ``[feature's arm, placebo arm with m draws]``. The estimate is the effect of the
feature minus the mean effect of the m placebo features (or random directions); both effects are
against the same reference, which cancels, so it is the difference of their mean outcomes. The
hypothesis is that the feature is one more draw: it and the m placebos are then exchangeable, and p
is the rank of its deviation among the m + 1 deviations, each from the mean of all the others,
``(1 + placebos that deviate at least as far) / (m + 1)``. The claim is about features like the
placebos, not about these draws, and so there is no flag ``fixed_draws``.

The interval holds the shifts of the feature that the same test does not reject; its ends are
deviations of placebos. A level of 95% needs m >= 19, and with fewer no shift can be rejected and
there is no interval. The standard error is that of a further draw around the mean of m,
``sd * sqrt(1 + 1 / m)``, sampling included.

In designs within units a placebo's mean is taken over the differences to the feature on the same
units, so that units' levels cancel; in plain designs every unit counts for one draw only, and no
draw has more units than the feature. Then no placebo is known better than the feature, and the
test errs on the side of caution: its power rests on how well each draw is known.
"""

from __future__ import annotations

import numpy as np

from causal_sae.errors import DataError, Place
from causal_sae.estimation.estimators.base import Estimator
from causal_sae.estimation.inference import Estimate, unknown
from causal_sae.estimation.sample import Matrix, Sample, Vector, within_units
from causal_sae.randomness import generator

TIES = 1e-9
"""Deviations that differ by less than this share count as equal."""


def fit(sample: Sample, alpha: float) -> Estimate:
    """The feature's effect beyond the placebos', by ranks.

    Raises
    ------
    DataError
        The reference has one draw, or it was not recorded which row is of which.
    """
    if not min(map(len, sample.arms)):
        return unknown("too_few_units")
    estimate, placebos = deviations(sample)
    m = len(placebos)
    if m < 2:
        return unknown("too_few_units")
    spread = float(placebos.std(ddof=1)) * float(np.sqrt(1 + 1 / m))
    up, down = reaches(placebos), reaches(-placebos)
    against = up if estimate > 0 else down
    reached = int(np.sum(against >= abs(estimate) * (1 - TIES)))
    allowed = int(np.floor(alpha * (m + 1) + TIES))
    flags = (f"placebo_draws:{m}", *(() if allowed else ("no_interval",)))
    return Estimate(
        estimate,
        spread,
        statistic=estimate / spread if spread > 0 else np.nan,
        p_value=(1 + reached) / (m + 1),
        conf_low=estimate - float(up[allowed - 1]) if allowed else np.nan,
        conf_high=estimate + float(down[allowed - 1]) if allowed else np.nan,
        flags=flags,
    )


def beyond(sample: Sample, effect: float, side: int) -> float:
    """The one-sided p-value of the hypothesis that the shift is this large or further out.

    Parameters
    ----------
    sample:
        The units analysed.
    effect:
        The hypothesis' shift.
    side:
        -1 when small estimates speak against the hypothesis, +1 when large ones do.
    """
    estimate, placebos = deviations(sample)
    distance = side * (estimate - effect)
    reached = np.sum(side * placebos >= distance - TIES * abs(distance))
    return float((1 + reached) / (len(placebos) + 1))


def reaches(placebos: Vector) -> Vector:
    """[m] up to which positive deviation of the feature each placebo deviates as far, falling.

    Parameters
    ----------
    placebos:
        [m] their means, centred.

    Notes
    -----
    With the feature at v > 0 the mean of all m + 1 is ``v / (m + 1)``. A placebo at e > 0 is as
    far from it as the feature when ``e >= v``; one at e < 0 when ``-e >= v (m - 1) / (m + 1)``.
    """
    m = len(placebos)
    reach = np.where(placebos > 0, placebos, -placebos * (m + 1) / (m - 1))
    return np.sort(reach)[::-1]


def deviations(sample: Sample) -> tuple[float, Vector]:
    """The feature's mean minus the mean of the placebos', and the placebos' means, centred [m].

    Raises
    ------
    DataError
        The reference has one draw, or it was not recorded which row is of which.
    """
    drawn = _of_reference(sample)
    if within_units(sample):
        means = _means(drawn - sample.outcome[sample.treated][:, None])
        return -float(means.mean()), means - means.mean()
    feature = sample.outcome[sample.treated]
    level = float(feature.mean())
    estimate = -float(np.mean(_means(drawn - level)))
    own = _one_draw_each(drawn, len(feature), generator(sample.seed, "placebo draws"))
    means = _means(own - level)
    return estimate, means - means.mean()


def _of_reference(sample: Sample) -> Matrix:
    """[reference rows, draws] their outcomes, NaN where a unit did not get a draw."""
    drawn = None if sample.draws is None else sample.draws[~sample.treated]
    known = None if drawn is None else drawn[:, ~np.all(np.isnan(drawn), axis=0)]
    if known is None or (len(known) and known.shape[1] < 2):
        raise DataError(
            "the estimator 'placebo_draws' holds a feature against several draws of the reference "
            "arm, so the observations must number them in the column 'draw', at least two of "
            "them; fill it in, or use 'auto'.",
            Place(field="draw"),
        )
    return known


def _means(values: Matrix) -> Vector:
    """[draws] the means of the columns that have any value."""
    present = values[:, ~np.all(np.isnan(values), axis=0)]
    means: Vector = np.nanmean(present, axis=0) if present.size else np.empty(0)
    return means


def _one_draw_each(drawn: Matrix, most: int, rng: np.random.Generator) -> Matrix:
    """The same with each unit in one draw only, dealt evenly, and no draw with more than `most`.

    Means of the same units share these units' levels, which the feature's other units do not.
    """
    kept = np.full_like(drawn, np.nan)
    count = np.zeros(drawn.shape[1], dtype=np.int64)
    for row in rng.permutation(len(drawn)):
        open_to = np.flatnonzero(~np.isnan(drawn[row]) & (count < most))
        if len(open_to):
            draw = open_to[np.argmin(count[open_to])]
            kept[row, draw] = drawn[row, draw]
            count[draw] += 1
    return kept


ESTIMATOR = Estimator(
    fit,
    frozenset({"plain", "within-unit"}),
    covariates="none",
    beyond=beyond,
    students=False,
    copes_with=frozenset({"fixed_draws"}),
    claim="placebos at random",
)
