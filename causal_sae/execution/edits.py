"""The arithmetic of interventions: pure functions on tensors.

Every edit of a feature is affine in its activation, ``f -> gain * f + bias``, so rows of one
batch can belong to different arms. The residual changes by ``(new - f) * direction``: the SAE's
error term stays as it was (the delta form), and a row whose new activations equal the old is left
bit-identical.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class FeatureEdit:
    """An affine edit of ``k`` features on one row.

    ``gain`` has shape ``[k]``; ``bias`` has shape ``[k]``, or ``[positions, k]`` when every
    position has a value of its own (resampling). Activation units.
    """

    features: tuple[int, ...]
    gain: Tensor
    bias: Tensor


@dataclass(frozen=True)
class Change:
    """What edits do to a batch. ``R`` rows, ``S`` positions, ``k`` features at most in a row."""

    residual: Tensor
    """``[R, S, d]``: added to the activation."""
    before: Tensor
    """``[R, S, k]``: the edited features' activations on the clean pass; 0 where there is none."""
    after: Tensor
    """``[R, S, k]``: the activations asked for; equal to ``before`` at positions not edited."""


def feature_change(
    activations: Tensor,
    source: Tensor,
    directions: Tensor,
    edits: Sequence[FeatureEdit | None],
    editable: Tensor,
) -> Change:
    """Apply one edit a row.

    Parameters
    ----------
    activations:
        Clean feature activations of the batch's ``P`` prompts, ``[P, S, d_sae]``.
    source:
        Which prompt each row is of, ``[R]`` integers.
    directions:
        What one unit of each feature adds to the residual, ``[d_sae, d]``.
    edits:
        One for each row; None leaves the row alone.
    editable:
        ``[R, S]`` booleans.
    """
    width = max((len(edit.features) for edit in edits if edit), default=1)
    rows, positions = editable.shape
    index = torch.zeros(rows, width, dtype=torch.long, device=activations.device)
    gain = activations.new_ones(rows, 1, width)
    bias = activations.new_zeros(rows, positions, width)
    used = torch.zeros(rows, 1, width, dtype=torch.bool, device=activations.device)
    for row, edit in enumerate(edits):
        if edit is not None:
            k = len(edit.features)
            index[row, :k] = torch.tensor(edit.features, device=index.device)
            gain[row, 0, :k] = edit.gain.to(gain)
            bias[row, :, :k] = edit.bias.to(bias)
            used[row, 0, :k] = True
    place = torch.arange(positions, device=index.device)[None, :, None]
    before = torch.where(used, activations[source[:, None, None], place, index[:, None]], 0.0)
    after = torch.where(editable[..., None] & used, gain * before + bias, before)
    residual = torch.einsum("rsk,rkd->rsd", after - before, directions[index])
    return Change(residual, before, after)


def push(length: Tensor, direction: Tensor) -> Tensor:
    """A change of given length in a fixed direction.

    ``length`` is ``[R, S]``, ``direction`` ``[R, d]`` of any norm; the result is ``[R, S, d]``.
    """
    unit: Tensor = direction / direction.norm(dim=-1, keepdim=True)
    return length[..., None] * unit[:, None]


def attention_sinks(activation: Tensor, prompt: int | None = None, ratio: float = 4.0) -> Tensor:
    """Positions whose norm exceeds ``ratio`` medians of their own row, ``[R, S]`` booleans.

    The median is over the row alone, so that a row's answer does not depend on its batch, and over
    its first ``prompt`` positions, so that a continuation does not change what its prompt gets.
    """
    norm: Tensor = activation.norm(dim=-1)
    return norm > sink_threshold(activation[:, :prompt], ratio)


def sink_threshold(activation: Tensor, ratio: float = 4.0) -> Tensor:
    """``[R, 1]``: the norm beyond which a position of ``[R, S, d]`` is an attention sink."""
    typical: Tensor = activation.norm(dim=-1).median(dim=-1, keepdim=True).values
    return ratio * typical
