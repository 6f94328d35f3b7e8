"""How much fits into one batch: from a stated budget, and less where the device says so.

A batch is bounded by its tokens, over all rows, and by its next-token distributions. Both follow
from the budget and the sizes of model and SAE alone, so that a run that is resumed makes the same
batches. What runs out of memory all the same is run again in halves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TypeVar

import torch

from causal_sae.errors import ModelError, Place
from causal_sae.execution.batches import Job, Limit
from causal_sae.execution.generation import Writing
from causal_sae.execution.model import LanguageModel
from causal_sae.saes.sae import SAE

GIBIBYTE = 1 << 30
#: The budget of a batch where none is stated and the device is no accelerator.
DEFAULT_BUDGET = GIBIBYTE
#: The part of an accelerator's memory that a batch may take where none is stated.
ACCELERATOR_SHARE = 0.25
#: Float64 copies of the log-probabilities that live at once: themselves and a metric's workings.
SCORE_COPIES = 5

Piece = TypeVar("Piece", Job, Writing)
T = TypeVar("T")
B = TypeVar("B")


def budget_of(model: LanguageModel, stated: float | None) -> int:
    """The bytes that one batch may take beside the weights.

    Parameters
    ----------
    model:
        The model, on its device.
    stated:
        GiB, or None for a quarter of an accelerator's memory, or 1 GiB elsewhere.
    """
    if stated is not None:
        return int(stated * GIBIBYTE)
    if model.device.type == "cuda":
        total = torch.cuda.get_device_properties(model.device).total_memory
        return int(total * ACCELERATOR_SHARE)
    return DEFAULT_BUDGET


def limit_of(model: LanguageModel, sae: SAE, budget: int) -> Limit:
    """What a batch may hold within ``budget`` bytes: half for tokens, half for distributions.

    Raises
    ------
    ModelError
        When not even one token fits.
    """
    tokens = budget // 2 // token_bytes(model, sae)
    scores = budget // 2 // score_bytes(model)
    if min(tokens, scores) < 1:
        least = 2 * max(token_bytes(model, sae), score_bytes(model)) / GIBIBYTE
        raise ModelError(
            f"must leave room for a token of {model.name}: at least {least:.2g} GiB",
            Place(field="--memory"),
        )
    return Limit(tokens, scores)


def token_bytes(model: LanguageModel, sae: SAE) -> int:
    """What one token of one row takes at the peak, in bytes.

    A block's activations (residual stream, queries, keys and values, the MLP's inside), the edit
    (four copies in the model's arithmetic, three in float64), the features (values, and masks of
    where they fire), and the keys and values that generation keeps of every layer.
    """
    config, size = model.text_config, model.dtype.itemsize
    width = model.d_model
    inside = int(getattr(config, "intermediate_size", None) or 4 * width)
    heads = int(config.num_attention_heads)
    shared = int(getattr(config, "num_key_value_heads", None) or heads)
    kept = 2 * int(config.num_hidden_layers) * shared * (width // heads)
    block = 8 * width + 3 * inside
    edit = 4 * width * size + 3 * width * 8
    return (block + kept) * size + edit + sae.config.d_sae * (2 * sae.dtype.itemsize + 2)


def score_bytes(model: LanguageModel) -> int:
    """What one next-token distribution takes at the peak, in bytes."""
    return int(model.text_config.vocab_size) * (model.dtype.itemsize + 8 * SCORE_COPIES)


def ran_out(error: BaseException) -> bool:
    """Whether this is a device saying that it has no memory left."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    said = str(error).lower()
    return isinstance(error, RuntimeError) and (
        "out of memory" in said or "allocate memory" in said
    )


@dataclass
class Memory:
    """What the device has been found to hold: it learns from every batch that did not fit."""

    ceiling: int | None = None
    """Tokens over all rows that were too many."""

    def run(self, work: Callable[[tuple[Piece, ...]], T], batch: tuple[Piece, ...]) -> Iterator[T]:
        """Do the work on a batch, in as many parts as the device needs.

        Parameters
        ----------
        work:
            Runs a batch; it may be called again with a part of a batch that did not fit.
        batch:
            Jobs of one shape.

        Raises
        ------
        ModelError
            When one prompt with one edit does not fit.
        """
        tokens, parts = sum(job.tokens for job in batch), halves(batch)
        if self.ceiling is None or tokens < self.ceiling or len(parts) == 1:
            done, reason = _attempt(work, batch)
            if reason is None:
                yield done  # type: ignore[misc]  # there is no reason only where it is done
                return
            self.ceiling = min(tokens, self.ceiling or tokens)
            if len(parts) == 1:
                raise ModelError(
                    f"one prompt with one edit, {tokens} tokens, does not fit into memory "
                    f"({reason}); shorten the prompts, or take a smaller dtype or another device",
                    Place(field="model.device"),
                )
        for part in parts:
            yield from self.run(work, part)


def _attempt(work: Callable[[B], T], batch: B) -> tuple[T | None, str | None]:
    """The result, or why there is none; the tensors that did not fit are let go of."""
    try:
        return work(batch), None
    except (RuntimeError, MemoryError) as error:
        if not ran_out(error):
            raise
        reason = str(error).strip().splitlines()[0] if str(error).strip() else "no memory left"
    # Outside the handler: the traceback held on to what did not fit.
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return None, reason


def halves(batch: tuple[Piece, ...]) -> tuple[tuple[Piece, ...], ...]:
    """A batch in two: its prompts, or the edits of its only prompt; itself where it is one row.

    Each part has the untouched model's row of its own, so that what is compared stays together.
    """
    if len(batch) > 1:
        middle = len(batch) // 2
        return batch[:middle], batch[middle:]
    job, edits = batch[0], batch[0].treatments
    if len(edits) < 2:
        return (batch,)
    middle = len(edits) // 2
    return tuple((replace(job, treatments=part),) for part in (edits[:middle], edits[middle:]))
