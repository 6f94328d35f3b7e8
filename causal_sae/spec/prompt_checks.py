"""What must hold of a prompts table, row by row."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from causal_sae.errors import DataError, Place, did_you_mean
from causal_sae.spec.base import Column
from causal_sae.spec.records import Records
from causal_sae.spec.rules import CLEAN_OUTCOME
from causal_sae.spec.trial import Trial

if TYPE_CHECKING:
    import pandas as pd

MAX_PROBLEMS = 20
"""How many problems of one table are told at once."""


def cell_label(value: object) -> str:
    """A block's or cluster's name as text: ``3``, ``3.0`` and ``"3"`` are the same."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def block_label(cells: Iterable[object]) -> str:
    """The name of a combination of cells; different combinations have different names."""
    labels = [cell_label(cell) for cell in cells]
    if len(labels) == 1:
        return labels[0]
    return "|".join(label.replace("\\", "\\\\").replace("|", "\\|") for label in labels)


def used_columns(trial: Trial) -> dict[str, str]:
    """The columns that a trial reads from its prompts, and the first field that names each."""
    named: list[tuple[str, str]] = []
    if trial.population is not None:
        named.append((trial.population.text, "population.text"))
        if trial.population.unit is not None:
            named.append((trial.population.unit, "population.unit"))
    named += [(name, f"assignment.block_by[{i}]") for i, name in enumerate(block_by(trial))]
    if trial.assignment.cluster_by is not None:
        named.append((trial.assignment.cluster_by, "assignment.cluster_by"))
    for i, outcome in enumerate(trial.outcomes):
        for field, value in outcome:
            if isinstance(value, Column):
                named.append((value.column, f"outcomes[{i}].{field}.column"))
    named += [
        (name, f"analysis.covariates[{i}]")
        for i, name in enumerate(trial.analysis.covariates)
        if name != CLEAN_OUTCOME
    ]
    named += [(name, f"assignment.rerandomize.on[{i}]") for i, name in enumerate(_on(trial))]
    columns: dict[str, str] = {}
    for name, field in named:
        columns.setdefault(name, field)
    return columns


def _on(trial: Trial) -> tuple[str, ...]:
    """The columns on which arms are made alike; none in most trials."""
    return () if trial.rerandomize is None else trial.rerandomize.on


def block_by(trial: Trial) -> tuple[str, ...]:
    """The columns whose combinations are the blocks; none in most schemes."""
    columns: tuple[str, ...] | None = getattr(trial.assignment, "block_by", None)
    return columns or ()


def check_records(trial: Trial, records: Records) -> None:
    """Check the columns and rows of a prompts table.

    Raises
    ------
    DataError
        Names the file, line and field of every problem.
    """
    _raise_all(_missing_columns(trial, records))
    _raise_all(
        list(_bad_cells(trial, records))
        or [*_split_clusters(trial, records), *_too_few(trial, records)]
    )


def check_units(trial: Trial, units: pd.DataFrame) -> None:
    """Check that units made in Python can be assigned.

    Raises
    ------
    DataError
        If a column is missing, an identifier stands twice, a block or cluster is empty, a cluster
        lies in two blocks, or there are too few units.
    """
    design = list(dict.fromkeys((*block_by(trial), *_cluster_column(trial))))
    for name in ("unit_id", *design):
        if name not in units:
            raise DataError(
                f"the units must have the column {name!r}; "
                f"{did_you_mean(name, units.columns).replace('Allowed', 'They have')}"
            )
    columns = ["unit_id", *design]
    rows = list(units[columns].itertuples(index=False, name=None))
    records = Records(Path("units"), tuple(columns), rows, None)
    problems = [
        *(p for name in columns for p in _empty_cells(records, name, "assignment")),
        *_repeated_units(records, "unit_id"),
    ]
    _raise_all(problems or [*_split_clusters(trial, records), *_too_few(trial, records)])


def _raise_all(problems: Sequence[DataError]) -> None:
    if not problems:
        return
    first, others = problems[0], list(problems[1:MAX_PROBLEMS])
    if len(problems) > MAX_PROBLEMS:
        others.append(DataError(f"and {len(problems) - MAX_PROBLEMS} more problems of this kind."))
    raise DataError(first.message, first.place, others)


def _missing_columns(trial: Trial, records: Records) -> list[DataError]:
    problems = [
        DataError(
            f"the table must have the column {name!r}; "
            f"{did_you_mean(name, records.columns).replace('Allowed', 'It has')}",
            records.place(None, field),
        )
        for name, field in used_columns(trial).items()
        if name not in records.columns
    ]
    unit = trial.population.unit if trial.population else "unit_id"
    if "unit_id" in records.columns and unit not in {None, "unit_id"}:
        problems.append(_clash(records, "remove the column"))
    if "unit_id" in records.columns and unit is None:
        problems.append(_clash(records, "say `unit: unit_id`"))
    if CLEAN_OUTCOME in records.columns:
        problems.append(
            DataError(
                f"no column may be called {CLEAN_OUTCOME!r}, which is what the untouched model's "
                "outcome is called; rename it.",
                records.place(None),
            )
        )
    return problems


