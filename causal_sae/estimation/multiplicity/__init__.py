"""Corrections for testing more than once, within declared families."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from causal_sae import flags
from causal_sae.errors import Place, SpecError, did_you_mean
from causal_sae.estimation.multiplicity import dunnett, graphical, maxt, single_step
from causal_sae.estimation.multiplicity.family import SAMPLE, Adjusted, Correction, Family
from causal_sae.estimation.multiplicity.p_values import (
    FIXED_SEQUENCE,
    fixed_sequence,
    none,
    of_p_values,
    statsmodels,
)

if TYPE_CHECKING:
    from causal_sae.spec import Multiplicity, Trial

CORRECTIONS: dict[str, Correction] = {
    "none": of_p_values(none),
    "bonferroni": of_p_values(partial(statsmodels, "bonferroni")),
    "holm": of_p_values(partial(statsmodels, "holm")),
    "hochberg": of_p_values(partial(statsmodels, "simes-hochberg")),
    "hommel": of_p_values(partial(statsmodels, "hommel")),
    "bh": of_p_values(partial(statsmodels, "fdr_bh")),
    "by": of_p_values(partial(statsmodels, "fdr_by")),
    "tsbh": of_p_values(partial(statsmodels, "fdr_tsbky")),
    "fixed_sequence": FIXED_SEQUENCE,
    "dunnett": dunnett.CORRECTION,
    "single_step": single_step.CORRECTION,
    "maxt": maxt.CORRECTION,
    "graphical": graphical.CORRECTION,
}
"""Name -> what it does with one family."""
JOINT = frozenset({"dunnett", "single_step", "maxt"})
"""Those that hold for Student's statistics and how they move together, not for any p-values."""

UNAVAILABLE: dict[str, str] = {}
"""Corrections that a trial can name and this version refuses, with what to do instead."""

__all__ = [
    "CORRECTIONS",
    "JOINT",
    "SAMPLE",
    "UNAVAILABLE",
    "Adjusted",
    "Correction",
    "Family",
    "adjust",
    "check_correction",
    "fixed_sequence",
]


def check_correction(trial: Trial, estimator: str) -> None:
    """Refuse a correction that is not available, or that does not fit the trial.

    Parameters
    ----------
    trial:
        Declares the correction.
    estimator:
        What its main estimates are made by.

    Raises
    ------
    SpecError
        Says what to use instead.
    """
    check = _known(trial.analysis.multiplicity.method).check
    if check is not None:
        check(trial, estimator)


def _known(method: str) -> Correction:
    place = Place(field="analysis.multiplicity.method")
    if method in UNAVAILABLE:
        raise SpecError(f"the correction {method!r} {UNAVAILABLE[method]}.", place)
    if method not in CORRECTIONS:
        hint = did_you_mean(method, CORRECTIONS)
        raise SpecError(f"the correction must be a known one, got {method!r}; {hint}", place)
    return CORRECTIONS[method]


def adjust(
    effects: pd.DataFrame,
    multiplicity: Multiplicity,
    alpha: float,
    trial: Trial | None = None,
    values: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """The effects with their families, adjusted p-values and rejections filled in.

    Parameters
    ----------
    effects:
        Rows with ``outcome``, ``role``, ``p_value`` and ``flags``, in the order of the trial; for
        corrections that need the units, all of the table's columns and :data:`SAMPLE`.
    multiplicity:
        The method, and what makes a family.
    alpha:
        A test is rejected when its adjusted p-value is at most this.
    trial, values:
        The trial and its units, for corrections that need them.

    Returns
    -------
    A copy without :data:`SAMPLE`. ``family_size`` counts the tests that have a p-value: a missing
    one neither weakens nor poisons the family, and is flagged ``p_missing`` with ``reject`` left
    empty.

    Raises
    ------
    SpecError
        The correction is not available, or needs more than p-values and there is no more.
    """
    correction = _known(multiplicity.method)
    if correction.needs_units and (trial is None or SAMPLE not in effects):
        raise SpecError(
            f"the correction {multiplicity.method!r} needs the outcomes of the units, but there "
            "are only p-values; use holm, which controls the same error rate.",
            Place(field="analysis.multiplicity.method"),
        )
    result = effects.copy()
    result["family"] = [
        multiplicity.family_of(str(role), str(outcome))
        for role, outcome in zip(result["role"], result["outcome"], strict=True)
    ]
    result["correction"] = multiplicity.method
    result["p_adjusted"], result["family_size"] = np.nan, 0
    for _, rows in sorted(result.groupby("family").indices.items()):
        family = Family(result.iloc[rows], multiplicity, alpha, trial, values)
        _fill(result, result.index[rows], family, correction.adjust(family))
    return _decided(result, alpha).drop(columns=SAMPLE, errors="ignore")


def _fill(result: pd.DataFrame, at: pd.Index, family: Family, adjusted: Adjusted) -> None:
    """Write what became of one family into its rows, in place."""
    result.loc[at, "p_adjusted"] = adjusted.p_values
    result.loc[at, "family_size"] = int(family.present.sum())
    if adjusted.correction is not None:
        result.loc[at, "correction"] = adjusted.correction
    if adjusted.intervals is None:
        return
    low, high = adjusted.intervals
    replaced = at[~np.isnan(low)]
    result.loc[replaced, "conf_low"] = low[~np.isnan(low)]
    result.loc[replaced, "conf_high"] = high[~np.isnan(low)]
    result.loc[replaced, "flags"] = [
        flags.join([*flags.split(cell), "simultaneous_interval"])
        for cell in result.loc[replaced, "flags"]
    ]


def _decided(result: pd.DataFrame, alpha: float) -> pd.DataFrame:
    """The rows with ``reject`` filled in, and a flag where there is no test."""
    missing = result["p_value"].isna().to_numpy(bool)
    reject = pd.array(result["p_adjusted"].to_numpy(np.float64) <= alpha, dtype="boolean")
    reject[missing] = pd.NA
    cells = [
        _flag_missing(cell) if absent else cell
        for cell, absent in zip(result["flags"], missing, strict=True)
    ]
    return result.assign(reject=reject, flags=cells)


def _flag_missing(cell: str) -> str:
    codes = flags.split(cell)
    known = "finite_population_exact" in codes
    return cell if known else flags.join([*codes, "p_missing"])
