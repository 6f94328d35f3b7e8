"""From an SAE's input to its features' activations: one function for each architecture."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from causal_sae.errors import Place, SAEError, did_you_mean
from causal_sae.saes.config import SAEConfig
from causal_sae.saes.weights import Weights, row_norms

Activation = Callable[[Tensor, Weights, SAEConfig], Tensor]


@dataclass(frozen=True)
class Architecture:
    """How one kind of SAE encodes."""

    activate: Activation
    """``(x [..., d_in], weights, config) -> [..., d_sae]``"""
    needs: tuple[str, ...]
    """The tensors it needs beside the matrices and the decoder's bias."""
    separable: bool = True
    """Whether a feature's activation can be computed without the other features."""


def effective_norm(weights: Weights, config: SAEConfig) -> Tensor | None:
    """Decoder row lengths ``[d_sae]`` by which activations are measured, or None for 1.

    A row of zeros counts as tiny instead, so that its feature is 0 rather than NaN.
    """
    if not config.rescale_acts_by_decoder_norm:
        return None
    norm = row_norms(weights.w_dec)
    return norm.clamp_min(torch.finfo(norm.dtype).tiny)


def pre_activations(x: Tensor, weights: Weights, config: SAEConfig) -> Tensor:
    """``x @ W_enc + b_enc`` ``[..., d_sae]``, times the decoder's norms where they are the unit."""
    pre = x @ weights.w_enc + weights.need("b_enc")
    norm = effective_norm(weights, config)
    return pre if norm is None else pre * norm


def relu(x: Tensor, weights: Weights, config: SAEConfig) -> Tensor:
    """Standard SAEs: ``max(pre, 0)``."""
    return torch.relu(pre_activations(x, weights, config))


def jumprelu(x: Tensor, weights: Weights, config: SAEConfig) -> Tensor:
    """The pre-activation where it is positive and above the threshold, else 0.

    Rajamanoharan et al. (2024), arXiv:2407.14435. With one scalar threshold this is also how a
    BatchTopK SAE encodes at inference (Bussmann et al. 2024, arXiv:2412.06410).
    """
    pre = pre_activations(x, weights, config)
    return torch.relu(pre) * (pre > weights.need("threshold"))


def gated(x: Tensor, weights: Weights, config: SAEConfig) -> Tensor:
    """A gate that opens or not, times a magnitude that shares the encoder's directions.

    Rajamanoharan et al. (2024), arXiv:2404.16014.
    """
    gate = x @ weights.w_enc + weights.need("b_gate")
    magnitude = x @ (weights.w_enc * weights.need("r_mag").exp()) + weights.need("b_mag")
    norm = effective_norm(weights, config)
    open_magnitude = torch.relu(magnitude) * (gate > 0)
    return open_magnitude if norm is None else open_magnitude * norm


def topk(x: Tensor, weights: Weights, config: SAEConfig) -> Tensor:
    """The ``k`` largest pre-activations of each position where positive, else 0.

    Gao et al. (2024), arXiv:2406.04093.
    """
    pre = pre_activations(x, weights, config)
    values, indices = torch.topk(pre, k=config.k or 0, dim=-1, sorted=False)
    return torch.zeros_like(pre).scatter(-1, indices, torch.relu(values))


ARCHITECTURES: dict[str, Architecture] = {
    "standard": Architecture(relu, needs=("b_enc",)),
    "gated": Architecture(gated, needs=("b_gate", "b_mag", "r_mag")),
    "topk": Architecture(topk, needs=("b_enc",), separable=False),
    "batchtopk": Architecture(jumprelu, needs=("b_enc", "threshold")),
    "jumprelu": Architecture(jumprelu, needs=("b_enc", "threshold")),
}


def check_architecture(config: SAEConfig) -> Architecture:
    """The architecture that ``config`` names.

    Raises
    ------
    SAEError
        When it is not one of :data:`ARCHITECTURES`, or a TopK SAE's k cannot be.
    """
    place = Place(file=config.path)
    if config.architecture not in ARCHITECTURES:
        raise SAEError(
            f"the SAE's architecture {config.architecture!r} is not one that can be read; "
            f"{did_you_mean(config.architecture, ARCHITECTURES)}",
            place,
        )
    if config.architecture == "topk" and not (config.k and 1 <= config.k <= config.d_sae):
        raise SAEError(
            f"a TopK SAE's k must be between 1 and its {config.d_sae} features; "
            f"the files say {config.k}.",
            place,
        )
    return ARCHITECTURES[config.architecture]
