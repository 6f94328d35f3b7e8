"""A corpus: documents of a file or a folder, read one after the other and never all at once."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from causal_sae.errors import DataError, Place, did_you_mean

FIELD = "CORPUS"
FOLDER = "folder"
"""As a label: the folder that a document's file is in."""


@dataclass(frozen=True)
class Document:
    """One text."""

    name: str
    """The file, and where it holds several texts the row: ``letters.csv:17``."""
    text: str
    group: str | None
    """Its label, where one was asked for."""
    read: int
    """Bytes of the corpus up to and including it; for the estimate of the time left."""


@dataclass(frozen=True)
class Corpus:
    """Where documents come from."""

    root: Path
    """A file, or a folder whose files are read in the order of their names."""
    text: str = "text"
    """The column that holds the text, in csv, jsonl and parquet."""
    label: str | None = None
    """The column that groups documents; ``folder`` is the folder that the file is in."""
    files: tuple[Path, ...] = field(init=False)
    """The files, in the order in which they are read."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "files", tuple(_files(self.root)))

    @property
    def size(self) -> int:
        """Bytes in all."""
        return sum(file.stat().st_size for file in self.files)

    def documents(self) -> Iterator[Document]:
        """Every document that is not empty.

        Raises
        ------
        DataError
            Names the file, the line and the column of what cannot be read.
        """
        before = 0
        for file in self.files:
            for name, cells, read in READERS[file.suffix.lower()](file):
                text = self._cell(cells, self.text, file, name) or ""
                group = self._group(cells, file, name)
                if text.strip():
                    yield Document(name, text, group, before + read)
            before += file.stat().st_size

    def _group(self, cells: Cells, file: Path, name: str) -> str | None:
        if self.label is None:
            return None
        if self.label == FOLDER and FOLDER not in cells:
            return file.parent.name
        return self._cell(cells, self.label, file, name, "--label")

    def _cell(
        self, cells: Cells, column: str, file: Path, name: str, option: str = "--text"
    ) -> str | None:
        if column not in cells:
            hint = did_you_mean(column, cells).replace("Allowed", "It has")
            more = f", or write `--label {FOLDER}`" if option == "--label" else ""
            raise DataError(
                f"the corpus must have the column {column!r}; {hint} Name another{more}.",
                Place(file, _line_of(name), field=option),
            )
        value = cells[column]
        return None if value is None else str(value)


Cells = Mapping[str, object]
Row = tuple[str, Cells, int]
"""A document's name, its columns, and the bytes read so far."""


def _files(root: Path) -> list[Path]:
    kinds = ", ".join(READERS)
    if not root.exists():
        raise DataError(f"there is no file or folder {str(root)!r}", Place(field=FIELD))
    if root.is_file() and root.suffix.lower() not in READERS:
        raise DataError(f"must be a file of one of the kinds {kinds}", Place(root, field=FIELD))
    found = (
        [root]
        if root.is_file()
        else sorted(p for p in root.rglob("*") if p.is_file() and p.suffix.lower() in READERS)
    )
    if not found:
        raise DataError(f"the folder holds no file of the kinds {kinds}", Place(root, field=FIELD))
    return found


def _line_of(name: str) -> int | None:
    last = name.rpartition(":")[2]
    return int(last) if last.isdigit() else None


def _decoded(file: Path, raw: bytes, line: int | None = None) -> str:
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(
            f"the text must be UTF-8; byte {raw[error.start]:#04x} is not: save it as UTF-8.",
            Place(file, line),
        ) from None


def _txt(file: Path) -> Iterator[Row]:
    """The whole file is one document."""
    raw = file.read_bytes()
    yield file.name, {"text": _decoded(file, raw)}, len(raw)


def _jsonl(file: Path) -> Iterator[Row]:
    read = 0
    with file.open("rb") as lines:
        for number, raw in enumerate(lines, start=1):
            read += len(raw)
            line = _decoded(file, raw, number).strip()
            if not line:
                continue
            try:
                cells = json.loads(line)
            except json.JSONDecodeError as error:
                problem = f"each line must be a JSON object: {error.msg}."
                raise DataError(problem, Place(file, number)) from None
            if not isinstance(cells, dict):
                raise DataError("each line must be a JSON object.", Place(file, number))
            yield f"{file.name}:{number}", cells, read


def _csv(file: Path) -> Iterator[Row]:
    csv.field_size_limit(sys.maxsize)  # a document may be longer than the default of 128 kB
    size, read = file.stat().st_size, 0
    try:
        with file.open(encoding="utf-8-sig", newline="") as content:
            rows = csv.DictReader(content)
            for cells in rows:
                read += sum(len(str(v).encode()) + 1 for v in cells.values() if v is not None)
                whole = {str(k): v for k, v in cells.items() if k is not None}
                yield f"{file.name}:{rows.line_num}", whole, min(read, size)
    except UnicodeDecodeError as error:
        byte = error.object[error.start]
        raise DataError(
            f"the text must be UTF-8; byte {byte:#04x} is not: save it as UTF-8.", Place(file)
        ) from None
    except csv.Error as error:
        raise DataError(f"the file is not readable as csv: {error}.", Place(file)) from None


def _parquet(file: Path) -> Iterator[Row]:
    import pyarrow as pa  # noqa: PLC0415 - only this kind of file needs it
    import pyarrow.parquet as pq  # noqa: PLC0415

    try:
        table = pq.ParquetFile(file)
    except (OSError, pa.ArrowException) as error:
        problem = f"the file is not readable as parquet: {error}."
        raise DataError(problem, Place(file)) from None
    size, rows, number = file.stat().st_size, max(table.metadata.num_rows, 1), 0
    for batch in table.iter_batches(batch_size=256):
        for cells in batch.to_pylist():
            number += 1
            yield f"{file.name}:{number}", cells, size * number // rows


READERS: dict[str, Callable[[Path], Iterator[Row]]] = {
    ".txt": _txt,
    ".jsonl": _jsonl,
    ".csv": _csv,
    ".parquet": _parquet,
}
"""The kinds of files that a corpus may have, by their endings."""
