"""What stands at a hook while a trace runs, in the many forms in which modules hold it."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from causal_sae.execution.hook_points import HookPoint


def in_one_piece(_head: nn.Module, given: tuple[Any, ...]) -> tuple[Any, ...]:
    """The hidden states in one piece, so that the unembedding is read once and not row by row."""
    return (given[0].contiguous(), *given[1:])


def value_at(module: Any, hook: HookPoint, rows: int) -> Any:
    """What stands at the hook, ``[rows, S, d]``."""
    if hook.side == "input":
        value = module.input
    else:
        value = module.output if hook.index is None else module.output[hook.index]
    return value.reshape(rows, -1, value.shape[-1]) if hook.flat else value


def put(module: Any, hook: HookPoint, value: Tensor) -> None:
    """Let ``value`` stand at the hook, ``[rows, S, d]``."""
    # A copy: blocks may write into what they are given.
    new = value.flatten(0, 1).clone() if hook.flat else value.clone()
    if hook.side == "input":
        module.input = new
    elif hook.index is None:
        module.output = new
    else:
        old = module.output
        module.output = (*old[: hook.index], new, *old[hook.index + 1 :])


def move(block: Any, index: int | None, change: Tensor) -> None:
    """Add ``change`` to the residual stream that leaves ``block``."""
    old = block.output
    if index is None:
        block.output = old + change
    else:
        block.output = (*old[:index], old[index] + change, *old[index + 1 :])
