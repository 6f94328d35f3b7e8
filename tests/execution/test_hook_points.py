"""The hook table against real models: tiny, built from a configuration, watched by plain hooks."""

from __future__ import annotations

import functools

import pytest
import torch
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, AutoModelForImageTextToText
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from causal_sae.errors import SAEError
from causal_sae.execution.hook_points import FAMILIES, HookPoint, resolve

LAYERS, HIDDEN, HEADS, HEAD_DIM = 3, 32, 4, 12

SMALL = {
    "hidden_size": HIDDEN,
    "intermediate_size": 48,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": HEADS,
    "num_key_value_heads": 2,
    "head_dim": HEAD_DIM,
    "vocab_size": 60,
    "max_position_embeddings": 64,
}


@functools.cache
def small_model(model_type: str) -> nn.Module:
    torch.manual_seed(0)
    if model_type == "gpt2":
        own = {"n_embd": HIDDEN, "n_layer": LAYERS, "n_head": HEADS, "vocab_size": 60}
        config = CONFIG_MAPPING["gpt2"](n_positions=64, **own)
    elif model_type == "gemma3":
        text = dict(SMALL, sliding_window=16)
        vision = {
            "hidden_size": 16,
            "intermediate_size": 16,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "image_size": 28,
            "patch_size": 14,
        }
        config = CONFIG_MAPPING["gemma3"](text_config=text, vision_config=vision)
    else:
        config = CONFIG_MAPPING[model_type](**SMALL)
    kind = AutoModelForImageTextToText if model_type == "gemma3" else AutoModelForCausalLM
    model = kind.from_config(config)
    # A fresh norm hardly changes its input: random ones tell the place before from the one after.
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.3)
    return model.eval()


def watch(
    model: nn.Module, point: HookPoint, seen: list[Tensor]
) -> torch.utils.hooks.RemovableHandle:
    module = model.get_submodule(point.module)
    if point.side == "input":
        return module.register_forward_pre_hook(
            lambda _, args, kwargs: seen.append(args[0] if args else kwargs["hidden_states"]),
            with_kwargs=True,
        )

    def output(_: nn.Module, args: object, result: Tensor | tuple[Tensor, ...]) -> None:
        assert isinstance(result, tuple) == (point.index is not None)
        seen.append(result if point.index is None else result[point.index])

    return module.register_forward_hook(output)


TOKENS = torch.tensor([[3, 8, 21, 40, 7], [11, 2, 5, 9, 33]])


def read(model_type: str, hook: str) -> Tensor:
    model, seen = small_model(model_type), []
    handle = watch(model, resolve(hook, model_type), seen)
    with torch.no_grad():
        model(input_ids=TOKENS)
    handle.remove()
    assert len(seen) == 1
    return seen[0]


def close(a: Tensor, b: Tensor) -> None:
    torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5)


EVERY = sorted(FAMILIES)
SERIAL = [name for name in EVERY if name != "gpt_neox"]


@pytest.mark.parametrize("model_type", EVERY)
def test_the_residual_leaves_one_block_and_enters_the_next(model_type):
    post, pre = (
        read(model_type, "blocks.1.hook_resid_post"),
        read(model_type, "blocks.2.hook_resid_pre"),
    )
    assert post.shape == (2, 5, HIDDEN)
    close(post, pre)


@pytest.mark.parametrize("model_type", SERIAL)
def test_attention_adds_to_the_residual_and_then_the_mlp(model_type):
    pre, mid, post, attention, mlp = (
        read(model_type, f"blocks.1.hook_{site}")
        for site in ("resid_pre", "resid_mid", "resid_post", "attn_out", "mlp_out")
    )
    close(mid, pre + attention)
    close(post, mid + mlp)
    assert not torch.allclose(mid, post)


def test_the_parallel_block_adds_both_at_once():
    pre, post, attention, mlp = (
        read("gpt_neox", f"blocks.1.hook_{site}")
        for site in ("resid_pre", "resid_post", "attn_out", "mlp_out")
    )
    close(post, pre + attention + mlp)


@pytest.mark.parametrize("model_type", EVERY)
def test_z_is_the_heads_side_by_side_before_the_projection(model_type):
    z = read(model_type, "blocks.1.attn.hook_z")
    width = HIDDEN if model_type in ("gpt2", "gpt_neox") else HEADS * HEAD_DIM
    assert z.shape == (2, 5, width)
    projection = small_model(model_type).get_submodule(
        resolve("blocks.1.attn.hook_z", model_type).module
    )
    family = FAMILIES[model_type]
    with torch.no_grad():
        close(projection(z), read(model_type, f"{family.blocks}.1.{family.attention}"))


