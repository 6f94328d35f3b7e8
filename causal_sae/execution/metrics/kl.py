"""How far the next-token distribution moved from the untouched model's."""

from __future__ import annotations

from torch import Tensor

from causal_sae.execution.metrics.base import Context, Metric, Reading
from causal_sae.spec import outcomes


class KL(Metric):
    """``KL(untouched || treated)`` in nats; exactly 0 where nothing was changed."""

    def measure(self, reading: Reading) -> Tensor:
        """``[R]``, at the last token of the prompt."""
        clean, treated = reading.untouched_last, reading.last
        return (clean.exp() * (clean - treated)).sum(dim=1)


def prepare(_outcome: outcomes.KL, _context: Context) -> Metric:
    """Nothing to set up."""
    return KL()