def _clash(records: Records, remedy: str) -> DataError:
    return DataError(
        f"the column 'unit_id' must be the one that names the units; {remedy}, or rename it.",
        records.place(None, "population.unit"),
    )


def is_missing(cell: object) -> bool:
    """Whether a cell holds nothing: no text, null or NaN."""
    if cell is None or cell == "":
        return True
    # pandas' NA and NaT are not equal to themselves either, and NA has no truth value.
    return type(cell).__name__ in {"NAType", "NaTType"} or (
        isinstance(cell, float) and math.isnan(cell)
    )


def _bad_cells(trial: Trial, records: Records) -> Iterator[DataError]:
    population = trial.population
    if population is not None:
        yield from _blank_text(records, population.text)
    if population is not None and population.unit is not None:
        yield from _empty_cells(records, population.unit, "population.unit")
        yield from _repeated_units(records, population.unit)
    for name, field in used_columns(trial).items():
        if not field.startswith("population."):
            yield from _empty_cells(records, name, field)
        if field.startswith("outcomes"):
            yield from _not_text(records, name, field)


def _blank_text(records: Records, name: str) -> Iterator[DataError]:
    for row, cell in enumerate(records.column(name)):
        if is_missing(cell) or (isinstance(cell, str) and not cell.strip()):
            yield DataError(
                f"{records.where(row)}every prompt must have text; the cell in column {name!r} is "
                "empty: fill it or remove the row.",
                records.place(row, "population.text"),
            )
    yield from _not_text(records, name, "population.text")


def _not_text(records: Records, name: str, field: str) -> Iterator[DataError]:
    for row, cell in enumerate(records.column(name)):
        if not isinstance(cell, str) and not is_missing(cell):
            yield DataError(
                f"{records.where(row)}column {name!r} must hold text, not {cell!r:.60}; "
                "write it as text.",
                records.place(row, field),
            )


def _empty_cells(records: Records, name: str, field: str) -> Iterator[DataError]:
    for row, cell in enumerate(records.column(name)):
        if is_missing(cell):
            yield DataError(
                f"{records.where(row)}column {name!r} must have a value in every row; this cell is "
                "empty: fill it or remove the row.",
                records.place(row, field),
            )
        elif isinstance(cell, dict | list | tuple):
            yield DataError(
                f"{records.where(row)}column {name!r} must hold one value in a cell, not a "
                f"{type(cell).__name__}; write it as text.",
                records.place(row, field),
            )


def _repeated_units(records: Records, name: str) -> Iterator[DataError]:
    first: dict[str, int] = {}
    for row, cell in enumerate(records.column(name)):
        if is_missing(cell):
            continue
        unit = cell_label(cell)
        if unit in first:
            seen = first[unit]
            where = f"line {records.lines[seen]}" if records.lines else f"row {seen + 1}"
            yield DataError(
                f"{records.where(row)}each unit must stand once, but {unit!r} in column {name!r} "
                f"stands also in {where}; give each its own name.",
                records.place(row, "population.unit"),
            )
        first.setdefault(unit, row)


def _cluster_column(trial: Trial) -> tuple[str, ...]:
    column = trial.assignment.cluster_by
    return () if column is None else (column,)


def blocks_of(trial: Trial, records: Records) -> list[str]:
    """The block of each row; empty without blocks."""
    columns = [records.column(name) for name in block_by(trial)]
    return [block_label(cells) for cells in zip(*columns, strict=True)]


def clusters_of(trial: Trial, records: Records) -> list[str]:
    """The cluster of each row; empty without clusters."""
    return [cell_label(cell) for name in _cluster_column(trial) for cell in records.column(name)]


def _split_clusters(trial: Trial, records: Records) -> Iterator[DataError]:
    if trial.assignment.method != "block_cluster":
        return
    home: dict[str, str] = {}
    told: set[str] = set()
    pairs = zip(blocks_of(trial, records), clusters_of(trial, records), strict=True)
    for row, (block, cluster) in enumerate(pairs):
        first = home.setdefault(cluster, block)
        if first != block and cluster not in told:
            told.add(cluster)
            yield DataError(
                f"{records.where(row)}every cluster must lie in one block, but {cluster!r} is in "
                f"{first!r} and here in {block!r}; split the cluster or merge the blocks.",
                records.place(row, "assignment.cluster_by"),
            )


def _too_few(trial: Trial, records: Records) -> Iterator[DataError]:
    by_cluster = trial.assignment.method in {"cluster", "block_cluster"}
    what = "clusters" if by_cluster else "units"
    n = len(set(clusters_of(trial, records))) if by_cluster else len(records.rows)
    need = 1 if trial.within_unit else len(trial.arms)
    if n < need:
        yield DataError(
            f"there must be at least {need} {what} for {len(trial.arms)} arms, not {n}; "
            "add prompts or drop arms.",
            Place(records.path, field="arms"),
        )
