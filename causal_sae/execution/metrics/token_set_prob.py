"""The probability that the next token is one of a set."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from causal_sae.errors import DataError, Place
from causal_sae.execution.metrics.base import Context, Metric, Reading
from causal_sae.spec import outcomes


@dataclass(frozen=True)
class TokenSetProb(Metric):
    """The sum of the tokens' probabilities."""

    tokens: tuple[int, ...]

    def measure(self, reading: Reading) -> Tensor:
        """``[R]``, between 0 and 1."""
        index = torch.tensor(self.tokens, device=reading.last.device)
        return reading.last[:, index].exp().sum(dim=1)


def prepare(outcome: outcomes.TokenSetProb, context: Context) -> Metric:
    """Every member must be one token, and none may stand twice."""
    place = Place(field=f"{context.field}.tokens")
    tokens = tuple(context.tokenizer.token(word, place) for word in outcome.tokens)
    twice = [w for w, t in zip(outcome.tokens, tokens, strict=True) if tokens.count(t) > 1]
    if twice:
        raise DataError(f"must name every token once, got {twice}", place)
    return TokenSetProb(tokens)
