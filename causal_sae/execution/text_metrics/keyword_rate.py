"""Whether the text holds one of some words."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from causal_sae.execution.metrics.base import Context
from causal_sae.execution.text_metrics.base import TextMetric, whole_words
from causal_sae.spec import outcomes

if TYPE_CHECKING:
    from causal_sae.execution.generation import Text
    from causal_sae.execution.model import LanguageModel


@dataclass(frozen=True)
class Found(TextMetric):
    """1 where the pattern is found in the text, 0 elsewhere."""

    settings: outcomes.Generate
    pattern: re.Pattern[str]

    def score(self, texts: Sequence[Text], model: LanguageModel) -> list[float]:  # noqa: ARG002
        """0 or 1."""
        return [float(self.pattern.search(text.text) is not None) for text in texts]


def prepare(outcome: outcomes.KeywordRate, context: Context) -> TextMetric:  # noqa: ARG001
    """Whole words, upper and lower case alike."""
    return Found(outcome.generate, whole_words(outcome.keywords))
