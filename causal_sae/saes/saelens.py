"""SAELens directories: ``cfg.json`` and ``sae_weights.safetensors``.

From version 6 the facts about the model sit under ``metadata``; before, the file is flat, with
older names and defaults. Source: SAELens 6.54, ``loading/pretrained_sae_loaders.py``.
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
    section,
    text,
)
from causal_sae.saes.weights import Weights, gather

WEIGHTS = "sae_weights.safetensors"
CONFIG = "cfg.json"

TENSORS = {
    "W_enc": "w_enc",
    "W_dec": "w_dec",
    "b_enc": "b_enc",
    "b_dec": "b_dec",
    "threshold": "threshold",
    "topk_threshold": "threshold",
    "b_gate": "b_gate",
    "b_mag": "b_mag",
    "r_mag": "r_mag",
    "W_skip": "w_skip",
}
"""SAELens's names and ours."""

TRANSCODERS = {
    "transcoder": "standard",
    "skip_transcoder": "standard",
    "jumprelu_transcoder": "jumprelu",
    "jumprelu_skip_transcoder": "jumprelu",
}
"""SAELens's transcoders and the architecture of their encoders."""

ALIASES = {"matryoshka_batchtopk": "batchtopk"}
"""Names that differ in training only."""


def read(folder: Path) -> tuple[SAEConfig, Weights]:
    """The configuration and weights in ``folder``.

    Raises
    ------
    SAEError
        When a file is missing or damaged, or the SAE uses what cannot be computed here.
    """
    config_path, weights_path = require(folder, CONFIG, WEIGHTS)
    cfg = read_json(config_path)
    tensors = read_safetensors(weights_path)
    _refuse_scaling(tensors, weights_path)
    weights = gather({TENSORS.get(name, name): t for name, t in tensors.items()}, Place(folder))
    flat = not section(cfg, "metadata")
    facts = _flat_facts(cfg) if flat else {**cfg, **section(cfg, "metadata")}
    _refuse_head(facts, config_path)
    return _config(facts, folder, weights), weights


def _flat_facts(cfg: dict[str, object]) -> dict[str, object]:
    """A file from before version 6 in the words of version 6."""
    facts = dict(cfg)
    facts["hook_name"] = text(cfg, "hook_name", "hook_point")
    facts.setdefault("hook_head_index", cfg.get("hook_point_head_index"))
    facts.setdefault("prepend_bos", True)
    if cfg.get("reshape_activations") is None and "hook_z" in (text(facts, "hook_name") or ""):
        facts["reshape_activations"] = "hook_z"
    if isinstance(normalize := cfg.get("normalize_activations"), bool):
        facts["normalize_activations"] = "expected_average_only_in" if normalize else "none"
    activation = text(cfg, "activation_fn", "activation_fn_str") or "relu"
    if activation == "topk":
        facts["architecture"] = "topk"
        facts["k"] = section(cfg, "activation_fn_kwargs").get("k", cfg.get("k"))
    elif activation != "relu":
        raise SAEError(f"activation_fn {activation!r} cannot be computed. Allowed: relu, topk.")
    return facts


def _config(facts: dict[str, object], folder: Path, weights: Weights) -> SAEConfig:
    path = folder / CONFIG
    named = text(facts, "architecture") or "standard"
    transcoder = named in TRANSCODERS
    d_in = count(facts, "d_in", path)
    architecture = TRANSCODERS.get(named, ALIASES.get(named, named))
    kwargs = section(facts, "model_from_pretrained_kwargs")
    hook = text(facts, "hook_name", "hf_hook_name")
    return SAEConfig(
        architecture=architecture,
        d_in=d_in,
        d_sae=count(facts, "d_sae", path),
        d_out=count(facts, "d_out", path) if facts.get("d_out") is not None else d_in,
        k=count(facts, "k", path) if architecture == "topk" else None,
        hook=hook,
        hook_out=text(facts, "hook_name_out", "hf_hook_name_out"),
        transcoder=transcoder,
        model_name=text(facts, "model_name"),
        prepend_bos=flag(facts, "prepend_bos", True) if "prepend_bos" in facts else None,
        apply_b_dec_to_input=flag(facts, "apply_b_dec_to_input", not transcoder),
        normalize_activations=text(facts, "normalize_activations") or "none",
        rescale_acts_by_decoder_norm=flag(facts, "rescale_acts_by_decoder_norm", False),
        reshape_activations=text(facts, "reshape_activations") or "none",
        centre_activations=flag(kwargs, "center_writing_weights", False) and _is_written(hook),
        dtype=dtype_name(weights.w_enc),
        format="saelens",
        path=folder,
    )


def _is_written(hook: str | None) -> bool:
    """Whether TransformerLens's centring reaches this place: what is written to the residual."""
    return hook is None or not hook.endswith(("hook_z", "hook_post", "hook_normalized"))


def _refuse_scaling(tensors: dict[str, Tensor], path: Path) -> None:
    for name in ("scaling_factor", "finetuning_scaling_factor"):
        factor = tensors.get(name)
        if factor is not None and not bool((factor == 1).all()):
            raise SAEError(
                f"the SAE holds a fine-tuned {name!r}, which cannot be computed here: "
                "multiply W_dec by it and save the SAE without it.",
                Place(file=path),
            )


def _refuse_head(facts: dict[str, object], path: Path) -> None:
    head = facts.get("hook_head_index")
    if head is not None:
        raise SAEError(
            f"the SAE reads attention head {head} alone; only SAEs of all heads together can be "
            "hooked: choose one without hook_head_index.",
            Place(file=path, field="hook_head_index"),
        )
