"""All that is measured, by name, and what measures it."""

from __future__ import annotations

import gc
from functools import cache
from typing import TypeAlias

from benchmarks.calibration.cells import Cell, by_key
from benchmarks.calibration.families import FamilyCell, family_cells, measure_family
from benchmarks.calibration.margins import MarginCell, margin_cells, measure_margin
from benchmarks.calibration.measure import Row, measure
from benchmarks.calibration.several_arms import SeveralCell, measure_several, several_cells
from benchmarks.calibration.sizes import SizeCell, measure_size, size_cells

AnyCell: TypeAlias = Cell | FamilyCell | SizeCell | MarginCell | SeveralCell

MILLISECONDS = {
    "randomization": 60.0,
    "dowhy": 25.0,
    "dowhy_iv": 25.0,
    "logistic": 8.0,
    "mixed": 10.0,
}
"""About how long one fit takes where it is long; others take one or two."""


@cache
def catalogue() -> dict[str, AnyCell]:
    """Name -> cell, in the order of the page."""
    cells: list[AnyCell] = [
        *by_key().values(),
        *margin_cells(),
        *size_cells(),
        *several_cells(),
        *family_cells(),
    ]
    return {cell.key: cell for cell in cells}


def cost(cell: AnyCell) -> float:
    """About how many milliseconds one fit takes: fast cells are measured first."""
    if isinstance(cell, MarginCell):
        return 5 + cost(cell.cell)
    if isinstance(cell, Cell):
        return MILLISECONDS.get(cell.registered, 1.5)
    if isinstance(cell, SeveralCell):
        return 20.0
    if isinstance(cell, FamilyCell):
        return 60.0 if "arms" in cell.world else 2.0
    return 4.0


MORE = 6
"""A default that seems not to hold is measured on so many times as many samples."""


def measured(key: str, repetitions: int) -> Row:
    """The row of one cell, made in whichever process this is.

    One in a thousand right rates falls outside the tolerance by chance, and a default outside it
    would have to be replaced: whether it is outside is then seen on more samples, with the narrower
    tolerance of those.
    """
    cell = catalogue()[key]
    gc.freeze()  # statsmodels collects garbage at every Holm correction
    row = _measured(cell, repetitions)
    failed = "does not hold" in (row.type_1_verdict, row.non_coverage_verdict)
    return _measured(cell, MORE * repetitions) if failed and row.default else row


def _measured(cell: AnyCell, repetitions: int) -> Row:
    if isinstance(cell, Cell):
        return measure(cell, repetitions)
    if isinstance(cell, FamilyCell):
        return measure_family(cell, repetitions)
    if isinstance(cell, SeveralCell):
        return measure_several(cell, repetitions)
    if isinstance(cell, SizeCell):
        return measure_size(cell, repetitions)
    return measure_margin(cell, repetitions)
