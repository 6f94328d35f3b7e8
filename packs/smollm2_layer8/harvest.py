"""Run the model up to the hook over the corpus; keep all activations but attention sinks."""

from __future__ import annotations

import random
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from rich.progress import track
from torch import Tensor

from causal_sae.execution.edits import attention_sinks
from causal_sae.execution.host import Host
from packs.smollm2_layer8.corpus import Document

LAYER = 8
HOOK = f"blocks.{LAYER}.hook_resid_post"
CONTEXT = 128  # tokens in a sequence, the document mark in front included
CHUNKS = {  # sequences taken of each source for training: 1.06 million tokens
    "state_of_the_union": 2900,
    "moby_dick": 1200,
    "email": 1800,
    "king_james_bible": 1200,
    "python_documentation": 1200,
}
SHARES = {"train": 1.0, "evaluate": 0.05, "discovery": 0.1, "confirmation": 0.1}


class Sequences(NamedTuple):
    """Token ids ``[n, CONTEXT]`` and, per sequence, which document it was cut from."""

    tokens: npt.NDArray[np.int32]
    source: list[str]
    key: list[str]


def cut(tokenizer: Any, texts: Iterable[Document], split: str, seed: int = 0) -> Sequences:
    """Cut the documents of one split into sequences and draw the declared number of each source."""
    draw = random.Random(seed)
    pool: dict[str, list[tuple[str, list[int]]]] = {source: [] for source in CHUNKS}
    step = CONTEXT - 1
    for document in texts:
        if document.split != split:
            continue
        ids = tokenizer(document.text, add_special_tokens=False)["input_ids"]
        for start in range(0, len(ids) - step + 1, step):
            pool[document.source].append((document.key, ids[start : start + step]))
    chosen = []
    for source, count in CHUNKS.items():
        wanted = round(count * SHARES[split])
        sample = draw.sample(pool[source], min(wanted, len(pool[source])))
        chosen += [(source, key, ids) for key, ids in sample]
    draw.shuffle(chosen)
    mark = tokenizer.bos_token_id
    tokens = np.array([[mark, *ids] for _, _, ids in chosen], dtype=np.int32)
    return Sequences(tokens, [c[0] for c in chosen], [c[1] for c in chosen])


def activations(
    host: Host, sequences: Sequences, folder: Path, batch_size: int = 16
) -> npt.NDArray[np.float16]:
    """The activation at the hook at every kept position, ``[n, d_in]`` in float16.

    Written to ``folder`` as it goes and resumed from there. Left out are the first position and
    attention sinks, whose norm exceeds four times the median of their sequence.
    """
    folder.mkdir(parents=True, exist_ok=True)
    starts = range(0, len(sequences.tokens), batch_size * 16)
    for start in track(list(starts), "harvest"):
        shard = folder / f"{start:07d}.npy"
        if shard.exists():
            continue
        kept = [
            _kept(host, sequences.tokens[i : i + batch_size])
            for i in range(start, min(start + batch_size * 16, len(sequences.tokens)), batch_size)
        ]
        partial = shard.with_suffix(".part")
        with partial.open("wb") as sink:
            np.save(sink, np.concatenate(kept))
        partial.rename(shard)
    shards = [np.load(path) for path in sorted(folder.glob("*.npy"))]
    return np.concatenate(shards)


def _kept(host: Host, tokens: npt.NDArray[np.int32]) -> npt.NDArray[np.float16]:
    activation, kept = read(host, tokens)
    return activation[kept].to(torch.float16).cpu().numpy()


def read(host: Host, tokens: npt.NDArray[np.int32]) -> tuple[Tensor, Tensor]:
    """The activations at the hook ``[batch, sequence, d_in]``, and which positions to keep."""
    ids = torch.from_numpy(tokens.astype(np.int64)).to(host.model.device)
    activation = host.read(ids).activation
    kept = ~attention_sinks(activation)
    kept[:, 0] = False
    return activation, kept
