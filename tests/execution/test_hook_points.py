"""The hook table against real models: tiny, built from a configuration, watched by plain hooks."""

from __future__ import annotations

import functools

import pytest
import torch
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, AutoModelForImageTextToText
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from causal_sae.errors import SAEError
from causal_sae.execution.families import FAMILIES, family_of
from causal_sae.execution.hook_points import HookPoint, resolve

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


OPT = {
    "hidden_size": HIDDEN,
    "word_embed_proj_dim": HIDDEN,
    "ffn_dim": 48,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": HEADS,
    "vocab_size": 60,
    "max_position_embeddings": 64,
    "bos_token_id": 0,
    "eos_token_id": 1,
}
BASE = {key: SMALL[key] for key in ("hidden_size", "num_hidden_layers", "num_attention_heads")}
ENDS = {"vocab_size": 60, "bos_token_id": 0, "eos_token_id": 1}
WIDE = ("n_embd", "n_layer", "n_head", "n_positions")
OWN = {
    "gpt2": dict(zip(WIDE, (HIDDEN, LAYERS, HEADS, 64), strict=True)) | ENDS,
    "gptj": dict(zip(WIDE, (HIDDEN, LAYERS, HEADS, 64), strict=True)) | ENDS | {"rotary_dim": 4},
    "gpt_neo": {
        "hidden_size": HIDDEN,
        "num_layers": LAYERS,
        "num_heads": HEADS,
        "attention_types": [[["global", "local", "global"], 1]],
        "window_size": 3,
        "max_position_embeddings": 64,
    }
    | ENDS,
    "opt": OPT,
    "opt_post_norm": OPT | {"do_layer_norm_before": False},
    "bloom": {"hidden_size": HIDDEN, "n_layer": LAYERS, "n_head": HEADS} | ENDS,
    "falcon": BASE | ENDS,
    "falcon_sequential": BASE | ENDS | {"parallel_attn": False, "alibi": True},
    "gpt_neox_sequential": SMALL | {"use_parallel_residual": False},
    "phi": {key: value for key, value in SMALL.items() if key != "head_dim"} | ENDS,
    "phi3": SMALL | ENDS | {"pad_token_id": 0},
    "olmo": SMALL | ENDS,
    "cohere": SMALL | ENDS,
    "smollm3": SMALL | ENDS | {"pad_token_id": 0},
    "mixtral": SMALL | {"num_local_experts": 4},
    "qwen3_moe": SMALL | {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 8},
}
"""Configurations that differ from :data:`SMALL`."""
VARIANT = {"opt_post_norm": "opt", "falcon_sequential": "falcon", "gpt_neox_sequential": "gpt_neox"}


@functools.cache
def small_model(model_type: str) -> nn.Module:
    torch.manual_seed(0)
    if model_type == "gemma3":
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
        own = OWN.get(model_type, SMALL)
        config = CONFIG_MAPPING[VARIANT.get(model_type, model_type)](**own)
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
        # A copy, as Falcon's blocks go on to write into what their MLP gave them.
        seen.append((result if point.index is None else result[point.index]).clone())

    return module.register_forward_hook(output)


TOKENS = torch.tensor([[3, 8, 21, 40, 7], [11, 2, 5, 9, 33]])


def read(model_type: str, hook: str) -> Tensor:
    model, seen = small_model(model_type), []
    handle = watch(model, resolve(hook, model_type), seen)
    with torch.no_grad():
        model(input_ids=TOKENS)
    handle.remove()
    assert len(seen) == 1
    assert seen[0].ndim == (2 if resolve(hook, model_type).flat else 3)
    return seen[0].reshape(*TOKENS.shape, -1)


def close(a: Tensor, b: Tensor) -> None:
    torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5)


EVERY = sorted(FAMILIES)
UNLIKE = ("gpt_neox", "gpt_neox_sequential")
"""Families whose heads are always the width divided by their number."""
NORMED = ("gemma2", "gemma3", "gemma3_text", "olmo2", "olmo3")
PARALLEL = ["gpt_neox", "gptj", "falcon", "phi", "cohere"]
SERIAL = [name for name in EVERY if name not in (*PARALLEL, "opt_post_norm")]


