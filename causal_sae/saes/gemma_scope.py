"""Gemma Scope (``params.npz``) and Gemma Scope 2 (``config.json`` and ``params.safetensors``).

Both are JumpReLU SAEs that do not subtract the decoder's bias before encoding. The npz says
nothing of the place that it reads: the folder's name does, when it still has the name that it
has on the hub (Lieberum et al. 2024, arXiv:2408.05147).
"""

from __future__ import annotations

import re
from pathlib import Path

from torch import Tensor

from causal_sae.errors import Place, SAEError, did_you_mean
from causal_sae.saes.config import SAEConfig
from causal_sae.saes.files import (
    dtype_name,
    flag,
    layer_in,
    read_json,
    read_npz,
    read_safetensors,
    require,
    text,
)
from causal_sae.saes.weights import Weights, gather

WEIGHTS = "params.npz"
WEIGHTS_2 = "params.safetensors"
CONFIG_2 = "config.json"

HOOKS = {
    "res": "blocks.{}.hook_resid_post",
    "mlp": "blocks.{}.hook_mlp_out",
    "att": "blocks.{}.attn.hook_z",
    "transcoders": "blocks.{}.ln2.hook_normalized",
}
"""The last word of a Gemma Scope repository's name, and the place that its SAEs read."""


def read(path: Path) -> tuple[SAEConfig, Weights]:
    """The configuration and weights in a folder, or in its ``.npz``.

    Raises
    ------
    SAEError
        When a file is missing or damaged.
    """
    if path.suffix == ".npz":
        return _read_npz(path)
    if (path / WEIGHTS).is_file() or not (path / WEIGHTS_2).is_file():
        return _read_npz(require(path, WEIGHTS)[0])
    return _read_second(path)


def _weights(tensors: dict[str, Tensor], path: Path) -> Weights:
    names = {name: name.lower() for name in tensors}
    names["affine_skip_connection"] = "w_skip"
    found = {names[name]: tensor for name, tensor in tensors.items()}
    if "w_skip" in found:
        found["w_skip"] = found["w_skip"].T.contiguous()  # stored as [d_in, d_out]
    if "scaling_factor" in found and not bool((found["scaling_factor"] == 1).all()):
        raise SAEError("the SAE holds a scaling factor that cannot be computed here.", Place(path))
    weights = gather(found, Place(path))
    for name in ("w_enc", "w_dec"):
        if weights.need(name).ndim != 2:
            raise SAEError(
                f"{name} must be a matrix; it has the shape {list(weights.need(name).shape)}: "
                "cross-layer transcoders cannot be read.",
                Place(path),
            )
    return weights


def _read_npz(path: Path) -> tuple[SAEConfig, Weights]:
    weights = _weights(read_npz(path), path)
    where = path.resolve().as_posix()
    if "/embedding/" in where:
        raise SAEError(
            "this Gemma Scope SAE reads the token embeddings, where no edit is made; "
            "choose one of a layer.",
            Place(path),
        )
    named = re.search(r"gemma-scope-(\w+)-(pt|it)-(res|mlp|att|transcoders)", where)
    layer = layer_in(path.resolve())
    hook = HOOKS[named[3]].format(layer) if named and layer is not None else None
    d_in, d_out = weights.w_enc.shape[0], weights.w_dec.shape[-1]
    transcoder = d_in != d_out or bool(named and named[3] == "transcoders")
    config = SAEConfig(
        architecture="jumprelu",
        d_in=d_in,
        d_sae=weights.w_enc.shape[1],
        d_out=d_out,
        hook=hook,
        hook_out=f"blocks.{layer}.hook_mlp_out" if transcoder and layer is not None else None,
        transcoder=transcoder,
        model_name=f"gemma-2-{named[1]}{'-it' if named[2] == 'it' else ''}" if named else None,
        prepend_bos=True,
        dtype=dtype_name(weights.w_enc),
        format="gemma_scope",
        path=path.parent,
    )
    return config, weights


def _read_second(folder: Path) -> tuple[SAEConfig, Weights]:
    config_path, weights_path = require(folder, CONFIG_2, WEIGHTS_2)
    cfg = read_json(config_path)
    named = text(cfg, "architecture") or "jump_relu"
    if named not in ("jump_relu", "jumprelu"):
        raise SAEError(
            f"a Gemma Scope 2 SAE is of the architecture jump_relu; this one says {named!r}. "
            f"{did_you_mean(named, ['jump_relu'])}",
            Place(file=config_path, field="architecture"),
        )
    weights = _weights(read_safetensors(weights_path), weights_path)
    hook, hook_out = text(cfg, "hf_hook_point_in"), text(cfg, "hf_hook_point_out")
    moved = hook_out is not None and hook_out != hook
    config = SAEConfig(
        architecture="jumprelu",
        d_in=weights.w_enc.shape[0],
        d_sae=weights.w_enc.shape[1],
        d_out=weights.w_dec.shape[-1],
        hook=hook,
        hook_out=hook_out,
        transcoder=moved or flag(cfg, "affine_connection", False) or weights.w_skip is not None,
        model_name=(text(cfg, "model_name") or "").replace("-v3", "-3") or None,
        prepend_bos=True,
        dtype=dtype_name(weights.w_enc),
        format="gemma_scope",
        path=folder,
    )
    return config, weights
