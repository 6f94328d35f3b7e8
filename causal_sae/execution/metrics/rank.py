"""The rank of a token among all that could follow the prompt."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from causal_sae.execution.metrics.base import Context, Metric, Reading, pick
from causal_sae.spec import outcomes


@dataclass(frozen=True)
class Rank(Metric):
    """1 for the likeliest token; equal tokens share the better rank."""

    targets: dict[str, int]
    smooth: bool = False

    def measure(self, reading: Reading) -> Tensor:
        """``[R]``, from 1 to the size of the vocabulary."""
        last = reading.last
        own = pick(last, [self.targets[unit] for unit in reading.units])
        return 1 + (last > own[:, None]).sum(dim=1).to(last.dtype)


def prepare(outcome: outcomes.Rank, context: Context) -> Metric:
    """The target must be one token."""
    return Rank(context.one_token(outcome.target, "target"))
