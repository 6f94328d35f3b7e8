"""Where in a Hugging Face model a named activation is: strings in, strings out.

SAEs name the place they read in TransformerLens's words (``blocks.8.hook_resid_post``). Here
those words become a module of the plain Hugging Face model and a side of it. A Hugging Face
module path is taken as it is. Checked on transformers 5 by forward hooks on small models of every
family (tests/execution/test_hook_points.py).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from causal_sae.errors import Place, SAEError, did_you_mean

Side = Literal["input", "output"]

SITES: dict[str, str] = {
    "hook_resid_pre": "resid_pre",
    "hook_resid_mid": "resid_mid",
    "hook_resid_post": "resid_post",
    "hook_mlp_out": "mlp_out",
    "hook_attn_out": "attn_out",
    "attn.hook_z": "z",
}
"""TransformerLens's names within a block, and ours."""

FIELD = Place(field="sae.hook")


@dataclass(frozen=True)
class HookPoint:
    """A place in a model where an activation can be read and edited."""

    module: str
    """The module's path in the Hugging Face model, such as ``model.layers.8``."""
    side: Side
    """Whether the activation is what goes into the module or what comes out."""
    index: int | None
    """Which element when the module returns a tuple; None when it is a plain tensor."""
    layer: int
    """The block, from 0."""
    site: str
    """A value of :data:`SITES`, or ``module`` for a module path that is none of them."""
    bypass: str | None = None
    """The module whose output must get the same change when this activation is edited: the
    residual stream runs past the module that is read, and joins again there. None when replacing
    the activation is the whole edit. (Reading needs no bypass.)"""


@dataclass(frozen=True)
class At:
    """One site of a family: the module inside the block, and its side."""

    module: str
    side: Side = "output"
    index: int | None = None
    bypass: bool = False


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


def _sites(attention: str, projection: str, mid: str | None) -> dict[str, At]:
    """The sites of a block that adds attention's and the MLP's outputs to the residual as they are.

    Parameters
    ----------
    attention, projection:
        The attention module, and its output projection whose input is the heads' outputs.
    mid:
        The norm before the MLP, whose input is the residual between attention and MLP.
    """
    sites = {
        "resid_pre": At("", "input"),
        "resid_post": At(""),
        "mlp_out": At("mlp"),
        "attn_out": At(attention, index=0),
        "z": At(f"{attention}.{projection}", "input"),
    }
    return sites | ({"resid_mid": At(mid, "input", bypass=True)} if mid else {})


def _llama(blocks: str = "model.layers") -> Family:
    return Family(blocks, "self_attn", _sites("self_attn", "o_proj", "post_attention_layernorm"))


def _gemma_2(blocks: str = "model.layers") -> Family:
    """Gemma 2 and 3 normalise attention's and the MLP's outputs before adding them."""
    normed = {
        "attn_out": At("post_attention_layernorm"),
        "mlp_out": At("post_feedforward_layernorm"),
    }
    sites = _sites("self_attn", "o_proj", "pre_feedforward_layernorm") | normed
    return Family(blocks, "self_attn", sites)


FAMILIES: dict[str, Family] = {
    "gpt2": Family("transformer.h", "attn", _sites("attn", "c_proj", "ln_2")),
    "llama": _llama(),
    "mistral": _llama(),
    "qwen2": _llama(),
    "qwen3": _llama(),
    "gemma": _llama(),
    "gemma2": _gemma_2(),
    "gemma3_text": _gemma_2(),
    "gemma3": _gemma_2("model.language_model.layers"),
    "gpt_neox": Family(
        "gpt_neox.layers",
        "attention",
        _sites("attention", "dense", None),
        absent={
            "resid_mid": "its attention and MLP run side by side, so the residual stream has no "
            "point between them; use hook_resid_pre or hook_resid_post"
        },
    ),
}
"""The model types (``config.model_type``) whose hook points are known."""


def resolve(hook: str, model_type: str) -> HookPoint:
    """The module and side that ``hook`` names in a model of ``model_type``.

    Parameters
    ----------
    hook:
        A TransformerLens name (``blocks.8.hook_resid_post``, ``blocks.3.attn.hook_z``), or the
        path of a module with the block's number in it: whole (``model.layers.8.mlp``) or from the
        list of blocks on (``layers.8.mlp``), with ``.input`` or ``.output`` (the default) after it.
    model_type:
        ``config.model_type`` of the Hugging Face model.

    Raises
    ------
    SAEError
        When the family or the name is unknown, or the family has no such place.
    """
    named = re.fullmatch(r"blocks\.(\d+)\.(.+)", hook)
    if model_type not in FAMILIES:
        if named is None:
            return _module_path(hook, None)
        raise SAEError(
            f"hook names of the model type {model_type!r} are not known; name a Hugging Face "
            f"module path instead. {did_you_mean(model_type, FAMILIES)}",
            FIELD,
        )
    family = FAMILIES[model_type]
    if named is None:
        return _module_path(hook, family)
    if named[2] not in SITES:
        raise SAEError(
            f"the hook {hook!r} is not a place that can be read; "
            f"{did_you_mean(named[2], SITES)} A Hugging Face module path may be given instead.",
            FIELD,
        )
    return _site(SITES[named[2]], int(named[1]), model_type)


def _site(site: str, layer: int, model_type: str) -> HookPoint:
    family = FAMILIES[model_type]
    if site in family.absent:
        raise SAEError(f"{model_type} has no {site}: {family.absent[site]}.", FIELD)
    at = family.sites[site]
    block = f"{family.blocks}.{layer}"
    module = f"{block}.{at.module}" if at.module else block
    return HookPoint(module, at.side, at.index, layer, site, block if at.bypass else None)


def _module_path(hook: str, family: Family | None) -> HookPoint:
    """A module path as it is, completed and matched with the family's sites where it is known."""
    path, side = _split_side(hook)
    if family is not None:
        path = _complete(path, family.blocks)
    layer = re.search(r"(?:^|\.)(\d+)(?:\.|$)", path)
    if layer is None:
        raise SAEError(
            f"the hook {hook!r} must name a place in one of the model's blocks, such as "
            "blocks.8.hook_resid_post or model.layers.8.mlp; no block number was found.",
            FIELD,
        )
    number = int(layer[1])
    if family is None:
        return HookPoint(path, side, None, number, "module")
    inside = path.removeprefix(f"{family.blocks}.{number}").removeprefix(".")
    for site, at in family.sites.items():
        if (at.module, at.side) == (inside, side):
            bypass = f"{family.blocks}.{number}" if at.bypass else None
            return HookPoint(path, side, at.index, number, site, bypass)
    index = 0 if inside == family.attention and side == "output" else None
    return HookPoint(path, side, index, number, "module")


def _split_side(hook: str) -> tuple[str, Side]:
    if hook.endswith(".input"):
        return hook.removesuffix(".input"), "input"
    return hook.removesuffix(".output"), "output"


def _complete(path: str, blocks: str) -> str:
    """``path`` from the model's root: files may start at the list of blocks, or at the text model.

    ``model.layers.8`` names a block of the text model also where that sits inside a larger one
    (``model.language_model.layers.8``).
    """
    last = blocks.rsplit(".", 1)[1]
    if path.startswith(f"{blocks}."):
        return path
    for short in (f"{last}.", f"model.{last}."):
        if path.startswith(short):
            return f"{blocks}.{path.removeprefix(short)}"
    return path
