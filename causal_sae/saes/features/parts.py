"""Which features fired where, kept sparsely: one file for each part of a corpus.

A part is some hundreds of sequences. Its activations are stored feature by feature, as the columns
of a sparse matrix (CSC), so that a pass over all features of a part reads it once from end to end.
A file is written whole or not at all; a pass that was killed goes on with the next part.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from causal_sae.errors import DataError, Place

FOLDER = "activations"
ARRAYS = ("tokens", "starts", "document", "counted", "indptr", "row", "value")


@dataclass(frozen=True)
class Source:
    """The document that a sequence was cut from."""

    name: str
    group: str | None


@dataclass(frozen=True, eq=False)
class Part:
    """``n`` tokens in ``s`` sequences, and the ``m`` activations of ``F`` features on them."""

    tokens: NDArray[np.int32]
    """``[n]`` token ids, sequence after sequence."""
    starts: NDArray[np.int64]
    """``[s + 1]`` where each sequence begins, and the end."""
    document: NDArray[np.int64]
    """``[s]`` the number of each sequence's document within the corpus."""
    counted: NDArray[np.bool_]
    """``[n]`` false at first positions and attention sinks, which no statistic counts."""
    indptr: NDArray[np.int64]
    """``[F + 1]`` where each feature's activations begin."""
    row: NDArray[np.int32]
    """``[m]`` the token that each activation is on, ascending within a feature."""
    value: NDArray[np.float32]
    """``[m]`` the activations, all above 0."""
    sources: dict[int, Source]
    """The documents of :attr:`document`, by number."""

    @property
    def features(self) -> NDArray[np.int64]:
        """``[m]`` the feature of each activation."""
        return np.repeat(np.arange(len(self.indptr) - 1), np.diff(self.indptr))

    @property
    def sequence(self) -> NDArray[np.int64]:
        """``[n]`` the sequence of each token."""
        return np.repeat(np.arange(len(self.starts) - 1), np.diff(self.starts))

    @property
    def positions(self) -> int:
        """How many positions count."""
        return int(self.counted.sum())


def write_part(part: Part, path: Path) -> None:
    """Write a part whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    arrays = {name: np.ascontiguousarray(getattr(part, name)) for name in ARRAYS}
    named = {str(n): [source.name, source.group] for n, source in part.sources.items()}
    save_file(arrays, partial, metadata={"documents": json.dumps(named)})
    partial.replace(path)


def read_part(path: Path) -> Part:
    """Read a part.

    Raises
    ------
    DataError
        The file is damaged.
    """
    try:
        with safe_open(path, "numpy") as content:
            arrays = {name: content.get_tensor(name) for name in ARRAYS}
            named = json.loads(content.metadata()["documents"])
    except (SafetensorError, OSError, KeyError, TypeError) as error:
        raise DataError(
            f"this part of the feature store is damaged ({error}); delete it, and make it anew "
            "with `causal-sae features extract ... --resume`.",
            Place(path),
        ) from None
    return Part(**arrays, sources={int(n): Source(*pair) for n, pair in named.items()})


@dataclass(frozen=True)
class Parts:
    """The parts of one pass, in the order of the corpus."""

    paths: tuple[Path, ...]

    def __iter__(self) -> Iterator[Part]:
        for path in self.paths:
            yield read_part(path)

    def __len__(self) -> int:
        return len(self.paths)


def part_of(
    tokens: list[tuple[int, ...]],
    document: list[int],
    counted: list[NDArray[np.bool_]],
    found: list[tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float32]]],
    d_sae: int,
    sources: dict[int, Source],
) -> Part:
    """Put a part together.

    Parameters
    ----------
    tokens:
        The sequences.
    document:
        Each one's document.
    counted:
        For each sequence which positions count.
    found:
        Pieces of (feature, token within the part, activation), in any order.
    d_sae:
        How many features there are.
    sources:
        The documents, by number.
    """
    lengths = np.array([len(sequence) for sequence in tokens], dtype=np.int64)
    feature, row, value = (
        np.concatenate([piece[i] for piece in found]) if found else np.empty(0, np.int64)
        for i in range(3)
    )
    order = np.lexsort((row, feature))
    count = np.bincount(feature, minlength=d_sae)
    return Part(
        tokens=np.concatenate([np.array(sequence, dtype=np.int32) for sequence in tokens]),
        starts=np.concatenate([[0], lengths.cumsum()]).astype(np.int64),
        document=np.array(document, dtype=np.int64),
        counted=np.concatenate(counted),
        indptr=np.concatenate([[0], count.cumsum()]).astype(np.int64),
        row=row[order].astype(np.int32),
        value=value[order].astype(np.float32),
        sources=sources,
    )
