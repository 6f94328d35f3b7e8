"""sparsify's folders, one for each place: ``layers.10/{cfg.json, sae.safetensors}``.

Source: sparsify 1.3.3, ``sparse_coder.py`` and ``fused_encoder.py``. An SAE subtracts the
decoder's bias before encoding, whatever ``normalize_decoder`` says; a transcoder does not.
"""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from causal_sae.errors import Place, SAEError
from causal_sae.saes.config import SAEConfig
from causal_sae.saes.files import (
    count,
    dtype_name,
    flag,
    read_json,
    read_safetensors,
    require,
    text,
)
from causal_sae.saes.weights import Weights, gather

WEIGHTS = "sae.safetensors"
CONFIG = "cfg.json"

TENSORS = {
    "encoder.bias": "b_enc",
    "W_dec": "w_dec",
    "b_dec": "b_dec",
    "W_skip": "w_skip",
}
"""sparsify's names and ours; ``encoder.weight`` is transposed below."""


def read(folder: Path) -> tuple[SAEConfig, Weights]:
    """The configuration and weights in ``folder``.

    Raises
    ------
    SAEError
        When a file is missing or damaged, or the SAE uses what cannot be computed here.
    """
    config_path, weights_path = require(folder, CONFIG, WEIGHTS)
    cfg = read_json(config_path)
    _refuse_unknown(cfg, config_path)
    weights = _weights(read_safetensors(weights_path), weights_path)
    transcoder = flag(cfg, "transcode", False) or weights.w_skip is not None
    d_in, module = count(cfg, "d_in", config_path), _module(folder)
    config = SAEConfig(
        architecture="topk",
        d_in=d_in,
        d_sae=_width(cfg, d_in, config_path),
        d_out=weights.w_dec.shape[-1] if transcoder else d_in,
        k=count(cfg, "k", config_path),
        hook=f"{module}.input" if module and transcoder else module,
        hook_out=module if transcoder else None,
        transcoder=transcoder,
        model_name=_model(folder),
        apply_b_dec_to_input=not transcoder,
        dtype=dtype_name(weights.w_enc),
        format="sparsify",
        path=folder,
    )
    return config, weights


def _weights(tensors: dict[str, Tensor], path: Path) -> Weights:
    found = {TENSORS[name]: tensor for name, tensor in tensors.items() if name in TENSORS}
    if "encoder.weight" in tensors:
        found["w_enc"] = tensors["encoder.weight"].T.contiguous()
    return gather(found, Place(path))


def _width(cfg: dict[str, object], d_in: int, path: Path) -> int:
    """``num_latents``; 0 or nothing means a multiple of the input's width."""
    return (
        count(cfg, "num_latents", path)
        if cfg.get("num_latents")
        else d_in * count(cfg, "expansion_factor", path)
    )


def _module(folder: Path) -> str | None:
    """The folder's name: the path of a module inside the base model.

    An SAE reads its output; a transcoder reads its input and predicts its output.
    """
    name = folder.resolve().name
    return name if any(part.isdigit() for part in name.split(".")) else None


def _model(folder: Path) -> str | None:
    run = folder.resolve().parent / "config.json"
    return text(read_json(run), "model") if run.is_file() else None


def _refuse_unknown(cfg: dict[str, object], path: Path) -> None:
    activation = text(cfg, "activation") or "topk"
    if activation != "topk":
        raise SAEError(
            f"the activation {activation!r} cannot be computed. Allowed: topk.",
            Place(file=path, field="activation"),
        )
    if flag(cfg, "signed", False):
        raise SAEError(
            "signed TopK lets features be negative, which cannot be computed here.",
            Place(file=path, field="signed"),
        )
