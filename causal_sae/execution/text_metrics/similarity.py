"""How alike the text is to another one, by the pieces of words that they share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from causal_sae.execution.metrics.base import Context
from causal_sae.execution.text_metrics.base import TextMetric
from causal_sae.spec import outcomes

if TYPE_CHECKING:
    from causal_sae.execution.generation import Text
    from causal_sae.execution.model import LanguageModel


@dataclass(frozen=True)
class Similarity(TextMetric):
    """The cosine between counts of the 3 to 5 letters long pieces of the texts' words."""

    settings: outcomes.Generate
    references: Mapping[str, str]
    """The unit's reference text."""

    def score(self, texts: Sequence[Text], model: LanguageModel) -> list[float]:  # noqa: ARG002
        """Between 0, no piece in common, and 1, the same pieces equally often."""
        from sklearn.feature_extraction.text import (  # noqa: PLC0415 - a second, for few trials
            HashingVectorizer,
        )

        count = HashingVectorizer(analyzer="char_wb", ngram_range=(3, 5), alternate_sign=False)
        written = count.transform([text.text for text in texts])
        wanted = count.transform([self.references[text.unit_id] for text in texts])
        return [float(value) for value in written.multiply(wanted).sum(axis=1).A1]


def prepare(outcome: outcomes.Similarity, context: Context) -> TextMetric:
    """The reference is one text, or a column."""
    each = context.each_unit(outcome.reference, "reference")
    return Similarity(outcome.generate, {unit: text for unit, (text, _) in each.items()})
