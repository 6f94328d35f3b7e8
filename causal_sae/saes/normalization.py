"""What is done to an activation before it is encoded, and undone after it is decoded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from causal_sae.errors import Place, SAEError, did_you_mean
from causal_sae.saes.config import SAEConfig
from causal_sae.saes.weights import Weights

LAYER_NORM_EPSILON = 1e-5
FOLDED = "expected_average_only_in"


@dataclass(frozen=True, eq=False)
class Frame:
    """The map between the model's space and the SAE's, at each position.

    Into the SAE: ``(x - shift) / divisor``. Back: ``y * multiplier + shift``. All are
    ``[..., 1]``. The two scales differ only by layer norm's epsilon.
    """

    shift: Tensor
    divisor: Tensor
    multiplier: Tensor

    def enter(self, x: Tensor) -> Tensor:
        """``x`` ``[..., d]`` as the encoder sees it."""
        return (x - self.shift) / self.divisor

    def leave(self, y: Tensor) -> Tensor:
        """``y`` ``[..., d]``, decoded, in the model's own space."""
        return y * self.multiplier + self.shift


def _none(x: Tensor) -> Frame:
    one = torch.ones_like(x[..., :1])
    return Frame(torch.zeros_like(one), one, one)


def _constant_norm(x: Tensor) -> Frame:
    """Every activation is stretched to the length sqrt(d)."""
    norm = x.norm(dim=-1, keepdim=True) / x.shape[-1] ** 0.5
    scale = norm.clamp_min(torch.finfo(x.dtype).tiny)
    return Frame(torch.zeros_like(scale), scale, scale)


def _layer_norm(x: Tensor) -> Frame:
    """Mean 0 and (unbiased) standard deviation 1 over the width of the activation."""
    mean = x.mean(dim=-1, keepdim=True)
    std = (x - mean).std(dim=-1, keepdim=True)
    return Frame(mean, std + LAYER_NORM_EPSILON, std)


NORMALIZATIONS: dict[str, Callable[[Tensor], Frame]] = {
    "none": _none,
    "constant_norm_rescale": _constant_norm,
    "layer_norm": _layer_norm,
}


def frame_of(x: Tensor, config: SAEConfig) -> Frame:
    """The frame of the activations ``x`` ``[..., d_in]``: centring first, then normalisation."""
    normalize = NORMALIZATIONS[config.normalize_activations]
    if not config.centre_activations:
        return normalize(x)
    mean = x.mean(dim=-1, keepdim=True)
    frame = normalize(x - mean)
    return replace(frame, shift=frame.shift + mean)


def is_per_token(config: SAEConfig) -> bool:
    """Whether decoding needs the activation that was encoded: its own mean or length."""
    return config.centre_activations or config.normalize_activations != "none"


def fold(config: SAEConfig, weights: Weights, factor: float | None) -> tuple[SAEConfig, Weights]:
    """Fold the ``expected_average_only_in`` factor into the weights; other kinds pass unchanged.

    The SAE was trained on ``factor * x``. Afterwards it reads and writes ``x`` itself, exactly as
    SAELens's ``fold_activation_norm_scaling_factor`` leaves it.

    Raises
    ------
    SAEError
        When the normalisation is unknown, its factor is missing, or a factor was given that the
        SAE has no use for.
    """
    place = Place(file=config.path, field="sae.normalization_factor")
    kind = config.normalize_activations
    if kind not in (*NORMALIZATIONS, FOLDED):
        raise SAEError(
            f"the SAE's normalize_activations {kind!r} is not one that can be computed; "
            f"{did_you_mean(kind, (*NORMALIZATIONS, FOLDED))}",
            Place(file=config.path),
        )
    if kind != FOLDED:
        if factor is not None:
            raise SAEError(
                f"normalization_factor is only for SAEs trained with {FOLDED}; "
                f"this one says {kind!r}: remove it.",
                place,
            )
        return config, weights
    if factor is None:
        raise SAEError(
            f"the SAE was trained with {FOLDED}, whose factor is not in its files: give it as "
            "normalization_factor (sqrt(d_in) divided by the mean norm of the activations it was "
            "trained on).",
            place,
        )
    if not 0 < factor < float("inf"):
        raise SAEError(f"normalization_factor must be a positive number; got {factor}.", place)
    scaled = replace(
        weights,
        w_enc=weights.w_enc * factor,
        w_dec=weights.w_dec / factor,
        b_dec=weights.b_dec / factor,
        threshold=_fold_threshold(config, weights, factor),
    )
    return replace(config, normalize_activations="none", normalization_factor=factor), scaled


def _fold_threshold(config: SAEConfig, weights: Weights, factor: float) -> Tensor | None:
    # A threshold on pre-activations times the decoder's norms shrinks as the norms do.
    if weights.threshold is None or not config.rescale_acts_by_decoder_norm:
        return weights.threshold
    return weights.threshold / factor
