"""How each family of Hugging Face models names its blocks, and what is where inside them.

Checked on transformers 5 by forward hooks on small models of every family
(tests/execution/test_hook_points.py).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

Side = Literal["input", "output"]


@dataclass(frozen=True)
class At:
    """One site of a family: the module inside the block, and its side."""

    module: str
    side: Side = "output"
    index: int | None = None
    """Which element when the module returns a tuple."""
    bypass: bool = False
    """Whether the residual stream runs past the module and joins again at the block's end."""
    flat: bool = False
    """Whether rows and positions are one axis there."""


@dataclass(frozen=True)
class Family:
    """How one family of models names its blocks and what is in them."""

    blocks: str
    """The path of the list of blocks."""
    attention: str
    """The attention module inside a block: it returns a tuple."""
    sites: Mapping[str, At]
    """Where each site is."""
    absent: Mapping[str, str] = field(default_factory=dict)
    """Sites that the family does not have, and why."""
    variant: str = ""
    """What the configuration says where this is not the usual form of its model type."""

    @property
    def block_index(self) -> int | None:
        """Which element of a block's output is the residual stream; None: it is no tuple."""
        return self.sites["resid_post"].index


PARALLEL = {
    "resid_mid": "its attention and MLP run side by side, so the residual stream has no "
    "point between them; use hook_resid_pre or hook_resid_post"
}
POST_NORM = {
    "resid_mid": "it normalises the residual stream itself after attention, so that no point is "
    "only attention added; use hook_resid_pre or hook_resid_post"
}


def _sites(
    attention: str, projection: str, mid: str | None, block: int | None = None
) -> dict[str, At]:
    """The sites of a block that adds attention's and the MLP's outputs to the residual as they are.

    Parameters
    ----------
    attention, projection:
        The attention module, and its output projection whose input is the heads' outputs.
    mid:
        The norm before the MLP, whose input is the residual between attention and MLP.
    block:
        Which element of the block's output is the residual stream, where it returns a tuple.
    """
    sites = {
        "resid_pre": At("", "input"),
        "resid_post": At("", index=block),
        "mlp_out": At("mlp"),
        "attn_out": At(attention, index=0),
        "z": At(f"{attention}.{projection}", "input"),
    }
    return sites | ({"resid_mid": At(mid, "input", bypass=True)} if mid else {})


def _llama(blocks: str = "model.layers") -> Family:
    return Family(blocks, "self_attn", _sites("self_attn", "o_proj", "post_attention_layernorm"))


def _normed_outputs(mid: str, blocks: str = "model.layers") -> Family:
    """Families that normalise attention's and the MLP's outputs before adding them.

    ``mid`` is the first module that reads the residual stream after attention was added.
    """
    normed = {
        "attn_out": At("post_attention_layernorm"),
        "mlp_out": At("post_feedforward_layernorm"),
    }
    return Family(blocks, "self_attn", _sites("self_attn", "o_proj", mid) | normed)


def _gemma_2(blocks: str = "model.layers") -> Family:
    return _normed_outputs("pre_feedforward_layernorm", blocks)


def _side_by_side(blocks: str, attention: str, projection: str, block: int | None = None) -> Family:
    """Families whose attention and MLP both read the block's input."""
    return Family(blocks, attention, _sites(attention, projection, None, block), PARALLEL)


def _bloom() -> Family:
    """Attention and MLP are given the residual stream and return it with their own part added."""
    own = {
        "attn_out": At("self_attention.dense"),
        "mlp_out": At("mlp.dense_4h_to_h"),
        "resid_mid": At("self_attention", index=0),
    }
    sites = _sites("self_attention", "dense", None, block=0) | own
    return Family("transformer.h", "self_attention", sites)


def _opt() -> Family:
    """The MLP is two layers of the block itself, which see rows and positions as one axis."""
    own = {
        "mlp_out": At("fc2", flat=True),
        "resid_mid": At("final_layer_norm", "input", bypass=True, flat=True),
    }
    return Family("model.decoder.layers", "self_attn", _sites("self_attn", "out_proj", None) | own)


def _falcon_sequential() -> Family:
    sites = _sites("self_attention", "dense", "post_attention_layernorm", block=0)
    return Family("transformer.h", "self_attention", sites, variant="parallel_attn: false")


def _neox_sequential() -> Family:
    sites = _sites("attention", "dense", "post_attention_layernorm")
    return Family("gpt_neox.layers", "attention", sites, variant="use_parallel_residual: false")


def _opt_post_norm() -> Family:
    opt = _opt()
    sites = {name: at for name, at in opt.sites.items() if name != "resid_mid"}
    return replace(opt, sites=sites, absent=POST_NORM, variant="do_layer_norm_before: false")


FAMILIES: dict[str, Family] = {
    "gpt2": Family("transformer.h", "attn", _sites("attn", "c_proj", "ln_2")),
    "gpt_neo": Family("transformer.h", "attn", _sites("attn", "attention.out_proj", "ln_2", 0)),
    "gptj": _side_by_side("transformer.h", "attn", "out_proj"),
    "gpt_neox": _side_by_side("gpt_neox.layers", "attention", "dense"),
    "gpt_neox_sequential": _neox_sequential(),
    "opt": _opt(),
    "opt_post_norm": _opt_post_norm(),
    "bloom": _bloom(),
    "falcon": _side_by_side("transformer.h", "self_attention", "dense", block=0),
    "falcon_sequential": _falcon_sequential(),
    "llama": _llama(),
    "mistral": _llama(),
    "mixtral": _llama(),
    "smollm3": _llama(),
    "qwen2": _llama(),
    "qwen3": _llama(),
    "qwen3_moe": _llama(),
    "phi": _side_by_side("model.layers", "self_attn", "dense"),
    "phi3": _llama(),
    "olmo": _llama(),
    "olmo2": _normed_outputs("mlp"),
    "olmo3": _normed_outputs("mlp"),
    "cohere": _side_by_side("model.layers", "self_attn", "o_proj"),
    "gemma": _llama(),
    "gemma2": _gemma_2(),
    "gemma3_text": _gemma_2(),
    "gemma3": _gemma_2("model.language_model.layers"),
}
"""The model types (``config.model_type``) whose hook points are known, and their variants."""

VARIANTS: Mapping[str, tuple[str, Callable[[Any], bool]]] = {
    "gpt_neox": ("gpt_neox_sequential", lambda config: not config.use_parallel_residual),
    "falcon": (
        "falcon_sequential",
        lambda config: not (config.new_decoder_architecture or config.parallel_attn),
    ),
    "opt": ("opt_post_norm", lambda config: not config.do_layer_norm_before),
}
"""Model types of which the configuration makes two: the other's name, and when it is that one."""


def family_of(config: Any) -> str:
    """The family of a model, by its configuration in transformers; unknown types as they are."""
    name = str(config.model_type)
    if name not in VARIANTS:
        return name
    variant, applies = VARIANTS[name]
    return variant if applies(config) else name
