"""dictionary_learning's folders: ``ae.pt`` and ``config.json``.

Source: dictionary_learning 0.1.0, ``dictionary.py`` and ``trainers/``. The weights are taken as
they are saved. (``AutoEncoder.from_pretrained`` there also rescales an SAE whose decoder rows are
not of unit length, which changes the unit of its activations but not what it reconstructs.)
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from causal_sae.errors import Place, SAEError, did_you_mean
from causal_sae.saes.config import SAEConfig
from causal_sae.saes.files import count, dtype_name, read_json, read_pt, require, section, text
from causal_sae.saes.weights import Weights, gather

WEIGHTS = "ae.pt"
CONFIG = "config.json"

TENSORS = {
    "W_enc": "w_enc",
    "W_dec": "w_dec",
    "encoder.bias": "b_enc",
    "b_enc": "b_enc",
    "bias": "b_dec",
    "b_dec": "b_dec",
    "decoder.bias": "b_dec",
    "decoder_bias": "b_dec",
    "gate_bias": "b_gate",
    "mag_bias": "b_mag",
    "r_mag": "r_mag",
    "threshold": "threshold",
}
"""dictionary_learning's names and ours; its ``nn.Linear`` matrices are transposed below."""

TRANSPOSED = {"encoder.weight": "w_enc", "decoder.weight": "w_dec"}


@dataclass(frozen=True)
class DictionaryClass:
    """What a class of dictionary_learning is in our words."""

    architecture: str
    apply_b_dec_to_input: bool = True


CLASSES = {
    "AutoEncoder": DictionaryClass("standard"),
    "AutoEncoderNew": DictionaryClass("standard", apply_b_dec_to_input=False),
    "GatedAutoEncoder": DictionaryClass("gated"),
    "AutoEncoderTopK": DictionaryClass("topk"),
    "BatchTopKSAE": DictionaryClass("batchtopk"),
    "MatryoshkaBatchTopKSAE": DictionaryClass("batchtopk"),
    "JumpReluAutoEncoder": DictionaryClass("jumprelu", apply_b_dec_to_input=False),
}

SITES = {
    "resid_post": "hook_resid_post",
    "attention_out": "hook_attn_out",
    "mlp_out": "hook_mlp_out",
}
"""How ``submodule_name`` begins, and the place it means."""


def read(folder: Path) -> tuple[SAEConfig, Weights]:
    """The configuration and weights in ``folder``.

    Raises
    ------
    SAEError
        When a file is missing or damaged, or the class is unknown.
    """
    config_path, weights_path = require(folder, CONFIG, WEIGHTS)
    trainer = section(read_json(config_path), "trainer")
    named = text(trainer, "dict_class") or ""
    if named not in CLASSES:
        raise SAEError(
            f"the dictionary class {named!r} is not one that can be read; "
            f"{did_you_mean(named, CLASSES)}",
            Place(file=config_path, field="trainer.dict_class"),
        )
    tensors = read_pt(weights_path)
    weights = _weights(tensors, CLASSES[named], weights_path)
    d_in = count(trainer, "activation_dim", config_path)
    config = SAEConfig(
        architecture=CLASSES[named].architecture,
        d_in=d_in,
        d_sae=count(trainer, "dict_size", config_path),
        d_out=d_in,
        k=_k(tensors, trainer, config_path) if named == "AutoEncoderTopK" else None,
        hook=_hook(trainer),
        model_name=text(trainer, "lm_name"),
        apply_b_dec_to_input=CLASSES[named].apply_b_dec_to_input,
        dtype=dtype_name(weights.w_enc),
        format="dictionary_learning",
        path=folder,
    )
    return config, weights


def _weights(tensors: dict[str, Tensor], kind: DictionaryClass, path: Path) -> Weights:
    found = {TENSORS[name]: tensor for name, tensor in tensors.items() if name in TENSORS}
    for name, ours in TRANSPOSED.items():
        if name in tensors:
            found[ours] = tensors[name].T.contiguous()
    if kind.architecture == "topk":
        found.pop("threshold", None)  # kept for another way of encoding than the class's own
    return gather(found, Place(path))


def _k(tensors: Mapping[str, Tensor], trainer: Mapping[str, object], path: Path) -> int:
    """``k`` as the weights and the configuration agree on it."""
    stated = count(trainer, "k", path) if trainer.get("k") is not None else None
    saved = int(tensors["k"].item()) if "k" in tensors else None
    if stated is not None and saved is not None and stated != saved:
        raise SAEError(
            f"the configuration says k is {stated}, but the weights were saved with {saved}.",
            Place(file=path, field="trainer.k"),
        )
    k = saved if saved is not None else stated
    if k is None:
        raise SAEError("a TopK dictionary needs k.", Place(file=path, field="trainer.k"))
    return k


def _hook(trainer: Mapping[str, object]) -> str | None:
    """The place read; without a ``submodule_name`` the library means the residual stream."""
    name = text(trainer, "submodule_name") or "resid_post"
    site = next((ours for theirs, ours in SITES.items() if name.startswith(theirs)), None)
    layer = trainer.get("layer")
    if layer is None and (found := re.search(r"layer_(\d+)", name)):
        layer = found[1]
    return f"blocks.{layer}.{site}" if site and layer is not None else None
