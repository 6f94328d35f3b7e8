"""Where in a Hugging Face model a named activation is: strings in, strings out.

SAEs name the place they read in TransformerLens's words (``blocks.8.hook_resid_post``). Here
those words become a module of the plain Hugging Face model and a side of it. A Hugging Face
module path is taken as it is. What each family calls them is in ``families.py``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from causal_sae.errors import Place, SAEError, did_you_mean
from causal_sae.execution.families import FAMILIES, Side

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
    block_index: int | None = None
    """Which element of a block's output is the residual stream; None when blocks return it as it
    is."""
    flat: bool = False
    """Whether rows and positions are one axis there: ``[R * S, d]`` instead of ``[R, S, d]``."""


def resolve(hook: str, model_type: str) -> HookPoint:
    """The module and side that ``hook`` names in a model of ``model_type``.

    Parameters
    ----------
    hook:
        A TransformerLens name (``blocks.8.hook_resid_post``, ``blocks.3.attn.hook_z``), or the
        path of a module with the block's number in it: whole (``model.layers.8.mlp``) or from the
        list of blocks on (``layers.8.mlp``), with ``.input`` or ``.output`` (the default) after it.
    model_type:
        The family of the model, as :func:`~causal_sae.execution.families.family_of` tells it.

    Raises
    ------
    SAEError
        When the family or the name is unknown, or the family has no such place.
    """
    named = re.fullmatch(r"blocks\.(\d+)\.(.+)", hook)
    if model_type not in FAMILIES:
        if named is None:
            return _module_path(hook, model_type)
        raise SAEError(
            f"hook names of the model type {model_type!r} are not known; name a Hugging Face "
            f"module path instead. {did_you_mean(model_type, FAMILIES)}",
            FIELD,
        )
    if named is None:
        return _module_path(hook, model_type)
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
    bypass = block if at.bypass else None
    return HookPoint(module, at.side, at.index, layer, site, bypass, family.block_index, at.flat)


def _module_path(hook: str, model_type: str) -> HookPoint:
    """A module path as it is, completed and matched with the family's sites where it is known."""
    family = FAMILIES.get(model_type)
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
            return _site(site, number, model_type)
    index = 0 if inside == family.attention and side == "output" else None
    return HookPoint(path, side, index, number, "module", None, family.block_index)


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