@pytest.mark.parametrize("model_type", EVERY)
def test_a_family_is_told_by_its_configuration(model_type):
    assert family_of(small_model(model_type).config) == model_type


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


@pytest.mark.parametrize("model_type", PARALLEL)
def test_the_parallel_block_adds_both_at_once(model_type):
    pre, post, attention, mlp = (
        read(model_type, f"blocks.1.hook_{site}")
        for site in ("resid_pre", "resid_post", "attn_out", "mlp_out")
    )
    close(post, pre + attention + mlp)


@pytest.mark.parametrize("model_type", EVERY)
def test_z_is_the_heads_side_by_side_before_the_projection(model_type):
    z = read(model_type, "blocks.1.attn.hook_z")
    own = "head_dim" in OWN.get(model_type, SMALL) and model_type not in UNLIKE
    width = HEADS * HEAD_DIM if own else HIDDEN
    assert z.shape == (2, 5, width)
    projection = small_model(model_type).get_submodule(
        resolve("blocks.1.attn.hook_z", model_type).module
    )
    added = read(model_type, "blocks.1.hook_attn_out")
    with torch.no_grad():
        if model_type in NORMED:
            block = small_model(model_type).get_submodule(f"{FAMILIES[model_type].blocks}.1")
            close(block.post_attention_layernorm(projection(z)), added)
        else:
            close(projection(z), added)


def edited_output(model_type: str, hook: str, change: Tensor) -> Tensor:
    """The block's output when ``change`` is added at ``hook``, at its bypass too."""
    model, point = small_model(model_type), resolve(hook, model_type)
    handles = []

    here = change.flatten(0, 1) if point.flat else change

    def add(result, index, what):
        if index is None:
            return result + what
        return tuple(r + what if i == index else r for i, r in enumerate(result))

    def add_in(_, args, kwargs):
        if args:
            return (args[0] + here, *args[1:]), kwargs
        return args, kwargs | {"hidden_states": kwargs["hidden_states"] + here}

    module = model.get_submodule(point.module)
    if point.side == "input":
        handles.append(module.register_forward_pre_hook(add_in, with_kwargs=True))
    else:
        handles.append(module.register_forward_hook(lambda _, a, r: add(r, point.index, here)))
    if point.bypass:
        bypass = model.get_submodule(point.bypass)
        handles.append(
            bypass.register_forward_hook(lambda _, a, r: add(r, point.block_index, change))
        )
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


@pytest.mark.parametrize("model_type", PARALLEL)
def test_the_parallel_block_has_no_point_between_attention_and_mlp(model_type):
    with pytest.raises(SAEError, match=r"side by side.*hook_resid_pre or hook_resid_post"):
        resolve("blocks.1.hook_resid_mid", model_type)


def test_a_stream_that_is_normalised_itself_has_none_either():
    with pytest.raises(SAEError, match="normalises the residual stream itself"):
        resolve("blocks.1.hook_resid_mid", "opt_post_norm")


def test_names_become_module_paths():
    assert resolve("blocks.15.hook_resid_post", "llama") == HookPoint(
        "model.layers.15", "output", None, 15, "resid_post"
    )
    assert resolve("blocks.3.attn.hook_z", "gpt2") == HookPoint(
        "transformer.h.3.attn.c_proj", "input", None, 3, "z"
    )
    assert resolve("blocks.3.hook_attn_out", "gpt_neox").index == 0
    assert resolve("blocks.3.hook_resid_mid", "gemma2").bypass == "model.layers.3"
    assert resolve("model.layers.3.mlp.input", "olmo2").bypass == "model.layers.3"
    assert resolve("transformer.h.3", "falcon").index == 0
    assert resolve("layers.3.fc2", "opt_post_norm").flat


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