def edited_output(model_type: str, hook: str, change: Tensor) -> Tensor:
    """The block's output when ``change`` is added at ``hook``, at its bypass too."""
    model, point = small_model(model_type), resolve(hook, model_type)
    handles = []

    def add(result):
        if point.index is None:
            return result + change
        return tuple(r + change if i == point.index else r for i, r in enumerate(result))

    def add_in(_, args, kwargs):
        if args:
            return (args[0] + change, *args[1:]), kwargs
        return args, kwargs | {"hidden_states": kwargs["hidden_states"] + change}

    module = model.get_submodule(point.module)
    if point.side == "input":
        handles.append(module.register_forward_pre_hook(add_in, with_kwargs=True))
    else:
        handles.append(module.register_forward_hook(lambda _, a, r: add(r)))
    if point.bypass:
        bypass = model.get_submodule(point.bypass)
        handles.append(bypass.register_forward_hook(lambda _, a, r: r + change))
    with torch.no_grad():
        result = model(input_ids=TOKENS).logits
    for handle in handles:
        handle.remove()
    return result


@pytest.mark.parametrize("model_type", SERIAL)
def test_an_edit_between_attention_and_mlp_reaches_both_paths(model_type):
    # A change of what attention adds IS a change of the residual after it.
    change = torch.linspace(-1, 1, HIDDEN).expand(2, 5, HIDDEN)
    mid = edited_output(model_type, "blocks.1.hook_resid_mid", change)
    close(mid, edited_output(model_type, "blocks.1.hook_attn_out", change))


@pytest.mark.parametrize("model_type", EVERY)
def test_an_edit_of_one_blocks_output_is_an_edit_of_the_nexts_input(model_type):
    change = torch.linspace(-1, 1, HIDDEN).expand(2, 5, HIDDEN)
    post = edited_output(model_type, "blocks.0.hook_resid_post", change)
    close(post, edited_output(model_type, "blocks.1.hook_resid_pre", change))
    with torch.no_grad():
        assert not torch.allclose(post, small_model(model_type)(input_ids=TOKENS).logits)


def test_the_parallel_block_has_no_point_between_attention_and_mlp():
    with pytest.raises(SAEError, match=r"side by side.*hook_resid_pre or hook_resid_post"):
        resolve("blocks.1.hook_resid_mid", "gpt_neox")


def test_names_become_module_paths():
    assert resolve("blocks.15.hook_resid_post", "llama") == HookPoint(
        "model.layers.15", "output", None, 15, "resid_post"
    )
    assert resolve("blocks.3.attn.hook_z", "gpt2") == HookPoint(
        "transformer.h.3.attn.c_proj", "input", None, 3, "z"
    )
    assert resolve("blocks.3.hook_attn_out", "gpt_neox").index == 0
    assert resolve("blocks.3.hook_resid_mid", "gemma2").bypass == "model.layers.3"


@pytest.mark.parametrize(
    ("hook", "model_type", "module", "side", "site"),
    [
        ("model.layers.8", "llama", "model.layers.8", "output", "resid_post"),
        ("model.layers.8.output", "gemma3_text", "model.layers.8", "output", "resid_post"),
        ("model.layers.8.mlp", "gemma2", "model.layers.8.mlp", "output", "module"),
        ("layers.8.mlp", "qwen3", "model.layers.8.mlp", "output", "mlp_out"),
        ("h.8", "gpt2", "transformer.h.8", "output", "resid_post"),
        ("model.layers.8.output", "gemma3",
         "model.language_model.layers.8", "output", "resid_post"),
        ("model.layers.8.self_attn.o_proj.input", "gemma3_text",
         "model.layers.8.self_attn.o_proj", "input", "z"),
        ("decoder.layers.8.fc2", "unheard_of", "decoder.layers.8.fc2", "output", "module"),
    ],
)  # fmt: skip
def test_a_module_path_is_taken_as_it_is(hook, model_type, module, side, site):
    point = resolve(hook, model_type)
    assert (point.module, point.side, point.layer, point.site) == (module, side, 8, site)


def test_an_attention_module_named_by_its_path_returns_a_tuple():
    assert resolve("model.layers.2.self_attn", "gemma2").index == 0
    assert resolve("model.layers.2.self_attn", "llama").index == 0


@pytest.mark.parametrize(
    ("hook", "model_type", "sentence"),
    [
        ("blocks.1.hook_resid_pots", "llama", "did you mean 'hook_resid_post'"),
        ("blocks.1.hook_resid_post", "lama", "did you mean 'llama'"),
        ("hook_embed", "gpt2", "no block number"),
    ],
)
def test_a_name_without_a_place_is_refused(hook, model_type, sentence):
    with pytest.raises(SAEError, match=sentence):
        resolve(hook, model_type)
