"""What a run may use of the machines that it runs on."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Resources:
    """Memory, workers, and where they are."""

    memory: float | None = None
    """GiB that one batch may take beside the weights; None: 1, or a quarter of a GPU's."""
    workers: int | None = None
    """How many processes hold a model each; None: one for each GPU, or one."""
    address: str | None = None
    """The address of a cluster that is running; None starts one on this machine."""
