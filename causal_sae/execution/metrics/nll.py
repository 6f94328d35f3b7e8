"""How unlikely the model finds a continuation of the prompt."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from causal_sae.execution.metrics.base import Context, Metric, Reading, continuation_logprobs
from causal_sae.spec import outcomes


@dataclass(frozen=True)
class NLL(Metric):
    """The mean negative log-likelihood of the continuation, in nats a token."""

    continuations: dict[str, tuple[int, ...]]

    def continuation(self, unit_id: str) -> tuple[int, ...]:
        """The unit's continuation."""
        return self.continuations[unit_id]

    def measure(self, reading: Reading) -> Tensor:
        """``[R]``."""
        return -continuation_logprobs(reading).mean(dim=1)


def prepare(outcome: outcomes.NLL, context: Context) -> Metric:
    """Every unit must have a continuation of at least one token."""
    return NLL(context.some_tokens(outcome.continuation, "continuation"))
