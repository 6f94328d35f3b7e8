"""Margins: a claim of no harm, or of no change, holds when shown, never because p > alpha.

Where one direction harms the test is one of non-inferiority. Where either does it is Schuirmann's
(1987) two one-sided tests: the p-value is the larger of theirs, as of two one-sided
``stats::t.test`` in R. Tests at alpha go with intervals of level ``1 - 2 alpha``: before any
correction, the margin is excluded exactly when the interval stops short of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from scipy import stats

from causal_sae.estimation.inference import Estimate, student

if TYPE_CHECKING:
    from causal_sae.estimation.estimators import Estimator
    from causal_sae.estimation.sample import Sample
    from causal_sae.spec import Outcome

Beyond = Callable[[float, int], float]
"""An effect, and the side of estimates that speaks against it -> the one-sided p-value."""

HALVINGS = 40
"""Each halves what is left unknown of a p-value that an interval is inverted for."""
SAME_INTERVAL = 1e-9
"""Relative distance from Student's interval within which an interval is taken for it."""


def is_claim(outcome: Outcome) -> bool:
    """Whether the outcome's question is that nothing (or nothing bad) happens."""
    return outcome.role == "guardrail" or outcome.harm == "either"


def has_margin(outcome: Outcome) -> bool:
    """Whether the outcome is tested against its margin rather than against zero."""
    return is_claim(outcome) and outcome.margin is not None


def interval_alpha(outcome: Outcome, alpha: float) -> float:
    """One minus the level of the outcome's intervals: twice alpha where a margin is tested."""
    return 2 * alpha if has_margin(outcome) else alpha


def against_margin(estimate: Estimate, outcome: Outcome, beyond: Beyond | None = None) -> Estimate:
    """The test of a guardrail, or of any outcome that declares equivalence, against its margin.

    The null hypothesis is that the effect is at least as harmful as the margin. Its p-value and
    statistic replace the two-sided ones; where either direction harms they are those of the
    one-sided test that rejects less. A guardrail without a margin keeps its two-sided test and is
    flagged.

    Parameters
    ----------
    estimate:
        Treatment minus reference.
    outcome:
        Its ``margin`` and ``harm`` direction say what would be harmful.
    beyond:
        The one-sided p-value of an effect, and the side that speaks against it; default:
        Student's t.
    """
    if outcome.margin is None:
        return estimate.flagged("no_margin", "harm_not_excluded")
    if np.isnan(estimate.p_value):
        return estimate
    if "exact_zero" in estimate.flags:  # no change at all, without variation
        return replace(estimate, p_value=0.0).flagged("margin_test")
    tests = [_one_sided(estimate, bound, beyond) for bound in bounds(outcome)]
    statistic, p_value = max(tests, key=lambda test: test[1])
    return replace(estimate, statistic=statistic, p_value=p_value).flagged("margin_test")


def bounds(outcome: Outcome) -> tuple[float, ...]:
    """The effects that must be excluded, on the axis of the estimate: those of harm."""
    if outcome.margin is None:
        return ()
    both = {"increase": (outcome.margin,), "decrease": (-outcome.margin,)}
    return both.get(outcome.harm, (-outcome.margin, outcome.margin))


def _one_sided(estimate: Estimate, bound: float, beyond: Beyond | None) -> tuple[float, float]:
    """Statistic and p-value of the hypothesis that the effect is this one or further out."""
    statistic = (estimate.estimate - bound) / estimate.std_error
    side = -1 if bound > 0 else 1
    if beyond is not None:
        return statistic, beyond(bound, side)
    return statistic, float(stats.t.cdf(-side * statistic, estimate.df))


def beyond_of(
    estimator: Estimator, sample: Sample, fitted: Estimate, alpha: float
) -> Beyond | None:
    """The one-sided test that belongs to an estimator's interval; None: Student's t.

    Parameters
    ----------
    estimator, sample:
        What was fitted, to what.
    fitted:
        The result.
    alpha:
        One minus the level of its interval.
    """
    if estimator.beyond is not None:
        return partial(estimator.beyond, sample)
    if not fitted.std_error > 0 or np.isnan([fitted.conf_low, fitted.conf_high]).any():
        return None
    plain = student(fitted.estimate, fitted.std_error, fitted.df, alpha)
    near = SAME_INTERVAL * (fitted.conf_high - fitted.conf_low)
    apart = max(abs(plain.conf_low - fitted.conf_low), abs(plain.conf_high - fitted.conf_high))
    return None if apart <= near else partial(inverted, partial(estimator.fit, sample))


def inverted(fit: Callable[[float], Estimate], effect: float, side: int) -> float:
    """The one-sided p-value of an effect, from the level at which the interval ends at it.

    Parameters
    ----------
    fit:
        One minus the level in, the estimate with its interval out.
    effect:
        The hypothesis' effect.
    side:
        -1 when small estimates speak against the hypothesis, +1 when large ones do.
    """
    estimate = fit(0.5).estimate
    above = effect > estimate
    low, high = 0.0, 1.0
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        found = fit(middle)
        excluded = found.conf_high < effect if above else found.conf_low > effect
        low, high = (low, middle) if excluded else (middle, high)
    tail = (low + high) / 4
    return tail if above == (side < 0) else 1 - tail


def verdict(outcome: Outcome, estimate: float, reject: bool | None, exact: bool) -> str:
    """``non_inferior`` or ``equivalent`` when harm or change is excluded; otherwise that it is not.

    Parameters
    ----------
    outcome:
        It has a margin.
    estimate:
        Treatment minus reference.
    reject:
        Whether the adjusted test against the margin rejects; None when there is no test.
    exact:
        Whether the effect is known without error, so that it can be held against the margin
        itself.
    """
    if exact:
        reject = all(estimate < b if b > 0 else estimate > b for b in bounds(outcome))
    if reject:
        return "equivalent" if outcome.harm == "either" else "non_inferior"
    return "harm_not_excluded" if outcome.role == "guardrail" else "equivalence_not_shown"
