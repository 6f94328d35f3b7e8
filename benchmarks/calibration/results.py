"""What was measured so far: one row per cell in a CSV that a stopped run goes on from."""

from __future__ import annotations

import hashlib
import inspect
from dataclasses import fields
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.calibration.catalogue import AnyCell
from benchmarks.calibration.cells import Cell, fallback
from benchmarks.calibration.families import FamilyCell
from benchmarks.calibration.margins import MarginCell
from benchmarks.calibration.measure import Row
from benchmarks.calibration.several_arms import SeveralCell
from causal_sae.estimation import arm_means, emax, monotone, skewness
from causal_sae.estimation.effect_sizes import KINDS
from causal_sae.estimation.estimators.hall import BASES
from causal_sae.estimation.multiplicity import CORRECTIONS

RESULTS = Path(__file__).with_name("results.csv")
COLUMNS = ["key", *(field.name for field in fields(Row))]

NUMBERS = frozenset(
    {
        *("default", "repetitions", "type_1", "non_coverage", "power", "no_inference"),
        *("product_error", "seconds"),
    }
)


def fingerprint(cell: AnyCell) -> str:
    """Changes when the file of what is measured, or the function of its world, does."""
    if isinstance(cell, MarginCell):
        return fingerprint(cell.cell)
    if isinstance(cell, SeveralCell):
        measured = "".join(map(inspect.getsource, (arm_means, monotone, emax)))
        return hashlib.sha256(f"{measured}{_source(cell.draw)}".encode()).hexdigest()[:8]
    if isinstance(cell, Cell):
        measured = inspect.getsource(inspect.getmodule(cell.estimator.fit) or Cell)
        if skewness.__name__ in measured:
            measured += inspect.getsource(skewness)
    elif isinstance(cell, FamilyCell):
        adjust = CORRECTIONS[cell.method].adjust
        measured = inspect.getsource(inspect.getmodule(inspect.unwrap(adjust)) or FamilyCell)
    else:
        measured = inspect.getsource(inspect.getmodule(KINDS[cell.kind].of) or Cell)
    text = f"{measured}\n{'' if isinstance(cell, FamilyCell) else _source(cell.world.make)}"
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _source(make: object) -> str:
    if isinstance(make, partial):
        return f"{inspect.getsource(make.func)}{sorted(make.keywords.items(), key=str)}"
    return inspect.getsource(make)  # type: ignore[arg-type]


def load(path: Path = RESULTS) -> pd.DataFrame:
    """The rows measured so far, the newest of each cell, in the order of the cells' names."""
    if not path.exists():
        return pd.DataFrame(columns=COLUMNS)
    texts = [name for name in COLUMNS if name not in NUMBERS]
    table = pd.read_csv(path, dtype=dict.fromkeys(texts, "str"))
    table[texts] = table[texts].fillna("")
    return table.drop_duplicates("key", keep="last", ignore_index=True)


def append(key: str, row: Row, path: Path = RESULTS) -> None:
    """Add one row at the end of the file."""
    table = pd.DataFrame([{"key": key, **row.as_dict()}], columns=COLUMNS)
    table.to_csv(path, mode="a", header=not path.exists(), index=False, float_format="%.6g")


def _superseded(cell: AnyCell) -> bool:
    """Whether `auto` takes another estimator than the cell's where units are independent."""
    measured = cell.cell if isinstance(cell, MarginCell) else cell
    if not isinstance(measured, Cell) or measured.registered not in BASES:
        return False
    return fallback(measured.world) != measured.registered


def rewrite(table: pd.DataFrame, cells: dict[str, AnyCell], path: Path = RESULTS) -> pd.DataFrame:
    """The rows of the cells that exist, in the order of the catalogue; the file holds the same."""
    order = {key: i for i, key in enumerate(cells)}
    kept = table[table["key"].isin(order)].copy()
    # What `auto` takes may have changed since a cell was measured; its rates have not.
    superseded = [_superseded(cells[key]) for key in kept["key"]]
    kept["default"] = kept["default"].astype(bool) & ~np.array(superseded, dtype=np.bool_)
    kept = kept.sort_values("key", key=lambda keys: keys.map(order), ignore_index=True)
    kept.to_csv(path, index=False, float_format="%.6g")
    return kept
