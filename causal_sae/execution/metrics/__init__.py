"""Outcomes that are measured on the model: one file each, and one line here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from causal_sae.execution.metrics import (
    custom,
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
    "custom": custom.prepare,
}

__all__ = ["METRICS", "Context", "Metric", "Reading", "prepare_metric"]


def prepare_metric(outcome: Outcome, context: Context) -> Metric:
    """Set a declared outcome of the next tokens up for measuring."""
    return METRICS[outcome.metric](outcome, context)
