"""What an SAE says of itself, whichever format it came in."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class SAEConfig:
    """The facts that fix an SAE's arithmetic, and where in the model it reads.

    Readers translate their format's own keys into these; nothing downstream knows the format.
    """

    architecture: str
    """How pre-activations become activations: a key of ``activations.ARCHITECTURES``."""
    d_in: int
    """Width of the activation that is read."""
    d_sae: int
    """Number of features."""
    d_out: int
    """Width of what is decoded: ``d_in``, except in a transcoder."""
    k: int | None = None
    """How many features a TopK SAE keeps at each position."""
    hook: str | None = None
    """The place that is read: a TransformerLens name or a Hugging Face module path."""
    hook_out: str | None = None
    """The place that a transcoder predicts."""
    transcoder: bool = False
    """Whether the decoder predicts another place than the one that is read."""
    model_name: str | None = None
    """The model the SAE was trained on, as its files call it."""
    prepend_bos: bool | None = None
    """Whether the SAE was trained on text that begins with a BOS token."""
    apply_b_dec_to_input: bool = False
    """Whether the decoder's bias is subtracted before encoding."""
    normalize_activations: str = "none"
    """``none``, ``constant_norm_rescale`` or ``layer_norm``, as computed at every position.
    ``expected_average_only_in`` is folded into the weights when the SAE is loaded."""
    normalization_factor: float | None = None
    """The ``expected_average_only_in`` factor that was folded into the weights."""
    rescale_acts_by_decoder_norm: bool = False
    """Whether activations are measured as if every decoder row had unit length."""
    reshape_activations: str = "none"
    """``hook_z``: the activation is the attention heads' outputs, side by side."""
    centre_activations: bool = False
    """Whether the mean over ``d_in`` is removed before encoding and put back after decoding: SAEs
    trained on TransformerLens models with centred writing weights need this on the plain model."""
    dtype: str = "float32"
    """The number format of the files; the arithmetic is float32 unless ``SAE.to`` is called."""
    format: str = "saelens"
    """The layout of the files."""
    path: Path | None = None
    """Where the files are."""
