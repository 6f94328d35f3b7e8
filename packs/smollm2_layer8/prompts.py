"""Cut the prompts of the ready trials: ``python -m packs.smollm2_layer8.prompts --cache DIR``.

Every trial gets a discovery half, on which its feature was found, and a confirmation half of other
documents, on which it is tried. The SAE saw neither.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from packs.smollm2_layer8 import corpus
from packs.smollm2_layer8.corpus import Document
from packs.smollm2_layer8.passages import Passage, before_word, passages

TRIALS = Path(__file__).resolve().parents[2] / "trials"
HALVES = {"discovery": 100, "confirmation": 240}
POOLS = {"rare": 3000}
"""Trials that draw their prompts from a larger pool, by whether a feature fires."""
PLAIN = ("state_of_the_union", "moby_dick", "python_documentation")


def scripture(documents: Sequence[Document], split: str, count: int) -> pd.DataFrame:
    """Passages of the King James Bible with the eight words that follow."""
    cut = passages(documents, split, "king_james_bible", (14, 24), tail=8, each=3, seed=1)
    return _table(cut, "verse", count)


def lord(documents: Sequence[Document], split: str, count: int) -> pd.DataFrame:
    """Passages of the King James Bible that stop right before the word LORD."""
    cut = before_word(documents, split, "king_james_bible", "LORD", (6, 28), each=6, seed=2)
    return _table(cut, "verse", count)


def plain(documents: Sequence[Document], split: str, count: int) -> pd.DataFrame:
    """Speeches, a novel and a manual: text with nothing in common."""
    cut: list[Passage] = []
    for source in PLAIN:
        found = passages(documents, split, source, (10, 20), tail=8, each=9, seed=3)
        cut += found[: count // len(PLAIN)]
    return _table(cut, "passage", count)


def rare(documents: Sequence[Document], split: str, count: int) -> pd.DataFrame:
    """Passages of speeches, for a feature that fires on few of them."""
    cut = passages(documents, split, "state_of_the_union", (12, 20), tail=8, each=120, seed=4)
    return _table(cut, "speech", count)


MAKERS = {"scripture": scripture, "lord": lord, "golden": plain, "rare": rare}


def _table(cut: Sequence[Passage], name: str, count: int) -> pd.DataFrame:
    """The first ``count`` passages; a prompt that stands twice in the text enters once."""
    cut = list({passage.text: passage for passage in reversed(cut)}.values())[::-1][:count]
    return pd.DataFrame(
        {
            "id": [f"{name}-{number:03d}" for number in range(len(cut))],
            "text": [p.text for p in cut],
            "tail": [p.tail for p in cut],
            "source": [p.source for p in cut],
            "document": [p.key for p in cut],
        }
    )


def main() -> None:
    """Write both halves of every trial's prompts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cache", type=Path, required=True, help="where downloads go")
    cache: Path = parser.parse_args().cache
    corpus.download(cache / "corpus")
    documents = list(corpus.documents(cache / "corpus"))
    for trial, make in MAKERS.items():
        (TRIALS / trial).mkdir(parents=True, exist_ok=True)
        seen: set[str] = set()
        for split, count in HALVES.items():
            name = "prompts" if split == "confirmation" else split
            table = make(documents, split, POOLS.get(trial, count) if name == "prompts" else count)
            # The same verse may stand in two chapters: what discovery saw, confirmation may not.
            table = table[~table["text"].isin(seen)]
            seen |= set(table["text"])
            table.to_csv(TRIALS / trial / f"{name}.csv", index=False, lineterminator="\n")
            print(trial, split, len(table), table["document"].nunique(), "documents")


if __name__ == "__main__":
    main()
