"""The prompts table: read it, and say by file and line what is wrong with it."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from causal_sae.errors import DataError, Place, did_you_mean
from causal_sae.spec.design import Population
from causal_sae.spec.prompt_checks import (
    blocks_of,
    cell_label,
    check_records,
    clusters_of,
    is_missing,
    used_columns,
)
from causal_sae.spec.records import Records, read_records
from causal_sae.spec.trial import Trial

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class PromptsSummary:
    """What ``validate`` tells of a prompts table."""

    path: Path
    """The file."""
    columns: tuple[str, ...]
    """Its columns."""
    units: int
    """How many prompts it has."""
    blocks: int | None
    """How many blocks, if the design has any."""
    clusters: int | None
    """How many clusters, if the design has any."""


def read_prompts(trial: Trial, base: Path) -> pd.DataFrame:
    """Read the prompts of a trial; where it draws them from a pool, the pool.

    Parameters
    ----------
    trial:
        Names the file and its columns.
    base:
        The folder in which relative paths start: that of the trial file.

    Returns
    -------
    DataFrame
        ``unit_id`` (text, unique) first, then the file's columns. What the trial reads as text
        (prompts, targets, units, blocks, clusters) is text as written; other columns of a csv are
        numbers where every cell is one.

    Raises
    ------
    DataError
        Names the file, line and field of every problem; a file that is not there has only the
        field, whose place the trial file knows.
    """
    return _frame(trial, _checked(trial, base))


def check_prompts_file(trial: Trial, base: Path) -> PromptsSummary:
    """Check the prompts, or the pool that they are drawn from, without loading pandas.

    Parameters and errors are those of :func:`read_prompts`.
    """
    records = _checked(trial, base)
    blocks, clusters = blocks_of(trial, records), clusters_of(trial, records)
    return PromptsSummary(
        records.path,
        records.columns,
        len(records.rows),
        len(set(blocks)) if blocks else None,
        len(set(clusters)) if clusters else None,
    )


def prompts_source(population: Population | None) -> tuple[Path, str]:
    """The file that the prompts come from, and the field of the trial that names it.

    Raises
    ------
    DataError
        The trial declares no population.
    """
    if population is None:
        raise DataError(
            "the trial must say where its prompts are; add a section `population`.",
            Place(field="population"),
        )
    if population.enrich is not None and population.enrich.of is not None:
        return population.enrich.of, "population.enrich.of"
    return population.prompts, "population.prompts"


def _checked(trial: Trial, base: Path) -> Records:
    source, field = prompts_source(trial.population)
    file = base / source
    if not file.is_file():
        raise DataError(no_file(file), Place(field=field))
    records = read_records(file)
    check_records(trial, records)
    return records


def no_file(file: Path) -> str:
    """Why there is no table at this place, and what there is."""
    if file.is_dir():
        return f"the table must be a file; {file.name!r} is a folder."
    if not file.parent.is_dir():
        return f"there must be a table {str(file)!r}; its folder does not exist."
    tables = sorted(
        p.name for p in file.parent.iterdir() if p.suffix in {".csv", ".jsonl", ".parquet"}
    )
    there = did_you_mean(file.name, tables).replace("Allowed", "The folder has") if tables else ""
    return f"there must be a table {str(file)!r}; {there or 'its folder has none.'}"


def _frame(trial: Trial, records: Records) -> pd.DataFrame:
    import pandas as pd  # noqa: PLC0415 - `validate` does without

    unit = trial.population.unit if trial.population else None
    as_text = {n for n, f in used_columns(trial).items() if not f.startswith("analysis.")}
    names = (
        [str(row + 1) for row in range(len(records.rows))]
        if unit is None
        else [cell_label(cell) for cell in records.column(unit)]
    )
    data: dict[str, Sequence[object]] = {"unit_id": names}
    for name in records.columns:
        cells = records.column(name)
        if name in as_text:
            data[name] = [cell_label(cell) for cell in cells]
        elif name != "unit_id":
            data[name] = _typed(cells)
    frame = pd.DataFrame(data)
    return frame.astype({name: "str" for name in ("unit_id", *sorted(as_text))})


_WHOLE = re.compile(r"[+-]?\d{1,18}")
_DECIMAL = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?")


def _typed(cells: list[object]) -> Sequence[object]:
    """Numbers where every cell that is filled is one as text; else the cells as they are."""
    present = [cell.strip() for cell in cells if isinstance(cell, str) and cell.strip()]
    if len(present) == len(cells) and all(map(_WHOLE.fullmatch, present)):
        return [int(cell) for cell in present]
    filled = [cell for cell in cells if not is_missing(cell)]
    if present and len(present) == len(filled) and all(map(_DECIMAL.fullmatch, present)):
        return [math.nan if is_missing(cell) else float(str(cell)) for cell in cells]
    return [None if is_missing(cell) else cell for cell in cells]
