"""Outcomes that are read from generated text: one file each, and one line here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from causal_sae.execution.metrics.base import Context
from causal_sae.execution.text_metrics import (
    custom,
    distinct_n,
    keyword_rate,
    perplexity,
    regex,
    repetition,
    sentiment,
    similarity,
)
from causal_sae.execution.text_metrics.base import TextMetric
from causal_sae.spec.outcomes import Outcome

TEXT_METRICS: Mapping[str, Callable[[Any, Context], TextMetric]] = {
    "keyword_rate": keyword_rate.prepare,
    "regex": regex.prepare,
    "distinct_n": distinct_n.prepare,
    "repetition": repetition.prepare,
    "perplexity": perplexity.prepare,
    "sentiment": sentiment.prepare,
    "similarity": similarity.prepare,
    "custom": custom.prepare,
}

__all__ = ["TEXT_METRICS", "TextMetric", "prepare_text_metric"]


def prepare_text_metric(outcome: Outcome, context: Context) -> TextMetric:
    """Set a declared outcome of generated text up for scoring."""
    return TEXT_METRICS[outcome.metric](outcome, context)
