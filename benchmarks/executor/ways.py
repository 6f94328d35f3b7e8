"""Ways to run the same rows. Each gives the logits of every row's last token, prompt by prompt."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from nnsight import NNsight, TransformersModel
from torch import Tensor

from benchmarks.executor.case import Case
from benchmarks.executor.peers import installed
from causal_sae.execution.forward import run_batch


@dataclass(frozen=True)
class Way:
    """One way to run a case."""

    run: Callable[[Case], Tensor]
    """``[rows, vocabulary]``"""
    says: str
    head: str = "last"
    """At which tokens the unembedding is computed: ``last`` or ``all``."""
    shared: bool = False
    """Whether the layers below the hook run once for all arms."""
    pair: bool = False
    """Whether it gives two tokens' logits alone, ``[rows, 2]``: those of ``case.pair``."""


def ours(case: Case) -> Tensor:
    """What ``causal-sae run`` does with a batch, the float64 log-softmax included."""
    return run_batch(case.bench, case.batch).reading.logprobs[:, 0]


def ours_pair(case: Case) -> Tensor:
    """The same where the outcome is a difference of two logits."""
    return run_batch(case.pair_bench, case.batch).reading.logprobs[:, 0]


def bare(case: Case) -> Tensor:
    """The forward pass of the same rows, without any edit."""
    with torch.no_grad():
        ids = case.ids.repeat_interleave(1 + case.arms, 0)
        return case.model.network(**positions(ids), use_cache=False, logits_to_keep=1).logits[:, 0]


def bare_at_once(case: Case) -> Tensor:
    """The same, with the unembedding read once for all rows and not row by row."""
    head = case.model.network.get_output_embeddings()
    handle = head.register_forward_pre_hook(lambda _m, given: (given[0].contiguous(),))
    try:
        return bare(case)
    finally:
        handle.remove()


def hooks(case: Case) -> Tensor:
    """A PyTorch hook, all arms in one batch, logits of the last token only."""
    ids = case.ids.repeat_interleave(1 + case.arms, 0)
    handle = _block(case).register_forward_hook(lambda _m, _a, x: case.clamp(x, case.row_features))
    try:
        with torch.no_grad():
            network = case.model.network
            return network(**positions(ids), use_cache=False, logits_to_keep=1).logits[:, 0]
    finally:
        handle.remove()


def hooks_by_arm(case: Case) -> Tensor:
    """A PyTorch hook, one forward pass an arm."""
    parts = []
    for feature in (None, *case.features):
        features = [feature] * case.prompts
        handle = _block(case).register_forward_hook(
            lambda _m, _a, x, chosen=features: case.clamp(x, chosen)
        )
        with torch.no_grad():
            out = case.model.network(**positions(case.ids), use_cache=False).logits[:, -1]
        handle.remove()
        parts.append(out)
    return torch.stack(parts, dim=1).flatten(0, 1)


def nnsight_batch(case: Case) -> Tensor:
    """nnsight, all arms in one trace, as the quick start writes it."""
    tree, ids = _tree(case), case.ids.repeat_interleave(1 + case.arms, 0)
    block = _layers(tree)[case.layer]
    with torch.no_grad(), tree.trace(**positions(ids), use_cache=False):
        block.output = case.clamp(block.output, case.row_features)
        logits: Tensor = tree.output.logits[:, -1].save()
    return logits


def nnsight_by_arm(case: Case) -> Tensor:
    """nnsight, one trace an arm."""
    tree, parts = _tree(case), []
    block = _layers(tree)[case.layer]
    for feature in (None, *case.features):
        features = [feature] * case.prompts
        with torch.no_grad(), tree.trace(**positions(case.ids), use_cache=False):
            block.output = case.clamp(block.output, features)
            logits = tree.output.logits[:, -1].save()
        parts.append(logits)
    return torch.stack(parts, dim=1).flatten(0, 1)


def nnsight_invokes(case: Case) -> Tensor:
    """nnsight, one trace with one invoke an arm."""
    tree, parts = _collating(case), []
    block = _layers(tree)[case.layer]
    with torch.no_grad(), tree.trace() as tracer:
        for feature in (None, *case.features):
            features = [feature] * case.prompts
            with tracer.invoke(case.ids):
                block.output = case.clamp(block.output, features)
                parts.append(tree.output.logits[:, -1].save())
    return torch.stack(parts, dim=1).flatten(0, 1)


WAYS: Mapping[str, Way] = {
    "causal-sae": Way(ours, "layers below the hook once, every arm above it", shared=True),
    "causal-sae, two logits": Way(
        ours_pair,
        "the same for `logit_diff`, which needs two tokens' logits",
        shared=True,
        pair=True,
    ),
    "bare forward": Way(bare, "the same rows through the model, nothing edited"),
    "bare forward, one head": Way(
        bare_at_once, "the same with the unembedding read once, not row by row; the floor is its"
    ),
    "PyTorch hook": Way(hooks, "all arms in one batch"),
    "PyTorch hook, arm by arm": Way(hooks_by_arm, "one pass an arm, all logits", head="all"),
    "nnsight": Way(nnsight_batch, "all arms in one trace, all logits", head="all"),
    "nnsight, arm by arm": Way(nnsight_by_arm, "one trace an arm, all logits", head="all"),
    "nnsight, invokes": Way(nnsight_invokes, "one invoke an arm, all logits", head="all"),
}

UNEDITED = frozenset({"bare forward", "bare forward, one head"})
"""Ways that edit nothing."""


def every_way() -> dict[str, Way]:
    """These, and those of other libraries that are installed."""
    others = {name: Way(way, says, head="all") for name, (way, says) in installed().items()}
    return {**WAYS, **others}


_trees: dict[tuple[int, str], object] = {}


def _tree(case: Case) -> object:
    key = (id(case.model.network), "plain")
    return _trees.setdefault(key, NNsight(case.model.network))


def _collating(case: Case) -> object:
    key = (id(case.model.network), "collating")
    if key not in _trees:
        _trees[key] = TransformersModel(case.model.network, tokenizer=case.model.tokenizer)
    return _trees[key]


def _layers(tree: object) -> object:
    return tree.model.layers


def _block(case: Case) -> torch.nn.Module:
    return case.model.network.model.layers[case.layer]


def positions(ids: Tensor) -> dict[str, Tensor]:
    """Token ids with their positions, as the bare model does not make them itself."""
    places = torch.arange(ids.shape[1], device=ids.device)
    return {"input_ids": ids, "position_ids": places[None].expand(len(ids), -1)}
