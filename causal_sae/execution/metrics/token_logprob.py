"""The log-probability of a target after the prompt."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from causal_sae.execution.metrics.base import (
    Context,
    Metric,
    Reading,
    continuation_logprobs,
    pick,
)
from causal_sae.spec import outcomes


@dataclass(frozen=True)
class TokenLogprob(Metric):
    """``log p(target | prompt)`` in nats."""

    targets: dict[str, int]

    def measure(self, reading: Reading) -> Tensor:
        """``[R]``, at the last token of the prompt."""
        return pick(reading.last, [self.targets[unit] for unit in reading.units])


@dataclass(frozen=True)
class SequenceLogprob(Metric):
    """The sum of the log-probabilities of a target of several tokens."""

    targets: dict[str, tuple[int, ...]]

    def continuation(self, unit_id: str) -> tuple[int, ...]:
        """The target itself."""
        return self.targets[unit_id]

    def measure(self, reading: Reading) -> Tensor:
        """``[R]``."""
        return continuation_logprobs(reading).sum(dim=1)


def prepare(outcome: outcomes.TokenLogprob, context: Context) -> Metric:
    """One token, unless the outcome says ``sequence: true``."""
    if not outcome.sequence:
        return TokenLogprob(context.one_token(outcome.target, "target"))
    return SequenceLogprob(context.some_tokens(outcome.target, "target"))
