"""Prompts cut from documents that the SAE never saw: a discovery half and a confirmation half."""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from packs.smollm2_layer8.corpus import Document


@dataclass(frozen=True)
class Passage:
    """A stretch of a document, cut in two at a blank between words."""

    source: str
    key: str
    text: str
    """The prompt."""
    tail: str
    """What follows it in the document, leading blank included."""


def passages(
    documents: Iterable[Document],
    split: str,
    source: str,
    words: tuple[int, int],
    tail: int,
    each: int,
    seed: int,
) -> list[Passage]:
    """Cut passages at sentence beginnings.

    Parameters
    ----------
    documents:
        The corpus.
    split, source:
        Which documents.
    words:
        The shortest and the longest prompt.
    tail:
        Words of continuation.
    each:
        Passages of one document at most, so that no document weighs more than another.
    seed:
        Everything drawn follows from it.
    """
    cut: list[Passage] = []
    for document in documents:
        if document.split == split and document.source == source:
            draw = random.Random(f"{seed}/{document.source}/{document.key}")
            found = list(_cut(document, words, tail, draw))
            cut += draw.sample(found, min(each, len(found)))
    random.Random(seed).shuffle(cut)
    return cut


def before_word(
    documents: Iterable[Document],
    split: str,
    source: str,
    word: str,
    words: tuple[int, int],
    each: int,
    seed: int,
) -> list[Passage]:
    """Passages that end right before ``word``, which their tail begins with.

    The prompt begins at the sentence's beginning, or ``words[1]`` words before its end.
    """
    cut: list[Passage] = []
    for document in documents:
        if document.split != split or document.source != source:
            continue
        draw = random.Random(f"{seed}/{document.source}/{document.key}")
        found = []
        for sentence in sentences(document.text):
            for match in re.finditer(rf" {re.escape(word)}\b", sentence):
                before = sentence[: match.start()].split(" ")
                if len(before) >= words[0]:
                    text = " ".join(before[-words[1] :])
                    rest = sentence[match.start() :]
                    found.append(Passage(document.source, document.key, text, rest))
        cut += draw.sample(found, min(each, len(found)))
    random.Random(seed).shuffle(cut)
    return cut


def sentences(text: str) -> Iterator[str]:
    """The sentences of a text, its line breaks made blanks."""
    flat = re.sub(r"\s+", " ", text)
    yield from re.split(r"(?<=[.!?]) (?=[A-Z])", flat)


def _cut(
    document: Document, words: tuple[int, int], tail: int, draw: random.Random
) -> Iterator[Passage]:
    flat = re.sub(r"\s+", " ", document.text)
    starts = [0, *(m.end() for m in re.finditer(r"(?<=[.!?]) (?=[A-Z])", flat))]
    for start in starts:
        length = draw.randint(*words)
        pieces = flat[start:].split(" ", length + tail)
        if len(pieces) > length + tail:
            text, rest = pieces[:length], pieces[length : length + tail]
            yield Passage(document.source, document.key, " ".join(text), " " + " ".join(rest))
