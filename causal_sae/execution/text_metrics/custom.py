"""A user's own function of the text, found by its entry point."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from causal_sae.errors import DataError, Place, SpecError
from causal_sae.execution.metrics.base import Context
from causal_sae.execution.metrics.custom import entry_point
from causal_sae.execution.text_metrics.base import TextMetric
from causal_sae.spec import outcomes

if TYPE_CHECKING:
    from causal_sae.execution.generation import Text
    from causal_sae.execution.model import LanguageModel


@dataclass(frozen=True)
class CustomText(TextMetric):
    """``function(texts, prompts) -> numbers``, all of one length."""

    settings: outcomes.Generate
    function: Callable[[list[str], list[str]], Sequence[float]]
    name: str
    place: Place

    def score(self, texts: Sequence[Text], model: LanguageModel) -> list[float]:
        """Whatever the function gives."""
        prompts = [str(model.tokenizer.decode(text.prompt)) for text in texts]
        values = [float(value) for value in self.function([t.text for t in texts], prompts)]
        if len(values) != len(texts):
            raise DataError(
                f"the function {self.name!r} must give one number a text, but gave {len(values)} "
                f"for {len(texts)}",
                self.place,
            )
        return values


def prepare(outcome: outcomes.Custom, context: Context) -> TextMetric:
    """The entry point must be installed."""
    place = Place(field=f"{context.field}.function")
    if outcome.generate is None:
        raise SpecError(
            "a custom metric of generated text must say how it is generated; add `generate:`",
            place,
        )
    return CustomText(
        outcome.generate, entry_point(outcome.function, place), outcome.function, place
    )
