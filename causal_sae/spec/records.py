"""A table's rows as they stand in a csv, jsonl or parquet file, with their line numbers.

csv is read by the standard library and not by pandas: each cell stays as written (``007``, ``NA``
and a leading space survive), each row knows its line, and ``validate`` starts fast.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from causal_sae.errors import DataError, Place

Cell = object


@dataclass(frozen=True)
class Records:
    """The rows of a table."""

    path: Path
    """The file."""
    columns: tuple[str, ...]
    """The names, in the file's order."""
    rows: list[tuple[Cell, ...]]
    """The cells; in csv each is text."""
    lines: list[int] | None
    """The line on which each row begins; parquet has none."""

    def column(self, name: str) -> list[Cell]:
        """The cells of one column."""
        index = self.columns.index(name)
        return [row[index] for row in self.rows]

    def place(self, row: int | None, field: str | None = None) -> Place:
        """Where a row (or, without one, the header) stands."""
        line = None if self.lines is None else self.lines[row] if row is not None else 1
        return Place(self.path, line, None, field)

    def where(self, row: int) -> str:
        """``""``, or ``row 7: `` where the file has no lines."""
        return "" if self.lines is not None else f"row {row + 1}: "


def read_records(path: Path) -> Records:
    """Read a table.

    Raises
    ------
    DataError
        If the file is no table: the line and what to do.
    """
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise DataError(
            f"a table must be a file of one of the kinds {', '.join(READERS)}, "
            f"not {path.suffix or 'one without an ending'!r}.",
            Place(path),
        )
    try:
        return reader(path)
    except OSError as error:
        why = error.strerror or error
        raise DataError(f"the table must be readable: {why}.", Place(path)) from None


def _decoded(path: Path) -> str:
    raw = path.read_bytes()
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = raw[: error.start]
        place = Place(path, before.count(b"\n") + 1, error.start - before.rfind(b"\n"))
        raise DataError(
            f"the table must be UTF-8; byte {raw[error.start]:#04x} is not: save it as UTF-8.",
            place,
        ) from None


def _csv(path: Path) -> Records:
    reader = csv.reader(_decoded(path).splitlines(keepends=True), strict=True)
    rows: list[tuple[Cell, ...]] = []
    lines: list[int] = []
    header: tuple[str, ...] | None = None
    begins = 1
    try:
        for cells in reader:
            if header is None and cells:
                header = _checked_header(cells, Place(path, begins))
            elif header is not None and cells:
                _refuse_ragged(cells, header, Place(path, begins))
                rows.append(tuple(cells))
                lines.append(begins)
            begins = reader.line_num + 1
    except csv.Error as error:
        raise DataError(
            f"this row must be csv, but {error}; close every quote, and double those inside "
            'quotes ("").',
            Place(path, begins),
        ) from None
    if header is None:
        raise DataError(
            "the table must begin with a line of column names; it is empty.", Place(path)
        )
    return Records(path, header, rows, lines)


def _checked_header(cells: list[str], place: Place) -> tuple[str, ...]:
    if len(cells) == 1 and any(mark in cells[0] for mark in ";\t"):
        mark = "semicolons" if ";" in cells[0] else "tabs"
        raise DataError(f"columns must be separated by commas, not by {mark}; save it so.", place)
    for index, name in enumerate(cells):
        if not name.strip():
            raise DataError(f"every column must have a name; number {index + 1} has none.", place)
        if name in cells[:index]:
            raise DataError(f"column names must differ; {name!r} stands twice.", place)
    return tuple(cells)


def _refuse_ragged(cells: list[str], header: tuple[str, ...], place: Place) -> None:
    if len(cells) == len(header):
        return
    hint = (
        "put text that holds commas in quotes"
        if len(cells) > len(header)
        else "give every cell, empty or not, its comma"
    )
    raise DataError(
        f"every row must have {len(header)} cells, as the header has; this has {len(cells)}: "
        f"{hint}.",
        place,
    )


def _jsonl(path: Path) -> Records:
    objects: list[dict[str, Cell]] = []
    lines: list[int] = []
    for number, line in enumerate(_decoded(path).split("\n"), start=1):
        if line.strip():
            objects.append(_json_object(line, path, number))
            lines.append(number)
    columns = tuple(dict.fromkeys(name for one in objects for name in one))
    if not columns:
        raise DataError("the table must have at least one line; it is empty.", Place(path))
    rows = [tuple(one.get(name) for name in columns) for one in objects]
    return Records(path, columns, rows, lines)


def _json_object(line: str, path: Path, number: int) -> dict[str, Cell]:
    try:
        read = json.loads(line)
    except json.JSONDecodeError as error:
        raise DataError(
            f"every line must be one JSON object, but {error.msg.lower()}; mend the line.",
            Place(path, number, error.colno),
        ) from None
    except (RecursionError, ValueError):
        raise DataError(
            "every line must be one JSON object; this one cannot be read.", Place(path, number)
        ) from None
    if not isinstance(read, dict):
        raise DataError(
            'every line must be one JSON object such as {"text": "..."}; '
            f"this one is a {type(read).__name__}.",
            Place(path, number),
        )
    return read


def _parquet(path: Path) -> Records:
    import pyarrow  # noqa: PLC0415 - takes longer to load than a csv to check
    from pyarrow import parquet  # noqa: PLC0415

    try:
        table = parquet.read_table(path)
        columns = tuple(str(name) for name in table.column_names)
        cells = [column.to_pylist() for column in table.columns]
    except (pyarrow.ArrowException, ValueError) as error:
        why = str(error).split("\n")[0].rstrip(".")
        raise DataError(f"the table must be parquet, but {why}.", Place(path)) from None
    return Records(path, columns, list(zip(*cells, strict=True)), None)


READERS: Mapping[str, Callable[[Path], Records]] = {
    ".csv": _csv,
    ".jsonl": _jsonl,
    ".parquet": _parquet,
}
"""How each kind of file is read, by its ending."""
