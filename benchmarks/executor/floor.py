"""The arithmetic that cannot be avoided: of the layers, the attention and the head."""

from __future__ import annotations

from torch import nn

from benchmarks.executor.case import Case


def layer_flops(case: Case, rows: int, tokens: int) -> float:
    """One layer over ``rows`` sequences of ``tokens`` tokens: matrices, and causal attention."""
    block = case.model.network.model.layers[0]
    linear = sum(part.weight.numel() for part in block.modules() if isinstance(part, nn.Linear))
    attention = 2 * case.model.d_model * tokens  # two products, half of each
    return rows * tokens * (2.0 * linear + attention)


def head_flops(case: Case, scores: int) -> float:
    """The unembedding of so many positions."""
    return 2.0 * case.model.d_model * float(case.model.text_config.vocab_size) * scores


def bare_flops(case: Case) -> float:
    """Every row through every layer, and the last token's logits."""
    layers = int(case.model.text_config.num_hidden_layers)
    return layers * layer_flops(case, case.rows, case.tokens) + head_flops(case, case.rows)


def floor_flops(case: Case) -> float:
    """Each prompt through the layers up to the hook, each row through those above, its logits.

    Where only the last token is edited, rows run that token alone, and each prompt all layers.
    """
    layers, below = int(case.model.text_config.num_hidden_layers), case.layer + 1
    prefix = layer_flops(case, case.prompts, case.tokens)
    if case.last:
        one = layer_flops(case, case.rows, 1)
        return layers * prefix + (layers - below) * one + head_flops(case, case.rows)
    suffix = layer_flops(case, case.rows, case.tokens)
    return below * prefix + (layers - below) * suffix + head_flops(case, case.rows)
