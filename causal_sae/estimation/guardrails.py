"""Guardrails: an off-target outcome passes when harm is excluded, never because p > alpha."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from scipy import stats

from causal_sae.estimation.inference import Estimate

if TYPE_CHECKING:
    from collections.abc import Callable

    from causal_sae.spec import Outcome


def against_margin(
    estimate: Estimate, outcome: Outcome, beyond: Callable[[float, int], float] | None = None
) -> Estimate:
    """The non-inferiority test of a guardrail.

    The null hypothesis is that the effect is at least as harmful as the margin; the one-sided
    p-value and the statistic of that test replace the two-sided ones. The interval stays the
    two-sided one. A guardrail without a margin keeps its two-sided test and is flagged.

    Parameters
    ----------
    estimate:
        Treatment minus reference.
    outcome:
        The guardrail, whose ``margin`` and ``harm`` direction say what would be harmful.
    beyond:
        The one-sided p-value of an effect, and the side that speaks against it; default:
        Student's t.
    """
    if outcome.margin is None:
        return estimate.flagged("no_margin", "harm_not_excluded")
    sign = 1.0 if outcome.harm == "increase" else -1.0
    distance = sign * estimate.estimate - outcome.margin  # negative: less harm than the margin
    if np.isnan(estimate.p_value):
        return estimate
    if "exact_zero" in estimate.flags:  # no harm at all, without variation
        return replace(estimate, p_value=0.0).flagged("margin_test")
    statistic = distance / estimate.std_error
    if beyond is None:
        p_value = float(stats.t.cdf(statistic, estimate.df))
    else:
        p_value = beyond(sign * outcome.margin, -int(sign))
    return replace(estimate, statistic=sign * statistic, p_value=p_value).flagged("margin_test")


def verdict(outcome: Outcome, estimate: float, reject: bool | None, exact: bool) -> str:
    """``non_inferior`` when harm is excluded, otherwise ``harm_not_excluded``.

    Parameters
    ----------
    outcome:
        The guardrail; it has a margin.
    estimate:
        Treatment minus reference.
    reject:
        Whether the adjusted test against the margin rejects; None when there is no test.
    exact:
        Whether the effect is known without error, so that it can be held against the margin
        itself.
    """
    if exact and outcome.margin is not None:
        harm = estimate if outcome.harm == "increase" else -estimate
        return "non_inferior" if harm < outcome.margin else "harm_not_excluded"
    return "non_inferior" if reject else "harm_not_excluded"
