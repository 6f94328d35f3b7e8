"""The first order: what ablating each feature would do if the model were linear above the hook.

One forward and one backward pass of a batch give it for all features: the gradient of the outcome
with respect to the activation, times what ablation takes away (attribution patching, Nanda 2023;
Syed et al. 2023; Marks et al. 2024 for features).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from causal_sae.execution.batches import Batch, Job, Limit, batches
from causal_sae.execution.bench import Bench, wide
from causal_sae.execution.forward import editable_positions, not_finite
from causal_sae.execution.hook_points import HookPoint
from causal_sae.execution.metrics.base import Metric, Reading
from causal_sae.execution.sequences import TokenSequence


@dataclass(frozen=True, eq=False)
class Attribution:
    """The first order of a screen. ``n`` units, ``F`` features."""

    units: tuple[str, ...]
    """The units, by name."""
    outcomes: dict[str, NDArray[np.float64]]
    """For each outcome ``[F]``: the mean change that ablation would make, over all units."""
    fires: Any
    """Sparse ``[n, F]``: at how many edited positions each feature fires."""
    strength: NDArray[np.float64]
    """``[F]``: the mean of its activation where it fires, at edited positions."""


def attribute(
    bench: Bench,
    sequences: Mapping[tuple[str, tuple[int, ...]], TokenSequence],
    metrics: Mapping[str, Metric],
    limit: Limit,
    advance: Callable[[int], None] = lambda _tokens: None,
) -> Attribution:
    """Attribute every outcome to every feature.

    Parameters
    ----------
    bench:
        The model at its hook, and the SAE.
    sequences:
        Each unit's prompt with every continuation that an outcome scores.
    metrics:
        The outcomes; each must change smoothly.
    limit:
        What one batch may hold.
    advance:
        Called with the number of tokens done.

    Raises
    ------
    ModelError
        The untouched model gives no numbers: names the unit.
    """
    from scipy import sparse  # noqa: PLC0415 - beside torch it is not needed elsewhere here

    width = bench.sae.config.d_sae
    units = sorted({unit for unit, _ in sequences})
    row = {unit: number for number, unit in enumerate(units)}
    totals = {name: torch.zeros(width, dtype=torch.float64) for name in metrics}
    counts: dict[int, Tensor] = {}
    mass, active = torch.zeros(width, dtype=torch.float64), torch.zeros(width, dtype=torch.float64)
    for batch in batches([Job(s, ()) for s in sequences.values()], limit):
        chosen = {
            name: metric
            for name, metric in metrics.items()
            if any(_belongs(metric, job) for job in batch)
        }
        found = _batch(bench, batch, chosen)
        for name, changes in found.changes.items():
            totals[name] += changes.double().sum(dim=0).cpu()
        for place, job in enumerate(batch):
            number = row[job.sequence.unit_id]
            own = found.fires[place].cpu()
            # A unit with several continuations is exposed where the feature fires in any.
            counts[number] = torch.maximum(counts.get(number, own), own)
            mass += found.mass[place].double().cpu()
            active += found.fires[place].double().cpu()
        advance(sum(job.tokens for job in batch))
    stacked = torch.stack([counts[number] for number in range(len(units))]).numpy()
    return Attribution(
        tuple(units),
        {name: (total / len(units)).numpy() for name, total in totals.items()},
        sparse.csr_matrix(stacked),
        (mass / active.clamp(min=1)).numpy(),
    )


def _belongs(metric: Metric, job: Job) -> bool:
    return metric.continuation(job.sequence.unit_id) == job.sequence.continuation


@dataclass(frozen=True)
class _Found:
    """Of one batch. ``R`` rows."""

    changes: dict[str, Tensor]
    """``[R, F]`` for each outcome; rows that it does not score hold zeros."""
    fires: Tensor
    """``[R, F]`` at how many edited positions."""
    mass: Tensor
    """``[R, F]`` summed activation there."""


def _batch(bench: Bench, batch: Batch, metrics: Mapping[str, Metric]) -> _Found:
    ids = torch.tensor([job.sequence.tokens for job in batch], device=bench.directions.device)
    prompt = len(batch[0].sequence.prompt.tokens)
    keep = ids.shape[1] - prompt + 1
    leaf, logits = _forward(bench, ids, keep)
    activation = leaf.detach()
    with torch.no_grad():
        editable = editable_positions(bench, batch, activation)
        features = torch.where(editable[..., None], bench.sae.encode(activation), 0.0)
        scale = bench.sae.token_scale(activation)
    for place, job in enumerate(batch):
        if not bool(torch.isfinite(logits[place].detach()).all()):
            raise not_finite(job.sequence.unit_id)
    sequences: Sequence[TokenSequence] = [job.sequence for job in batch]
    logprobs = logits.to(wide(logits)).log_softmax(dim=-1)
    rows = torch.arange(len(batch), device=ids.device)
    reading = Reading(sequences, logprobs, rows, {})
    changes = {}
    for number, (name, metric) in enumerate(metrics.items()):
        scored = torch.tensor([_belongs(metric, job) for job in batch], device=ids.device)
        values = metric.measure(reading)
        total = torch.where(scored, values, torch.zeros_like(values)).sum()
        last = number == len(metrics) - 1
        (gradient,) = torch.autograd.grad(total, leaf, retain_graph=not last)
        with torch.no_grad():
            slope = (gradient * scale).to(bench.directions) @ bench.directions.T
            changes[name] = -(features * slope).sum(dim=1)
    return _Found(changes, (features > 0).sum(dim=1), features.sum(dim=1))


def _forward(bench: Bench, ids: Tensor, keep: int) -> tuple[Tensor, Tensor]:
    """The activation at the hook as a leaf of the graph, and the logits that follow from it."""
    network = bench.host.model.network
    held: list[Tensor] = []
    positions = torch.arange(ids.shape[1], device=ids.device)[None].expand(len(ids), -1)
    with torch.enable_grad(), _leaf_at(network, bench.host.hook, held):
        out = network(input_ids=ids, position_ids=positions, use_cache=False, logits_to_keep=keep)
    return held[0], out.logits


@contextmanager
def _leaf_at(network: Any, hook: HookPoint, held: list[Tensor]) -> Iterator[None]:
    """Cut the graph at the hook: what is above it depends on a leaf in the activation's place."""
    cut = partial(_cut, held)
    module = network.get_submodule(hook.module)
    handles = [
        module.register_forward_pre_hook(partial(_on_input, cut), with_kwargs=True)
        if hook.side == "input"
        else module.register_forward_hook(partial(_on_output, cut, hook.index))
    ]
    if hook.bypass is not None:
        joins = network.get_submodule(hook.bypass)
        handles.append(joins.register_forward_hook(partial(_beside, held)))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _cut(held: list[Tensor], value: Tensor) -> Tensor:
    held[:] = [value.detach().requires_grad_(True)]
    return held[0]


def _on_input(
    cut: Callable[[Tensor], Tensor], _module: Any, given: tuple[Any, ...], named: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    if given:
        return (cut(given[0]), *given[1:]), named
    return given, named | {"hidden_states": cut(named["hidden_states"])}


def _on_output(
    cut: Callable[[Tensor], Tensor], index: int | None, _module: Any, _given: Any, output: Any
) -> Any:
    if index is None:
        return cut(output)
    return (*output[:index], cut(output[index]), *output[index + 1 :])


def _beside(held: list[Tensor], _module: Any, _given: Any, output: Tensor) -> Tensor:
    """The residual stream runs past the module that is read and joins again here."""
    return output + (held[0] - held[0].detach())
