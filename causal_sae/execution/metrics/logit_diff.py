"""The log-odds of a target token against a foil."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from causal_sae.execution.metrics.base import Context, Metric, Reading, pick
from causal_sae.spec import outcomes


@dataclass(frozen=True)
class LogitDiff(Metric):
    """``logit(target) - logit(foil)``, which is also the difference of their log-probabilities."""

    targets: dict[str, int]
    foils: dict[str, int]

    def measure(self, reading: Reading) -> Tensor:
        """``[R]``, at the last token of the prompt."""
        last, units = reading.last, reading.units
        return pick(last, [self.targets[u] for u in units]) - pick(
            last, [self.foils[u] for u in units]
        )


def prepare(outcome: outcomes.LogitDiff, context: Context) -> Metric:
    """Both words must be single tokens."""
    return LogitDiff(
        context.one_token(outcome.target, "target"), context.one_token(outcome.foil, "foil")
    )
