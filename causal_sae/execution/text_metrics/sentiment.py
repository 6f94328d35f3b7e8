"""The mood of the text, by VADER's compound score (Hutto and Gilbert 2014)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from causal_sae.errors import Place, SpecError
from causal_sae.execution.metrics.base import Context
from causal_sae.execution.text_metrics.base import TextMetric
from causal_sae.spec import outcomes

if TYPE_CHECKING:
    from causal_sae.execution.generation import Text
    from causal_sae.execution.model import LanguageModel


@dataclass(frozen=True)
class Sentiment(TextMetric):
    """VADER's compound score: a lexicon and rules for English."""

    settings: outcomes.Generate
    analyser: Any

    def score(self, texts: Sequence[Text], model: LanguageModel) -> list[float]:  # noqa: ARG002
        """Between -1 and 1; 0 for a text without words of mood."""
        return [float(self.analyser.polarity_scores(text.text)["compound"]) for text in texts]


def prepare(outcome: outcomes.Sentiment, context: Context) -> TextMetric:
    """The library is an extra."""
    try:
        from vaderSentiment.vaderSentiment import (  # noqa: PLC0415 - an extra
            SentimentIntensityAnalyzer,
        )
    except ImportError:
        raise SpecError(
            "the metric 'sentiment' needs the library vaderSentiment: "
            "`pip install 'causal-sae[text]'`",
            Place(field=f"{context.field}.metric"),
        ) from None
    return Sentiment(outcome.generate, SentimentIntensityAnalyzer())
