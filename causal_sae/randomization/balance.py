"""How alike the arms are in what was known before: a description, without p-values."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from causal_sae.errors import DataError, did_you_mean

if TYPE_CHECKING:
    import pandas as pd

Values = NDArray[np.float64]

COLUMNS = ("covariate", "arm", "reference", "mean_treatment", "mean_reference", "sd", "smd")
MAX_LEVELS = 20
"""Rarer levels of a categorical covariate are put together as ``other``."""


def standardised_difference(treatment: Values, reference: Values) -> tuple[float, float]:
    """The spread of a covariate, and the difference of its means in units of that spread.

    Parameters
    ----------
    treatment, reference:
        The covariate's values in the two arms, shapes ``[n]`` and ``[m]``; NaN are left out.

    Returns
    -------
    sd:
        The root of the mean of the two arms' variances.
    smd:
        0 for equal means without spread, infinite for unequal ones.

    Notes
    -----
    Source: Austin (2009), Balance diagnostics for comparing the distribution of baseline
    covariates; Statistics in Medicine 28, 3083.
    """
    treatment, reference = treatment[~np.isnan(treatment)], reference[~np.isnan(reference)]
    if min(len(treatment), len(reference)) < 2:
        return float("nan"), float("nan")
    sd = float(np.sqrt((treatment.var(ddof=1) + reference.var(ddof=1)) / 2))
    difference = float(treatment.mean() - reference.mean())
    if sd == 0:
        return sd, float(np.copysign(np.inf, difference)) if difference else 0.0
    return sd, difference / sd


def balance_table(
    assignment: pd.DataFrame, covariates: pd.DataFrame, reference: str | None = None
) -> pd.DataFrame:
    """Compare every arm with the reference on every covariate.

    Parameters
    ----------
    assignment:
        ``unit_id`` and ``arm``.
    covariates:
        ``unit_id`` and one column for each covariate. Numbers and flags are compared by their
        means, text by the share of each level; missing cells are a level of their own.
    reference:
        The arm that the others are compared with; default: the first in the alphabet.

    Returns
    -------
    DataFrame
        One row for each covariate (or level) and arm, with the columns ``COLUMNS``.

    Raises
    ------
    DataError
        If ``reference`` is not an arm, or a unit has no covariates.
    """
    import pandas as pd  # noqa: PLC0415 - what imports this module may not need tables

    arms = assignment["arm"].astype(str).to_numpy()
    names = sorted(set(arms))
    first = reference if reference is not None else names[0]
    if first not in names:
        raise DataError(
            f"the reference must be an arm, not {first!r}: {did_you_mean(first, names)}"
        )
    rows = []
    for covariate, values in _numeric(_lookup(assignment, covariates)):
        base = values[arms == first]
        for arm in names:
            if arm != first:
                here = values[arms == arm]
                sd, smd = standardised_difference(here, base)
                rows.append((covariate, arm, first, _mean(here), _mean(base), sd, smd))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _lookup(assignment: pd.DataFrame, covariates: pd.DataFrame) -> pd.DataFrame:
    known = covariates.assign(unit_id=covariates["unit_id"].astype(str)).set_index("unit_id")
    units = assignment["unit_id"].astype(str)
    lost = sorted(set(units) - set(known.index))
    if lost:
        raise DataError(f"every assigned unit must have covariates; unit {lost[0]!r} has none.")
    return known.loc[units.to_list()]


def _mean(values: Values) -> float:
    present = values[~np.isnan(values)]
    return float(present.mean()) if len(present) else float("nan")


def _numeric(covariates: pd.DataFrame) -> Iterator[tuple[str, Values]]:
    """Every covariate as numbers: itself, or 0 and 1 for each of its levels."""
    from pandas.api.types import is_bool_dtype, is_numeric_dtype  # noqa: PLC0415

    for name in covariates.columns:
        column = covariates[name]
        missing = column.isna().to_numpy()
        if is_numeric_dtype(column) or is_bool_dtype(column):
            numbers = column.astype("Float64").to_numpy(dtype="float64", na_value=np.nan)
            yield str(name), np.asarray(numbers, dtype=np.float64)
            if missing.any():
                yield f"{name}: missing", missing.astype(float)
        else:
            yield from _levels(str(name), column, missing)


def _levels(
    name: str, column: pd.Series[str], missing: NDArray[np.bool_]
) -> Iterator[tuple[str, Values]]:
    text = column.astype(str).to_numpy(dtype=object)
    levels = column[~missing].astype(str).value_counts().index.tolist()
    kept = levels if len(levels) <= MAX_LEVELS else levels[: MAX_LEVELS - 1]
    for level in sorted(kept):
        yield f"{name}: {level}", ((text == level) & ~missing).astype(float)
    if len(levels) > len(kept):
        yield f"{name}: other", (~np.isin(text, kept) & ~missing).astype(float)
    if missing.any():
        yield f"{name}: missing", missing.astype(float)
