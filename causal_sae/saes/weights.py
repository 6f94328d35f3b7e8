"""The tensors of an SAE, and the checks that they are what the configuration says."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from causal_sae.errors import Place, SAEError
from causal_sae.saes.config import SAEConfig

PER_FEATURE = ("b_enc", "b_gate", "b_mag", "r_mag")


@dataclass(frozen=True, eq=False)
class Weights:
    """The tensors, float32 after loading."""

    w_enc: Tensor
    """``[d_in, d_sae]``"""
    w_dec: Tensor
    """``[d_sae, d_out]``"""
    b_dec: Tensor
    """``[d_out]``"""
    b_enc: Tensor | None = None
    """``[d_sae]``; gated SAEs have ``b_gate`` and ``b_mag`` instead."""
    threshold: Tensor | None = None
    """``[d_sae]`` for JumpReLU, a scalar for BatchTopK."""
    b_gate: Tensor | None = None
    """``[d_sae]``"""
    b_mag: Tensor | None = None
    """``[d_sae]``"""
    r_mag: Tensor | None = None
    """``[d_sae]``, the logarithm of the magnitude path's gain."""
    w_skip: Tensor | None = None
    """``[d_out, d_in]``, a skip transcoder's linear path."""

    def need(self, name: str) -> Tensor:
        """The tensor ``name``, which this architecture cannot do without.

        Raises
        ------
        SAEError
            When the files do not hold it.
        """
        tensor: Tensor | None = getattr(self, name)
        if tensor is None:
            raise SAEError(f"this SAE's architecture needs the tensor {name!r}, which it lacks.")
        return tensor

    def present(self) -> dict[str, Tensor]:
        """The tensors that are there, by name."""
        named = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: tensor for name, tensor in named.items() if tensor is not None}

    def map(self, change: Callable[[Tensor], Tensor]) -> Weights:
        """The same weights, each tensor passed through ``change``."""
        return replace(self, **{name: change(t) for name, t in self.present().items()})

    def columns(self, features: Tensor) -> Weights:
        """The weights of ``features`` (int64 ``[n]``) alone, as if they were the whole SAE."""
        part = {name: t[features] for name, t in self.present().items() if name in PER_FEATURE}
        if self.threshold is not None and self.threshold.numel() > 1:
            part["threshold"] = self.threshold[features]
        return replace(self, w_enc=self.w_enc[:, features], w_dec=self.w_dec[features], **part)


def row_norms(matrix: Tensor) -> Tensor:
    """The length of every row: ``[n, d] -> [n]``."""
    norms: Tensor = torch.linalg.vector_norm(matrix, dim=-1)
    return norms


def gather(tensors: Mapping[str, Tensor], place: Place) -> Weights:
    """The weights among ``tensors``, whose names are already those of :class:`Weights`.

    Raises
    ------
    SAEError
        When a matrix or the decoder's bias is not among them.
    """
    known = {field.name for field in fields(Weights)}
    missing = [name for name in ("w_enc", "w_dec", "b_dec") if name not in tensors]
    if missing:
        raise SAEError(
            f"an SAE's weights must hold an encoder, a decoder and a decoder bias; {missing} are "
            f"not among {sorted(tensors)}.",
            place,
        )
    return Weights(**{name: tensor for name, tensor in tensors.items() if name in known})


def check_weights(config: SAEConfig, weights: Weights, needs: tuple[str, ...]) -> Weights:
    """``weights`` in float32, when they are complete, finite and of the configured shapes.

    Raises
    ------
    SAEError
        Names the tensor, and what was expected and found.
    """
    place = Place(file=config.path)
    wanted = expected_shapes(config)
    found = weights.present()
    for name in needs:
        if name not in found:
            raise SAEError(
                f"the architecture {config.architecture!r} needs the tensor {name!r}; "
                f"the files hold {sorted(found)}.",
                place,
            )
    for name, tensor in found.items():
        scalar = name == "threshold" and tensor.numel() == 1
        if not scalar and tuple(tensor.shape) != wanted[name]:
            raise SAEError(
                f"{name} must have the shape {list(wanted[name])} by the SAE's configuration "
                f"(d_in {config.d_in}, d_sae {config.d_sae}); it has {list(tensor.shape)}.",
                place,
            )
        if not bool(torch.isfinite(tensor).all()):
            raise SAEError(
                f"{name} must hold finite numbers; it holds NaN or infinity: "
                "the file is damaged or was saved in too narrow a number format.",
                place,
            )
    return weights.map(torch.Tensor.float)


def expected_shapes(config: SAEConfig) -> dict[str, tuple[int, ...]]:
    """The shape of every tensor under ``config``."""
    per_feature = (config.d_sae,)
    return {
        "w_enc": (config.d_in, config.d_sae),
        "w_dec": (config.d_sae, config.d_out),
        "b_dec": (config.d_out,),
        "threshold": per_feature,
        **dict.fromkeys(PER_FEATURE, per_feature),
        "w_skip": (config.d_out, config.d_in),
    }
