"""Texts cut to one length, and how strongly every feature fires in each."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from causal_sae.errors import DataError, Place
from causal_sae.execution.edits import attention_sinks
from causal_sae.execution.forward import not_finite
from causal_sae.execution.host import Host
from causal_sae.execution.model import LanguageModel
from causal_sae.execution.sequences import Tokenizer
from causal_sae.saes.sae import SAE
from causal_sae.spec.design import Population

ACTIVATIONS = 1 << 24
"""Activations that are in memory together."""
Ids = NDArray[np.int64]


def tokenizer_of(model: LanguageModel, sae: SAE) -> Tokenizer:
    """The tokenizer whose sequences begin as the SAE's training text did."""
    from pathlib import Path  # noqa: PLC0415

    return Tokenizer(model, Population(prompts=Path()), "all", sae.config.prepend_bos)


def cut(tokenizer: Tokenizer, texts: Sequence[str], tokens: int) -> list[tuple[int, ...] | None]:
    """The first ``tokens`` tokens of each text; None for texts that have fewer.

    Before them stands the beginning-of-sequence token, where there is one.

    Raises
    ------
    DataError
        The model does not take so many.
    """
    front = () if tokenizer.first is None else (tokenizer.first,)
    if len(front) + tokens > tokenizer.model.context:
        raise DataError(
            f"must be at most {tokenizer.model.context - len(front)} for {tokenizer.model.name}, "
            f"got {tokens}",
            Place(field="tokens"),
        )
    pieces = (tokenizer.tokens(text)[:tokens] for text in texts)
    return [(*front, *piece) if len(piece) == tokens else None for piece in pieces]


@torch.no_grad()
def peaks(
    host: Host, sae: SAE, ids: Ids, limit: int, advance: Callable[[int], None] = lambda _n: None
) -> NDArray[np.float32]:
    """``[T, F]``: each feature's largest activation where a text is edited.

    Parameters
    ----------
    host, sae:
        The model at its hook, and the SAE that reads there.
    ids:
        ``[T, S]`` what the model reads: without the last token, which is only scored.
    limit:
        Tokens in a batch.
    advance:
        Called with the number of tokens done.
    """
    rows = max(1, min(limit, ACTIVATIONS // sae.config.d_sae) // ids.shape[1])
    found = []
    for start in range(0, len(ids), rows):
        batch = torch.from_numpy(ids[start : start + rows]).to(host.model.device)
        activation = host.read(batch).activation
        if not bool(torch.isfinite(activation).all()):
            bad = (~torch.isfinite(activation)).flatten(1).any(dim=1).nonzero()[0, 0]
            raise not_finite(f"text {start + int(bad) + 1}")
        found.append(edited(sae, activation).amax(dim=1).float().cpu().numpy())
        advance(batch.numel())
    return np.concatenate(found)


def editable(activation: Tensor) -> Tensor:
    """``[P, S]``: every position but the first and the attention sinks."""
    kept = ~attention_sinks(activation)
    kept[:, 0] = False
    return kept


def edited(sae: SAE, activation: Tensor) -> Tensor:
    """``[P, S, F]``: activations where texts are edited; zero elsewhere."""
    return torch.where(editable(activation)[..., None], torch.relu(sae.encode(activation)), 0.0)
