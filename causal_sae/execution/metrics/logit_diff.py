"""The log-odds of a target token against a foil."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from causal_sae.execution.metrics.base import Context, Metric, Reading, pick
from causal_sae.spec import outcomes


@dataclass(frozen=True)
class LogitDiff(Metric):
    """``logit(target) - logit(foil)``, which is also the difference of their log-probabilities."""

    targets: dict[str, int]
    foils: dict[str, int]

    def reads(self, units: Sequence[str]) -> set[int]:
        """The target and the foil of each unit: what all tokens share drops out."""
        return {token for unit in units for token in (self.targets[unit], self.foils[unit])}

    def measure(self, reading: Reading) -> Tensor:
        """``[R]``, at the last token of the prompt."""
        last, units = reading.last, reading.units
        targets = reading.columns([self.targets[unit] for unit in units])
        foils = reading.columns([self.foils[unit] for unit in units])
        return pick(last, targets) - pick(last, foils)


def prepare(outcome: outcomes.LogitDiff, context: Context) -> Metric:
    """Both words must be single tokens."""
    return LogitDiff(
        context.one_token(outcome.target, "target"), context.one_token(outcome.foil, "foil")
    )
