"""The entropy of the next-token distribution."""

from __future__ import annotations

from torch import Tensor

from causal_sae.execution.metrics.base import Context, Metric, Reading
from causal_sae.spec import outcomes


class Entropy(Metric):
    """``-sum p log p`` in nats."""

    def measure(self, reading: Reading) -> Tensor:
        """``[R]``, at the last token of the prompt."""
        last = reading.last
        return -(last.exp() * last).sum(dim=1)


def prepare(_outcome: outcomes.Entropy, _context: Context) -> Metric:
    """Nothing to set up."""
    return Entropy()
