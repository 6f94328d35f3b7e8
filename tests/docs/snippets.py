"""The fenced blocks of a Markdown page, with the mark that stands above each."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    page
    for page in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *ROOT.glob("docs/**/*.md"))
    if page.exists()
)
FENCE = re.compile(
    r"(?:^<!-- (?P<mark>[^\n]*?) -->\n)?^```(?P<kind>\w*)(?P<info>[^\n]*)\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Snippet:
    """One fenced block. ``mark``: ``run``, ``output``, ``not run: why``, or nothing."""

    page: Path
    line: int
    kind: str
    title: str
    mark: str
    text: str

    @property
    def heavy(self) -> bool:
        return self.mark.startswith("not run")

    @property
    def name(self) -> str:
        return f"{self.page.relative_to(ROOT).as_posix()}:{self.line}"


def snippets_of(page: Path) -> list[Snippet]:
    text = page.read_text(encoding="utf-8")
    found = []
    for match in FENCE.finditer(text):
        title = re.search(r'title="(.*?)"', match["info"])
        line = text.count("\n", 0, match.start()) + 1
        mark, name = match["mark"] or "", title[1] if title else ""
        found.append(Snippet(page, line, match["kind"], name, mark, match["text"]))
    return found


EVERY = [snippet for page in PAGES for snippet in snippets_of(page)]
