"""Run the model up to the hook over the corpus and keep every activation but the attention sinks."""

from __future__ import annotations

import random
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from rich.progress import track

from packs.smollm2_layer8.corpus import Document

LAYER = 8
CONTEXT = 128  # tokens in a sequence, the document mark in front included
SINK_RATIO = 4.0  # a position whose norm exceeds this many medians is an attention sink
CHUNKS = {  # sequences taken of each source for training: 1.06 million tokens
    "state_of_the_union": 2900,
    "moby_dick": 1200,
    "email": 1800,
    "king_james_bible": 1200,
    "python_documentation": 1200,
}


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
        wanted = count if split == "train" else max(1, count // 20)
        sample = draw.sample(pool[source], min(wanted, len(pool[source])))
        chosen += [(source, key, ids) for key, ids in sample]
    draw.shuffle(chosen)
    mark = tokenizer.bos_token_id
    tokens = np.array([[mark, *ids] for _, _, ids in chosen], dtype=np.int32)
    return Sequences(tokens, [c[0] for c in chosen], [c[1] for c in chosen])


def activations(
    model: Any, sequences: Sequences, folder: Path, batch_size: int = 16
) -> npt.NDArray[np.float16]:
    """The residual stream after ``LAYER`` at every kept position, ``[n, d_in]`` in float16.

    Written to ``folder`` as it goes and resumed from there. Position 0 and positions whose norm
    exceeds ``SINK_RATIO`` times the median of their sequence are left out.
    """
    folder.mkdir(parents=True, exist_ok=True)
    d_in = model.config.hidden_size
    starts = range(0, len(sequences.tokens), batch_size * 16)
    for start in track(list(starts), "harvest"):
        shard = folder / f"{start:07d}.npy"
        if shard.exists():
            continue
        kept = [
            _forward(model, sequences.tokens[i : i + batch_size])
            for i in range(start, min(start + batch_size * 16, len(sequences.tokens)), batch_size)
        ]
        partial = shard.with_suffix(".part")
        with partial.open("wb") as sink:
            np.save(sink, np.concatenate(kept))
        partial.rename(shard)
    shards = [np.load(path) for path in sorted(folder.glob("*.npy"))]
    return np.concatenate(shards).reshape(-1, d_in)


@torch.no_grad()
def _forward(model: Any, tokens: npt.NDArray[np.int32]) -> npt.NDArray[np.float16]:
    ids = torch.from_numpy(tokens.astype(np.int64)).to(model.device)
    out = residual(model, ids)
    norm = out.norm(dim=-1)
    keep = norm <= SINK_RATIO * norm.median(dim=1, keepdim=True).values
    keep[:, 0] = False
    return out[keep].to(torch.float16).cpu().numpy()


def residual(model: Any, ids: torch.Tensor) -> torch.Tensor:
    """The output of block ``LAYER``, ``[batch, sequence, d_in]``; later blocks are not run."""
    captured: list[torch.Tensor] = []

    class _Reached(Exception):
        pass

    def stop(_module: Any, _inputs: Any, output: torch.Tensor) -> None:
        captured.append(output)
        raise _Reached

    handle = model.model.layers[LAYER].register_forward_hook(stop)
    try:
        model.model(input_ids=ids, use_cache=False)
    except _Reached:
        pass
    finally:
        handle.remove()
    return captured[0]
