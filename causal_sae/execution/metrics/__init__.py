"""Outcomes that are measured on the model: one file each, and one line here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from causal_sae.errors import Place, SpecError
from causal_sae.execution.metrics import (
    entropy,
    feature_activation,
    kl,
    logit_diff,
    nll,
    rank,
    token_logprob,
    token_set_prob,
)
from causal_sae.execution.metrics.base import Context, Metric, Reading
from causal_sae.spec.outcomes import Outcome

METRICS: Mapping[str, Callable[[Any, Context], Metric]] = {
    "token_logprob": token_logprob.prepare,
    "logit_diff": logit_diff.prepare,
    "token_set_prob": token_set_prob.prepare,
    "entropy": entropy.prepare,
    "kl": kl.prepare,
    "nll": nll.prepare,
    "rank": rank.prepare,
    "feature_activation": feature_activation.prepare,
}

__all__ = ["METRICS", "Context", "Metric", "Reading", "prepare_metric"]


def prepare_metric(outcome: Outcome, context: Context) -> Metric:
    """Set a declared outcome up for measuring.

    Raises
    ------
    SpecError
        When this version cannot measure it.
    """
    if outcome.metric not in METRICS:
        raise SpecError(
            f"the metric {outcome.metric!r} cannot be run by this version: generated text and "
            f"custom functions are not executed yet; use one of {', '.join(METRICS)}",
            Place(field=f"{context.field}.metric"),
        )
    return METRICS[outcome.metric](outcome, context)
