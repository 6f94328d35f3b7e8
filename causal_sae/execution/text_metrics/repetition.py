"""How much of the text was there before."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from causal_sae.execution.metrics.base import Context
from causal_sae.execution.text_metrics.base import TextMetric, ngrams
from causal_sae.spec import outcomes

if TYPE_CHECKING:
    from causal_sae.execution.generation import Text
    from causal_sae.execution.model import LanguageModel


@dataclass(frozen=True)
class Repetition(TextMetric):
    """The share of tokens that belong to an n-gram which stood earlier in the text."""

    settings: outcomes.Generate
    n: int

    def score(self, texts: Sequence[Text], model: LanguageModel) -> list[float]:  # noqa: ARG002
        """Between 0 and 1; NaN for texts without tokens."""
        return [self._share(text.tokens) for text in texts]

    def _share(self, tokens: Sequence[int]) -> float:
        seen: set[tuple[int, ...]] = set()
        repeated: set[int] = set()
        for start, gram in enumerate(ngrams(tokens, self.n)):
            if gram in seen:
                repeated.update(range(start, start + self.n))
            seen.add(gram)
        return len(repeated) / len(tokens) if tokens else math.nan


def prepare(outcome: outcomes.Repetition, context: Context) -> TextMetric:  # noqa: ARG001
    """Nothing to prepare."""
    return Repetition(outcome.generate, outcome.n)
