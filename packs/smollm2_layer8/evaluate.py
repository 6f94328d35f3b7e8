"""How good the SAE is, on documents that it never saw."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from rich.progress import track
from torch import Tensor

from causal_sae.execution.edits import attention_sinks
from causal_sae.execution.host import Host
from causal_sae.saes.sae import SAE


@dataclass(frozen=True)
class Quality:
    """What the model card reports."""

    positions: int
    variance_explained: float
    l0: float
    tokens: int
    loss_clean: float
    loss_spliced: float
    loss_mean_ablated: float

    @property
    def loss_recovered(self) -> float:
        """The share of the loss that mean ablation costs and the SAE keeps."""
        cost = self.loss_mean_ablated - self.loss_clean
        return (self.loss_mean_ablated - self.loss_spliced) / cost


def measure(
    host: Host,
    sae: SAE,
    activations: npt.NDArray[np.float16],
    tokens: npt.NDArray[np.int32],
    batch_size: int = 8,
) -> Quality:
    """Variance explained on ``activations`` ``[n, d]``, losses on ``tokens`` ``[sequences, S]``.

    The variance is around the held-out mean. In the losses, the first position and attention sinks
    keep their own activation in every condition, as they do in interventions.
    """
    x = torch.from_numpy(activations.astype(np.float32))
    mean = x.mean(dim=0)
    residue, l0 = 0.0, 0.0
    for start in range(0, len(x), 4096):
        chunk = x[start : start + 4096]
        features = sae.encode(chunk)
        residue += float((chunk - sae.decode(features)).square().sum(dtype=torch.float64))
        l0 += float((features > 0).sum())
    total = float((x - mean).square().sum(dtype=torch.float64))
    losses = np.zeros(3)
    for start in track(range(0, len(tokens), batch_size), "loss recovered"):
        ids = torch.from_numpy(tokens[start : start + batch_size].astype(np.int64))
        losses += _losses(host, sae, ids.to(host.model.device), mean)
    clean, spliced, ablated = losses / len(tokens)
    return Quality(
        len(x), 1 - residue / total, l0 / len(x), int(tokens.size), clean, spliced, ablated
    )


def _losses(host: Host, sae: SAE, ids: Tensor, mean: Tensor) -> npt.NDArray[np.float64]:
    """The summed mean losses ``[3]`` of the batch: untouched, spliced, mean-ablated."""
    at = host.read(ids)
    kept = ~attention_sinks(at.activation)
    kept[:, 0] = False
    versions = (at.activation, sae.reconstruct(at.activation), mean.expand_as(at.activation))
    summed: list[float] = []
    for version in versions:
        edited = torch.where(kept[..., None], version, at.activation)
        logits = host.resume(at, edited, ids.shape[1]).logits[:, :-1]
        loss = torch.nn.functional.cross_entropy(
            logits.flatten(0, 1).double(), ids[:, 1:].flatten(), reduction="none"
        )
        summed.append(float(loss.reshape(len(ids), -1).mean(dim=1).sum()))
    return np.array(summed)


def dead_features(table: Any) -> int:
    """How many features of a features table never fire."""
    return int(table["dead"].sum())
