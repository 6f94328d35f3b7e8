"""Cut the texts of the concept trial: ``python -m packs.smollm2_layer8.concepts --cache DIR``.

Four concepts are registers: all that one source writes. The others are themes: passages of any
source that name one of the theme's words near their beginning. No document gives a concept more
than two texts, so that texts count as independent. All documents are used: the SAE saw most of
them, which bears on how well its features fit, not on what editing them does. The mail is left out:
it is other people's.
"""

from __future__ import annotations

import argparse
import random
import re
from collections.abc import Sequence
from pathlib import Path

from packs.smollm2_layer8 import corpus
from packs.smollm2_layer8.corpus import Document
from packs.smollm2_layer8.passages import sentences

FOLDER = Path(__file__).resolve().parents[2] / "trials" / "concepts" / "texts"
TEXTS, WORDS, NEAR = 150, 24, 8
REGISTERS = {
    "scripture": "king_james_bible",
    "whaling": "moby_dick",
    "government": "state_of_the_union",
    "programming": "python_documentation",
}
THEMES = {
    "war": "war wars army armies battle soldiers troops enemy military",
    "money": "money treasury dollars debt revenue bank banks currency",
    "treaty": "treaty treaties convention negotiations agreement",
    "sea": "sea seas ocean waters waves",
    "death": "death died dead dying slain grave",
    "family": "father mother son sons daughter children wife brother",
    "king": "king kings queen prince throne kingdom",
    "god": "god lord heaven holy almighty",
    "sin": "sin sins wicked iniquity evil transgression",
    "law": "law laws court courts judge statute",
    "farming": "farmers farm crops agriculture harvest wheat corn",
    "animals": "sheep cattle horses horse ox goats lambs",
    "food": "bread meat eat food drink wine",
    "body": "hand hands head eyes heart feet",
    "fire": "fire burn burning burnt flame smoke",
    "gold": "gold silver brass jewels precious",
    "time": "year years day days month morning night",
    "city": "city cities town house gates wall",
    "files": "file files directory path filename",
    "functions": "function functions method methods argument arguments returns",
    "errors": "error errors exception exceptions warning raised",
    "classes": "class classes object objects instance instances attribute attributes",
    "schools": "school schools education students college teachers",
    "labor": "labor workers wages employment jobs",
}


Cut = Sequence[tuple[Document, list[str]]]
"""Documents with the beginnings of their sentences."""


def registers(cut: Cut, source: str) -> list[str]:
    """Beginnings of sentences of one source."""
    return _drawn([one for one in cut if one[0].source == source], source, None)


def themes(cut: Cut, words: str) -> list[str]:
    """Sentences of any source that name one of the words near their beginning."""
    pattern = re.compile(rf"\b({'|'.join(words.split())})\b", re.IGNORECASE)
    return _drawn(cut, words, pattern)


def _drawn(cut: Cut, label: str, pattern: re.Pattern[str] | None) -> list[str]:
    found: list[str] = []
    for document, beginnings in cut:
        draw = random.Random(f"{label}/{document.source}/{document.key}")
        fitting = [text for text in beginnings if _names(text, pattern)]
        found += draw.sample(fitting, min(2, len(fitting)))
    chosen = list(dict.fromkeys(found))
    random.Random(label).shuffle(chosen)
    return chosen[:TEXTS]


def _beginnings(text: str) -> list[str]:
    cut = (sentence.split()[:WORDS] for sentence in sentences(text))
    return [" ".join(words) for words in cut if len(words) >= 2 * WORDS // 3]


def _names(text: str, pattern: re.Pattern[str] | None) -> bool:
    return pattern is None or pattern.search(" ".join(text.split()[:NEAR])) is not None


def main() -> None:
    """Write one file of texts for each concept."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cache", type=Path, required=True, help="where downloads go")
    cache: Path = parser.parse_args().cache
    corpus.download(cache / "corpus")
    documents = (d for d in corpus.documents(cache / "corpus") if d.source != "email")
    cut = [(document, _beginnings(document.text)) for document in documents]
    FOLDER.mkdir(parents=True, exist_ok=True)
    made = {name: registers(cut, source) for name, source in REGISTERS.items()}
    made |= {name: themes(cut, words) for name, words in THEMES.items()}
    for name, texts in made.items():
        (FOLDER / f"{name}.txt").write_text("\n".join(texts) + "\n", encoding="utf-8")
        print(name, len(texts))


if __name__ == "__main__":
    main()
