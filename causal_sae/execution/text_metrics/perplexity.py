"""How surprising the text is to the untouched model."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from causal_sae.execution.metrics.base import Context
from causal_sae.execution.text_metrics.base import TextMetric
from causal_sae.spec import outcomes

if TYPE_CHECKING:
    from causal_sae.execution.generation import Text
    from causal_sae.execution.model import LanguageModel


@dataclass(frozen=True)
class Perplexity(TextMetric):
    """The exponential of the mean negative log-likelihood of the text's tokens after its prompt."""

    settings: outcomes.Generate

    def score(self, texts: Sequence[Text], model: LanguageModel) -> list[float]:
        """At least 1; NaN for texts without tokens.

        Each text runs alone, so that its number does not depend on the others.
        """
        return [_perplexity(text, model) if text.tokens else math.nan for text in texts]


def _perplexity(text: Text, model: LanguageModel) -> float:
    ids = torch.tensor([text.prompt + text.tokens], device=model.device)
    with torch.no_grad():
        keep = len(text.tokens) + 1
        logits = model.network(input_ids=ids, use_cache=False, logits_to_keep=keep).logits[0]
    logprobs = logits[:-1].float().log_softmax(dim=-1)
    own = logprobs.gather(1, torch.tensor(text.tokens, device=ids.device)[:, None])
    return math.exp(-float(own.mean()))


def prepare(outcome: outcomes.Perplexity, context: Context) -> TextMetric:  # noqa: ARG001
    """Nothing to prepare."""
    return Perplexity(outcome.generate)
