"""One streamed pass over a corpus: which features fire where, part by part, resumable.

Documents are cut into sequences as they come, a part is read up to the hook and written, and
nothing of it stays in memory.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from causal_sae.errors import DataError, Place
from causal_sae.execution.batches import Job, Limit, batches
from causal_sae.execution.edits import attention_sinks
from causal_sae.execution.forward import not_finite
from causal_sae.execution.host import Host
from causal_sae.execution.model import LanguageModel
from causal_sae.execution.sequences import Prompt, Tokenizer, TokenSequence
from causal_sae.saes.features.parts import Part, Parts, Source, part_of, write_part
from causal_sae.saes.sae import SAE
from causal_sae.spec.corpus import Corpus
from causal_sae.spec.design import Population

SEQUENCES = 256
"""Sequences in a part: a part of the pack's SAE has ten megabytes and takes half a minute."""
MAX_ACTIVATIONS = 1 << 24
"""Activations that are encoded at once, silent ones included: 64 megabytes in float32."""
SHORTEST = 2
"""Sequences of fewer tokens have no position that counts."""


@dataclass(frozen=True)
class Piece:
    """A piece of a document, as the model reads it."""

    document: int
    source: Source
    tokens: tuple[int, ...]
    read: int
    """Bytes of the corpus that are read when it is."""


@dataclass(frozen=True)
class Cutter:
    """Cuts documents into sequences for one model and SAE."""

    model: LanguageModel
    first: int | None
    """The beginning-of-sequence token that stands in front of each, or None."""
    context: int

    @classmethod
    def of(cls, model: LanguageModel, sae: SAE, context: int) -> Cutter:
        """The cutter whose sequences begin as the SAE's training text did.

        Raises
        ------
        DataError
            The model does not take sequences of this length.
        """
        if not SHORTEST <= context <= model.context:
            raise DataError(
                f"must be from {SHORTEST} to the {model.context} tokens that {model.name} takes, "
                f"got {context}",
                Place(field="--context"),
            )
        policy = Tokenizer(model, Population(prompts=Path()), "all", sae.config.prepend_bos)
        return cls(model, policy.first, context)

    def cut(self, corpus: Corpus, most: int | None = None) -> Iterator[Piece]:
        """The sequences of a corpus in its own order: whole ones, and what is left of a document.

        Parameters
        ----------
        corpus:
            The documents.
        most:
            Stop after this many tokens.
        """
        tokens = 0
        front = () if self.first is None else (self.first,)
        step = self.context - len(front)
        for number, document in enumerate(corpus.documents()):
            encoded = self.model.tokenizer(document.text, add_special_tokens=False, verbose=False)
            ids = encoded["input_ids"]
            source = Source(document.name, document.group)
            for start in range(0, len(ids), step):
                piece = (*front, *ids[start : start + step])
                if len(piece) < SHORTEST:
                    continue
                tokens += len(piece)
                yield Piece(number, source, piece, document.read)
                if most is not None and tokens >= most:
                    return


def harvest(
    host: Host,
    sae: SAE,
    sequences: Iterable[Piece],
    folder: Path,
    identity: str,
    limit: Limit,
    advance: Callable[[int, int], None] = lambda _tokens, _bytes: None,
) -> Parts:
    """Read every part that ``folder`` does not hold yet.

    Parameters
    ----------
    host, sae:
        The model at its hook, and the SAE that reads there.
    sequences:
        The corpus, cut.
    folder:
        Where the parts go. A part's name holds a hash of what it was made from; what another
        corpus, model or SAE left there is removed.
    identity:
        Tells model and SAE from others.
    limit:
        What one batch may hold.
    advance:
        Called with the tokens done, and the bytes of the corpus read so far.

    Raises
    ------
    DataError
        The corpus holds no text.
    ModelError
        An activation is not finite: names the document.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths: list[Path] = []
    for number, group in enumerate(_grouped(sequences, SEQUENCES)):
        path = folder / f"part-{number:05d}-{_digest(group, identity)}.safetensors"
        if not path.exists():
            write_part(_read(host, sae, group, limit), path)
        paths.append(path)
        advance(sum(len(sequence.tokens) for sequence in group), group[-1].read)
    if not paths:
        raise DataError("holds no text of two tokens or more", Place(field="CORPUS"))
    for stale in {*folder.glob("part-*"), *folder.glob("*.partial")} - set(paths):
        stale.unlink()
    return Parts(tuple(paths))


def _grouped(sequences: Iterable[Piece], size: int) -> Iterator[list[Piece]]:
    group: list[Piece] = []
    for sequence in sequences:
        group.append(sequence)
        if len(group) == size:
            yield group
            group = []
    if group:
        yield group


def _digest(group: Sequence[Piece], identity: str) -> str:
    said = [(s.document, s.source, s.tokens) for s in group]
    return hashlib.sha256(repr((identity, said)).encode()).hexdigest()[:12]


def _read(host: Host, sae: SAE, group: Sequence[Piece], limit: Limit) -> Part:
    """One part: sequences of one length share a batch, so nothing is padded."""
    starts = np.concatenate([[0], np.cumsum([len(s.tokens) for s in group])])
    counted: list[NDArray[np.bool_]] = [np.zeros(0, np.bool_)] * len(group)
    found = []
    everywhere = np.ones(1, np.bool_)
    prompts = [Prompt(f"{i:06d}", s.tokens, everywhere) for i, s in enumerate(group)]
    most = max(1, MAX_ACTIVATIONS // sae.config.d_sae)
    small = Limit(min(limit.tokens, most))
    for batch in batches([Job(TokenSequence(p), ()) for p in prompts], small):
        numbers = [int(job.sequence.unit_id) for job in batch]
        names = [group[i].source.name for i in numbers]
        ids = torch.tensor([job.sequence.tokens for job in batch], device=host.model.device)
        kept, features = encode(host, sae, ids, names)
        row, position, feature = features.nonzero(as_tuple=True)
        offsets = torch.tensor(starts[numbers], device=row.device)
        found.append(
            (
                feature.cpu().numpy().astype(np.int64),
                (offsets[row] + position).cpu().numpy().astype(np.int32),
                features[row, position, feature].float().cpu().numpy(),
            )
        )
        for i, mask in zip(numbers, kept.cpu().numpy(), strict=True):
            counted[i] = mask
    return part_of(
        [s.tokens for s in group],
        [s.document for s in group],
        counted,
        found,
        sae.config.d_sae,
        {s.document: s.source for s in group},
    )


@torch.no_grad()
def encode(host: Host, sae: SAE, ids: Tensor, names: Sequence[str]) -> tuple[Tensor, Tensor]:
    """Which positions count, ``[P, S]``, and the features there, ``[P, S, d_sae]``; else zero.

    Raises
    ------
    ModelError
        An activation is not finite: names the text.
    """
    activation = host.read(ids).activation
    for row, name in enumerate(names):
        if not bool(torch.isfinite(activation[row]).all()):
            raise not_finite(name)
    kept = ~attention_sinks(activation)
    kept[:, 0] = False
    features = torch.relu(sae.encode(activation))
    return kept, torch.where(kept[..., None], features, 0.0)
