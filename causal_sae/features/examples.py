"""Examples as people read them: text with the active token marked, and token by token."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from causal_sae.saes.features.contexts import BEFORE, OFFSETS, Windows, windows
from causal_sae.saes.features.parts import Parts
from causal_sae.tables import CONTEXTS, EXAMPLES, Table

BLOCK = 2048
"""Features whose examples are in memory together."""


def write_examples(
    folder: Path,
    parts: Parts,
    chosen: pd.DataFrame,
    tokenizer: Any,
    skip: int,
    advance: Callable[[int], None],
) -> None:
    """Write ``examples.parquet`` and ``contexts.parquet``, a block of features at a time.

    Parameters
    ----------
    folder:
        Where they go.
    parts:
        What the examples are places in.
    chosen:
        The examples: feature, bin, rank, activation, part, row; sorted by feature.
    tokenizer:
        Turns tokens into text.
    skip:
        How many tokens at the beginning of each sequence are not text.
    advance:
        Called with the number of examples done.
    """
    writers: dict[str, pq.ParquetWriter] = {}
    last = int(chosen["feature"].max()) if len(chosen) else 0
    try:
        for start in range(0, last + 1, BLOCK):
            block = chosen[chosen["feature"].between(start, start + BLOCK - 1)]
            block = block.reset_index(drop=True)
            around = windows(parts, block, skip)
            _append(writers, folder, EXAMPLES, _examples(block, around, tokenizer))
            _append(writers, folder, CONTEXTS, _tokens(block, around, tokenizer))
            advance(len(block))
    finally:
        for writer in writers.values():
            writer.close()


def _append(
    writers: dict[str, pq.ParquetWriter], folder: Path, contract: Table, frame: pd.DataFrame
) -> None:
    table = pa.Table.from_pandas(contract.conform(frame), preserve_index=False)
    if contract.name not in writers:
        path = folder / f"{contract.name}.parquet"
        writers[contract.name] = pq.ParquetWriter(path, table.schema, compression="zstd")
    # Small groups of rows, so that one feature is read without the others.
    writers[contract.name].write_table(table, row_group_size=1 << 15)


def _examples(block: pd.DataFrame, around: Windows, tokenizer: Any) -> pd.DataFrame:
    table = block[["feature", "bin", "rank", "activation"]].copy()
    table["text"] = [marked(tokens, tokenizer) for tokens in around.tokens]
    table["position"] = around.position
    table["document"], table["group"] = around.document, around.group
    return table


def marked(tokens: Any, tokenizer: Any) -> str:
    """The text of a window, its middle token in ``«»``."""
    before = [int(t) for t in tokens[:BEFORE] if t >= 0]
    after = [int(t) for t in tokens[BEFORE + 1 :] if t >= 0]
    decode = tokenizer.decode
    return f"{decode(before)}«{decode([int(tokens[BEFORE])])}»{decode(after)}"


def _tokens(block: pd.DataFrame, around: Windows, tokenizer: Any) -> pd.DataFrame:
    """One row a token of each window."""
    row, column = (around.tokens >= 0).nonzero()
    ids = around.tokens[row, column]
    known = {int(token): tokenizer.decode([int(token)]) for token in np.unique(ids)}
    return pd.DataFrame(
        {
            "feature": block["feature"].to_numpy()[row],
            "bin": block["bin"].to_numpy()[row],
            "rank": block["rank"].to_numpy()[row],
            "offset": OFFSETS[column],
            "token": [known[int(token)] for token in ids],
            "activation": around.activation[row, column],
        }
    )
