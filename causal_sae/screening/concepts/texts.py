"""The texts of concepts: read, cut to one length, and split in two halves.

One half finds the claims, the other tries them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from causal_sae.errors import DataError, Place
from causal_sae.execution.concepts.activity import cut
from causal_sae.execution.sequences import Tokenizer
from causal_sae.features.find import texts_of
from causal_sae.screening.split import held_out, text_hash
from causal_sae.spec.concepts import FEWEST_TEXTS, Concept, ConceptTrial, Texts

Bools = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Pool:
    """Every text that is used, once."""

    texts: tuple[str, ...]
    ids: NDArray[np.int64]
    """``[T, S]`` tokens, all of one length."""
    testing: Bools
    """``[T]`` whether a text is of the half on which claims are tried."""
    positive: dict[str, Bools]
    """For each concept which texts have it."""
    negative: dict[str, Bools]
    """And which do not."""
    too_short: int
    """Texts that were left out."""


def read_pool(trial: ConceptTrial, base: Path, tokenizer: Tokenizer) -> Pool:
    """Read the texts of all concepts.

    Parameters
    ----------
    trial:
        Declares them.
    base:
        Where relative paths start.
    tokenizer:
        Cuts them.

    Raises
    ------
    DataError
        A concept has too few texts in one of the halves: says how many.
    """
    kinds = {
        (i, kind): _texts(getattr(concept, kind), base)
        for i, concept in enumerate(trial.concepts)
        for kind in ("positive", "negative")
        if getattr(concept, kind) is not None
    }
    first = {text_hash(text): text for texts in kinds.values() for text in texts}
    pieces = cut(tokenizer, list(first.values()), trial.tokens)
    kept = [(key, piece) for key, piece in zip(first, pieces, strict=True) if piece is not None]
    place = {key: number for number, (key, _) in enumerate(kept)}
    texts = tuple(first[key] for key, _ in kept)
    marks = {key: _marked(own, place, len(texts)) for key, own in kinds.items()}
    positive = {c.name: marks[i, "positive"] for i, c in enumerate(trial.concepts)}
    negative = {
        c.name: marks[i, "negative"] & ~positive[c.name]
        if c.negative is not None
        else _others(c, positive, texts)
        for i, c in enumerate(trial.concepts)
    }
    testing = held_out(texts, 0.5, trial.seed) if texts else np.zeros(0, np.bool_)
    ids = np.array([piece for _, piece in kept], dtype=np.int64).reshape(len(texts), -1)
    pool = Pool(texts, ids, testing, positive, negative, len(first) - len(texts))
    _check(trial, pool)
    return pool


def _texts(value: Texts, base: Path) -> list[str]:
    return texts_of(base / value) if isinstance(value, Path) else list(value)


def _marked(texts: Sequence[str], place: dict[str, int], size: int) -> Bools:
    found = np.zeros(size, np.bool_)
    found[[place[key] for key in map(text_hash, texts) if key in place]] = True
    return found


def _others(concept: Concept, positive: dict[str, Bools], texts: Sequence[str]) -> Bools:
    """Texts of the other concepts that are not of this one and hold none of its words."""
    others = np.any([own for name, own in positive.items() if name != concept.name], axis=0)
    words = [re.escape(word.strip()) for word in concept.words or () if word.strip()]
    pattern = re.compile(rf"(?<!\w)({'|'.join(words)})(?!\w)", re.IGNORECASE) if words else None
    free = np.array([pattern is None or pattern.search(text) is None for text in texts], np.bool_)
    chosen: Bools = others & ~positive[concept.name] & free
    return chosen


def _check(trial: ConceptTrial, pool: Pool) -> None:
    for i, concept in enumerate(trial.concepts):
        for kind, own in (("positive", pool.positive), ("negative", pool.negative)):
            for half, name in ((pool.testing, "trying"), (~pool.testing, "finding")):
                count = int((own[concept.name] & half).sum())
                if count < FEWEST_TEXTS:
                    raise DataError(
                        f"must have {FEWEST_TEXTS} {kind} texts of {trial.tokens} tokens or more "
                        f"in each half; the half for {name} claims has {count}: give more texts"
                        + (", or lower `tokens`" if pool.too_short else ""),
                        Place(field=f"concepts[{i}].{kind}"),
                    )
