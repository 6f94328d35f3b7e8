"""Outcomes of 0 and 1 within units: the paired risk difference, with McNemar's exact test.

The estimate is the difference of the two arms' shares of ones, its interval Newcombe's (1998)
method 10, and the p-value exact: among the units that differ between the arms, either direction
is equally likely when the treatment does nothing (``stats::binom.test(b, b + c)`` in R). The test
against a guardrail's margin is Tango's (1998) score test. Tests and interval are different methods,
so at the edge one may exclude an effect where another does not.

Where no unit changed the estimate is 0 and p is 1, but the interval has a width: that none of n
units changed does not show that no unit would. The trial's outcomes that are not 0 and 1 get what
``auto`` takes.
"""

from __future__ import annotations

import numpy as np
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar

from causal_sae.errors import Place, SpecError
from causal_sae.estimation.effect_sizes import paired_risk_difference
from causal_sae.estimation.estimators.base import Estimator
from causal_sae.estimation.inference import Estimate, unknown
from causal_sae.estimation.sample import Sample


def applies(sample: Sample) -> bool:
    """Whether the outcome is 0 or 1 on every unit."""
    return bool(np.all((sample.outcome == 0) | (sample.outcome == 1)))


def fit(sample: Sample, alpha: float) -> Estimate:
    """The risk difference; :func:`applies` is expected to hold, and units to have both arms.

    Raises
    ------
    SpecError
        Units come in clusters, so that they are not independent.
    """
    if sample.cluster is not None:
        raise SpecError(
            "the estimator 'mcnemar' takes units as independent, but here they come in clusters; "
            "use 'paired' or 'randomization', which allow for them.",
            Place(field="analysis.estimator"),
        )
    treatment, reference = sample.arms
    n = len(treatment)
    if n < 2:
        return unknown("too_few_units")
    flags = ("covariates_absorbed",) if sample.covariate_names else ()
    gained, lost = _changed(sample)
    both = int(np.sum(treatment * reference))
    table = np.array([[both, gained], [lost, n - both - gained - lost]])
    interval = paired_risk_difference(treatment, reference, alpha)
    variance = (gained + lost - (gained - lost) ** 2 / n) / n**2
    return Estimate(
        interval.value,
        # Where no unit changes, or all change alike, the usual standard error says nothing.
        float(np.sqrt(variance)) if variance > 0 else np.nan,
        statistic=float(min(gained, lost)),
        p_value=float(mcnemar(table, exact=True).pvalue),
        conf_low=interval.low,
        conf_high=interval.high,
        flags=flags,
    )


def beyond(sample: Sample, effect: float, side: int) -> float:
    """The one-sided p-value of a risk difference, by Tango's score test.

    Parameters
    ----------
    sample:
        The units analysed.
    effect:
        The hypothesis' effect.
    side:
        -1 when small estimates speak against the hypothesis, +1 when large ones do.

    Notes
    -----
    Tango (1998), eq. 18-20: the variance is that of the likeliest proportions with this effect.
    """
    gained, lost = _changed(sample)
    if effect < 0:
        gained, lost, effect, side = lost, gained, -effect, -side
    n = int(np.sum(sample.treated))
    distance = gained - lost - n * effect
    if effect >= 1:  # no units could show more
        return float(side > 0 or distance >= 0)
    linear = (2 * n - gained + lost) * effect - gained - lost
    root = np.sqrt(linear**2 + 8 * n * lost * effect * (1 - effect))
    likeliest = (root - linear) / (4 * n)
    variance = n * (2 * likeliest + effect * (1 - effect))
    if not variance > 0:
        return 1.0
    return float(stats.norm.sf(side * distance / np.sqrt(variance)))


def _changed(sample: Sample) -> tuple[int, int]:
    """How many units are 1 under the treatment only, and under the reference only."""
    treatment, reference = sample.arms
    return int(np.sum(treatment > reference)), int(np.sum(treatment < reference))


ESTIMATOR = Estimator(
    fit,
    frozenset({"within-unit"}),
    covariates="allowed",
    beyond=beyond,
    applies=applies,
    students=False,
)
