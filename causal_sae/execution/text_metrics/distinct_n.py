"""How many of the text's n-grams are different ones (Li et al. 2016)."""

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
class DistinctN(TextMetric):
    """Distinct n-grams of tokens over all of them."""

    settings: outcomes.Generate
    n: int

    def score(self, texts: Sequence[Text], model: LanguageModel) -> list[float]:  # noqa: ARG002
        """Between 0 and 1; NaN for texts shorter than n."""
        each = [ngrams(text.tokens, self.n) for text in texts]
        return [len(set(grams)) / len(grams) if grams else math.nan for grams in each]


def prepare(outcome: outcomes.DistinctN, context: Context) -> TextMetric:  # noqa: ARG001
    """Nothing to prepare."""
    return DistinctN(outcome.generate, outcome.n)
