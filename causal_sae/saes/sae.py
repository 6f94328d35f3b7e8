"""A sparse autoencoder: what its features read, and what they write."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from causal_sae.errors import Place, SAEError
from causal_sae.saes.activations import ARCHITECTURES, check_architecture, effective_norm
from causal_sae.saes.config import SAEConfig
from causal_sae.saes.normalization import Frame, fold, frame_of, is_per_token
from causal_sae.saes.weights import Weights, check_weights, row_norms


@dataclass(frozen=True, eq=False)
class SAE:
    """An SAE ready to encode, decode and say in which directions its features push.

    Activations go in as the plain Hugging Face model has them; whatever the SAE was trained to
    expect (centring, scaling, the decoder's bias taken off) is done here and undone here. The
    arithmetic is in the weights' dtype, float32 unless :meth:`to` says otherwise.
    """

    config: SAEConfig
    weights: Weights

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.weights.w_enc.device

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of the weights and of the arithmetic."""
        return self.weights.w_enc.dtype

    @property
    def decoder(self) -> Tensor:
        """The decoder's rows ``[d_sae, d_out]``."""
        return self.weights.w_dec

    @property
    def decoder_norm(self) -> Tensor:
        """The length of every decoder row ``[d_sae]``."""
        return row_norms(self.weights.w_dec)

    @property
    def is_per_token(self) -> bool:
        """Whether decoding, and the length of a push, depend on the activation that was encoded."""
        return is_per_token(self.config)

    @property
    def is_separable(self) -> bool:
        """Whether one feature's activation can be computed without the others' (not in TopK)."""
        return ARCHITECTURES[self.config.architecture].separable

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> SAE:
        """The same SAE on another device or in another dtype."""
        return replace(self, weights=self.weights.map(lambda t: t.to(device=device, dtype=dtype)))

    def encode(self, x: Tensor) -> Tensor:
        """The features' activations ``[..., d_sae]`` of the model's activations ``[..., d_in]``.

        An SAE of attention heads also takes ``[..., n_heads, d_head]``.
        """
        architecture = ARCHITECTURES[self.config.architecture]
        return architecture.activate(self._encoder_input(x), self.weights, self.config)

    def encode_features(self, x: Tensor, features: Sequence[int]) -> Tensor:
        """``encode(x)[..., features]``, computing only those columns where that is possible."""
        chosen = self._index(features)
        if not self.is_separable:
            return self.encode(x)[..., chosen]
        activate = ARCHITECTURES[self.config.architecture].activate
        return activate(self._encoder_input(x), self.weights.columns(chosen), self.config)

    def decode(self, f: Tensor, like: Tensor | None = None) -> Tensor:
        """The activation ``[..., d_out]`` that the features ``[..., d_sae]`` stand for.

        Parameters
        ----------
        f:
            Activations in the units of :meth:`encode`.
        like:
            The model's activations ``[..., d_in]`` that ``f`` was encoded from: needed where they
            are centred or normalised one by one (``is_per_token``), or a skip path reads them.

        Raises
        ------
        SAEError
            When ``like`` is needed and not given.
        """
        f = f.to(self.dtype)
        norm = effective_norm(self.weights, self.config)
        unit = f if norm is None else f / norm
        decoded = unit @ self.weights.w_dec + self.weights.b_dec
        framed = self.is_per_token and not self.config.transcoder
        if like is None and (framed or self.weights.w_skip is not None):
            raise SAEError(
                "this SAE needs the activations that were encoded in order to decode "
                f"({self._why_input()}): pass them as `like`, or use `reconstruct`.",
                Place(file=self.config.path),
            )
        if like is None:
            return decoded
        x = self._as_input(like)
        if self.weights.w_skip is not None:
            decoded = decoded + x @ self.weights.w_skip.T
        # A transcoder's output is another activation: the input's frame does not apply to it.
        return decoded if self.config.transcoder else self._frame(x).leave(decoded)

    def reconstruct(self, x: Tensor) -> Tensor:
        """``decode(encode(x))`` ``[..., d_out]``: what a splice puts in the activation's place."""
        return self.decode(self.encode(x), like=x)

    def direction(self, features: Sequence[int]) -> Tensor:
        """The vectors ``[n, d_out]`` by which what is written changes per unit of each feature.

        In the model's own space; where activations are normalised one by one the change at a
        position is this times :meth:`token_scale` there. A transcoder writes to another place than
        it reads.

        Raises
        ------
        SAEError
            For features that the SAE does not have, and transcoders whose output is not known.
        """
        self.check_editable()
        chosen = self._index(features)
        norm = effective_norm(self.weights, self.config)
        rows = self.weights.w_dec[chosen]
        return rows if norm is None else rows / norm[chosen, None]

    def token_scale(self, x: Tensor) -> Tensor:
        """How far a unit of :meth:`direction` reaches at each position of ``x``: ``[..., 1]``."""
        if self.config.transcoder:
            return torch.ones_like(x[..., :1], dtype=self.dtype)
        return self._frame(self._as_input(x)).multiplier

    def delta(self, change: Tensor, features: Sequence[int], like: Tensor) -> Tensor:
        """The change ``[..., d_in]`` of the activations ``like`` when ``features`` change.

        Parameters
        ----------
        change:
            New activation minus old, ``[..., n]``, one column for each of ``features``.
        features:
            The features that change.
        like:
            The model's activations ``[..., d_in]`` before the change.
        """
        return (change.to(self.dtype) @ self.direction(features)) * self.token_scale(like)

    def check_features(self, features: Sequence[int]) -> tuple[int, ...]:
        """``features`` when the SAE has every one of them.

        Raises
        ------
        SAEError
            Names the first feature that is out of range, and the range.
        """
        for feature in features:
            if not 0 <= int(feature) < self.config.d_sae:
                raise SAEError(
                    f"a feature must be between 0 and {self.config.d_sae - 1}: the SAE has "
                    f"{self.config.d_sae} features; got {feature}.",
                    Place(file=self.config.path),
                )
        return tuple(int(feature) for feature in features)

    def check_editable(self) -> None:
        """Pass when it is known which activation a change of a feature is a change of.

        Raises
        ------
        SAEError
            For a transcoder that does not say where it writes.
        """
        if self.config.transcoder and self.config.hook_out is None:
            raise SAEError(
                f"this is a transcoder: it reads {self.config.hook or 'one activation'} and "
                "predicts another, and its files do not say which; give it as "
                "`hook_out`, such as `model.layers.8.mlp.output`.",
                Place(file=self.config.path, field="sae.hook_out"),
            )

    def _why_input(self) -> str:
        if self.weights.w_skip is not None:
            return "it has a skip connection"
        if self.config.centre_activations:
            return "it was trained on centred activations"
        return f"normalize_activations is {self.config.normalize_activations!r}"

    def _index(self, features: Sequence[int]) -> Tensor:
        return torch.tensor(self.check_features(features), dtype=torch.long, device=self.device)

    def _as_input(self, x: Tensor) -> Tensor:
        d_in = self.config.d_in
        if x.shape[-1] == d_in:
            return x.to(self.dtype)
        heads = self.config.reshape_activations == "hook_z" and x.ndim >= 2
        if heads and x.shape[-2] * x.shape[-1] == d_in:
            return x.flatten(-2).to(self.dtype)
        raise SAEError(
            f"the SAE reads activations of width {d_in}; got {x.shape[-1]}: "
            "the SAE does not belong to this model, or is hooked at the wrong place.",
            Place(file=self.config.path, field="sae.hook"),
        )

    def _frame(self, x: Tensor) -> Frame:
        return frame_of(x, self.config)

    def _encoder_input(self, x: Tensor) -> Tensor:
        x = self._as_input(x)
        if self.is_per_token:
            x = self._frame(x).enter(x)
        return x - self.weights.b_dec if self.config.apply_b_dec_to_input else x


def build(config: SAEConfig, weights: Weights, normalization_factor: float | None = None) -> SAE:
    """An SAE of checked parts, in float32.

    Raises
    ------
    SAEError
        When the architecture or normalisation is unknown, a tensor is missing, of the wrong shape
        or not finite, or the normalisation's factor is missing.
    """
    architecture = check_architecture(config)
    whole = check_weights(config, weights, architecture.needs)
    if config.transcoder and config.apply_b_dec_to_input:
        raise SAEError(
            "a transcoder's decoder bias belongs to another activation than its input; "
            "apply_b_dec_to_input must be false.",
            Place(file=config.path),
        )
    return SAE(*fold(config, whole, normalization_factor))
