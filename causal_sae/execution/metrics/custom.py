"""A user's own function of the next token's distribution, found by its entry point."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Any

import numpy as np
import torch
from torch import Tensor

from causal_sae.errors import DataError, Place, SpecError, did_you_mean
from causal_sae.execution.metrics.base import Context, Metric, Reading
from causal_sae.spec import outcomes

GROUP = "causal_sae.metrics"


@dataclass(frozen=True)
class Custom(Metric):
    """``function(logprobs) -> numbers``: ``[R, vocabulary]`` natural logs in, ``[R]`` out."""

    function: Callable[[Any], Any]
    name: str
    place: Place

    def measure(self, reading: Reading) -> Tensor:
        """``[R]``."""
        given = reading.last.cpu().numpy()
        values = np.asarray(self.function(given), dtype=np.float64)
        if values.shape != (len(given),):
            raise DataError(
                f"the function {self.name!r} must give one number a row, {(len(given),)}, but gave "
                f"{values.shape}",
                self.place,
            )
        return torch.from_numpy(values).to(reading.last)


def prepare(outcome: outcomes.Custom, context: Context) -> Metric:
    """The entry point must be installed."""
    place = Place(field=f"{context.field}.function")
    return Custom(entry_point(outcome.function, place), outcome.function, place)


def entry_point(name: str, place: Place) -> Any:
    """The function of that name in the group ``causal_sae.metrics``.

    Raises
    ------
    SpecError
        Names those that are installed.
    """
    found = {point.name: point for point in entry_points(group=GROUP)}
    if name not in found:
        raise SpecError(
            f"there must be an entry point {name!r} in the group {GROUP!r}; "
            f"{did_you_mean(name, found)}",
            place,
        )
    return found[name].load()
