"""The rank of a token among all that could follow the prompt."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from causal_sae.execution.metrics.base import Context, Metric, Reading, pick
from causal_sae.spec import outcomes


@dataclass(frozen=True)
class Rank(Metric):
    """1 for the likeliest token; equal tokens share the better rank."""

    targets: dict[str, int]

    def measure(self, reading: Reading) -> Tensor:
        """``[R]``, from 1 to the size of the vocabulary."""
        last = reading.logprobs[:, 0]
        own = pick(last, [self.targets[unit] for unit in reading.units])
        return 1 + (last > own[:, None]).sum(dim=1).to(torch.float64)


def prepare(outcome: outcomes.Rank, context: Context) -> Metric:
    """The target must be one token."""
    return Rank(context.one_token(outcome.target, "target"))
