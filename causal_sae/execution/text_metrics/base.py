"""What a metric of generated text is: it turns texts into one number each."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING

from causal_sae.spec.outcomes import Generate

if TYPE_CHECKING:
    from causal_sae.execution.generation import Text
    from causal_sae.execution.model import LanguageModel


class TextMetric(ABC):
    """One outcome of generated text, ready to be scored."""

    settings: Generate
    """How the text is generated; outcomes with the same settings share their texts."""

    @abstractmethod
    def score(self, texts: Sequence[Text], model: LanguageModel) -> list[float]:
        """One number a text; NaN where it is not defined, as for a text without tokens."""


def ngrams(tokens: Sequence[int], n: int) -> list[tuple[int, ...]]:
    """The n-grams of a text in order; none when it is shorter."""
    return [tuple(tokens[i : i + n]) for i in range(len(tokens) - n + 1)]


def whole_words(words: Sequence[str]) -> re.Pattern[str]:
    """A pattern that finds any of these words or phrases, not as a part of a longer word."""
    each = "|".join(re.escape(word.strip()) for word in words)
    return re.compile(rf"(?<!\w)(?:{each})(?!\w)", re.IGNORECASE)
