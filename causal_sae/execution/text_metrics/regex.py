"""Whether the text matches a pattern."""

from __future__ import annotations

import re

from causal_sae.execution.metrics.base import Context
from causal_sae.execution.text_metrics.base import TextMetric
from causal_sae.execution.text_metrics.keyword_rate import Found
from causal_sae.spec import outcomes


def prepare(outcome: outcomes.Regex, context: Context) -> TextMetric:  # noqa: ARG001
    """Searched anywhere in the text."""
    return Found(outcome.generate, re.compile(outcome.pattern))
