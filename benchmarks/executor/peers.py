"""The same rows by other libraries, where they are installed: what each documents as its way.

They are not of this project's environment; ``python -m benchmarks.executor`` takes up those that it
finds. (nnterp 1.3, the newest, does not start with nnsight 0.8.) TransformerLens knows models by a
list of names: one that is not on it is given its configuration and the network's own weights, which
is checked to give the same log-probabilities.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor

from benchmarks.executor.case import DOSE, Case

_made: dict[tuple[str, int], Any] = {}


def transformer_lens(case: Case) -> Tensor:
    """TransformerLens, a hook and all arms in one batch; it computes all tokens' logits."""
    model = _once("transformer_lens", case, _hooked)
    ids = case.ids.repeat_interleave(1 + case.arms, 0)

    def edit(value: Tensor, hook: object) -> Tensor:  # noqa: ARG001 - the library's own names
        return case.clamp(value, case.row_features)

    with torch.no_grad():
        logits = model.run_with_hooks(ids, fwd_hooks=[(case.hook, edit)], prepend_bos=False)
    return logits[:, -1]  # type: ignore[no-any-return]


def sae_lens(case: Case) -> Tensor:
    """SAELens, the SAE put into the model with its error term, its features' activations set."""
    model = _once("sae_lens", case, _hooked_with_sae)
    sae = _once(f"sae at {case.layer}", case, _sae_of)
    ids = case.ids.repeat_interleave(1 + case.arms, 0)
    rows = [row for row, feature in enumerate(case.row_features) if feature is not None]
    chosen = [feature for feature in case.row_features if feature is not None]
    places = case.edited.nonzero()[:, 0]

    def edit(value: Tensor, hook: object) -> Tensor:  # noqa: ARG001 - the library's own names
        new = value.clone()
        index = torch.tensor(rows)[:, None], places[None], torch.tensor(chosen)[:, None]
        new[index] = DOSE
        return new

    with torch.no_grad():
        hooks = [(f"{case.hook}.hook_sae_acts_post", edit)]
        logits = model.run_with_hooks_with_saes(ids, saes=[sae], fwd_hooks=hooks, prepend_bos=False)
    return logits[:, -1]  # type: ignore[no-any-return]


def pyvene(case: Case) -> Tensor:
    """pyvene, a function as the intervention on a block's output, all arms in one batch."""
    import pyvene as library  # noqa: PLC0415 - may be absent

    ids = case.ids.repeat_interleave(1 + case.arms, 0)
    place = {"layer": case.layer, "component": "block_output"}

    def edit(base: Tensor, source: Tensor | None = None) -> Tensor:  # noqa: ARG001
        return case.clamp(base, case.row_features)

    model = library.IntervenableModel([{**place, "intervention": edit}], model=case.model.network)
    with torch.no_grad():
        _, out = model({"input_ids": ids}, unit_locations=None)
    return out.logits[:, -1]  # type: ignore[no-any-return]


PEERS: dict[str, tuple[str, Callable[[Case], Tensor], str]] = {
    "TransformerLens": ("transformer_lens", transformer_lens, "a hook, all arms in one batch"),
    "SAELens": ("sae_lens", sae_lens, "the SAE spliced in with its error term, its features set"),
    "pyvene": ("pyvene", pyvene, "a function on the block's output, all arms in one batch"),
}
"""Name -> the package, the way, and what it says of itself."""


def installed() -> dict[str, tuple[Callable[[Case], Tensor], str]]:
    """The ways whose packages are here."""
    return {name: (way, says) for name, (package, way, says) in PEERS.items() if find_spec(package)}


def _once(name: str, case: Case, make: Callable[[Case], Any]) -> Any:
    key = (name, id(case.model.network))
    if key not in _made:
        _made[key] = make(case)
    return _made[key]


def _hooked(case: Case) -> Any:
    from transformer_lens import HookedTransformer  # noqa: PLC0415 - may be absent

    return _filled(HookedTransformer, case)


def _hooked_with_sae(case: Case) -> Any:
    from sae_lens import HookedSAETransformer  # noqa: PLC0415 - may be absent

    return _filled(HookedSAETransformer, case)


def _filled(kind: Any, case: Case) -> Any:
    """A hooked model with the network's configuration and weights."""
    from transformer_lens import HookedTransformerConfig  # noqa: PLC0415
    from transformer_lens.pretrained.weight_conversions import (  # noqa: PLC0415
        convert_llama_weights,
    )

    given = case.model.text_config
    config = HookedTransformerConfig(
        n_layers=given.num_hidden_layers,
        d_model=given.hidden_size,
        d_head=given.hidden_size // given.num_attention_heads,
        n_heads=given.num_attention_heads,
        n_key_value_heads=given.num_key_value_heads,
        d_mlp=given.intermediate_size,
        d_vocab=given.vocab_size,
        n_ctx=512,
        eps=given.rms_norm_eps,
        act_fn="silu",
        normalization_type="RMS",
        positional_embedding_type="rotary",
        rotary_base=int(given.rope_parameters["rope_theta"]),
        rotary_dim=given.hidden_size // given.num_attention_heads,
        rotary_adjacent_pairs=False,
        final_rms=True,
        gated_mlp=True,
        original_architecture="LlamaForCausalLM",
        device="cpu",
        dtype=torch.float32,
    )
    model = kind(config)
    model.load_state_dict(convert_llama_weights(case.model.network, config), strict=False)
    return model.eval()


def _sae_of(case: Case) -> Any:
    """The case's SAE as one of SAELens's."""
    from sae_lens import JumpReLUSAE, JumpReLUSAEConfig  # noqa: PLC0415 - may be absent
    from sae_lens.saes.sae import SAEMetadata  # noqa: PLC0415

    weights = case.sae.weights
    config = JumpReLUSAEConfig(
        d_in=case.model.d_model,
        d_sae=len(weights.w_dec),
        apply_b_dec_to_input=False,
        metadata=SAEMetadata(hook_name=case.hook),
    )
    sae = JumpReLUSAE(config)
    sae.load_state_dict(
        {
            "W_enc": weights.w_enc,
            "W_dec": weights.w_dec,
            "b_enc": weights.b_enc,
            "b_dec": weights.b_dec,
            "threshold": weights.threshold,
        }
    )
    sae.use_error_term = True
    return sae
