"""Corrections for testing more than once, within declared families."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from statsmodels.stats.multitest import multipletests

from causal_sae import flags
from causal_sae.errors import Place, SpecError, did_you_mean
from causal_sae.estimation import dunnett

if TYPE_CHECKING:
    from causal_sae.estimation.sample import Codes, Vector
    from causal_sae.spec import Multiplicity

Correction = Callable[["Vector"], "Vector"]


def _multipletests(method: str) -> Correction:
    """A correction of statsmodels, as a function of the p-values [tests]."""

    def adjust(p_values: Vector) -> Vector:
        adjusted: Vector = multipletests(p_values, method=method)[1]
        return adjusted

    return adjust


def _none(p_values: Vector) -> Vector:
    return p_values


def fixed_sequence(p_values: Vector) -> Vector:
    """Tests in their declared order, each only if all before it were significant.

    The adjusted p-value is the largest so far; a test that could not be made stops the sequence.
    """
    adjusted: Vector = np.maximum.accumulate(np.where(np.isnan(p_values), 1.0, p_values))
    return adjusted


CORRECTIONS: dict[str, Correction] = {
    "none": _none,
    "bonferroni": _multipletests("bonferroni"),
    "holm": _multipletests("holm"),
    "hochberg": _multipletests("simes-hochberg"),
    "hommel": _multipletests("hommel"),
    "bh": _multipletests("fdr_bh"),
    "by": _multipletests("fdr_by"),
    "fixed_sequence": fixed_sequence,
}
"""Name -> function of the p-values of one family, none of them NaN."""

DUNNETT = "dunnett"
"""Needs more of a row than its p-value: see :mod:`causal_sae.estimation.dunnett`."""

UNAVAILABLE: dict[str, str] = {
    "tsbh": "is not available yet; use bh",
    "single_step": "is not available yet; use dunnett or holm",
    "graphical": "is not available yet; use fixed_sequence or holm",
    "maxt": "is not available yet; use `dunnett` for independent arms against one reference, or "
    "use holm, which controls the same error rate under any dependence",
}
"""Corrections that a trial can name and this version refuses, with what to do instead."""


def check_correction(method: str) -> None:
    """Refuse a correction that is not available.

    Raises
    ------
    SpecError
        Says what to use instead.
    """
    place = Place(field="analysis.multiplicity.method")
    if method in UNAVAILABLE:
        raise SpecError(f"the correction {method!r} {UNAVAILABLE[method]}.", place)
    if method not in (*CORRECTIONS, DUNNETT):
        hint = did_you_mean(method, (*CORRECTIONS, DUNNETT))
        raise SpecError(f"the correction must be a known one, got {method!r}; {hint}", place)


def adjust(effects: pd.DataFrame, multiplicity: Multiplicity, alpha: float) -> pd.DataFrame:
    """The effects with their families, adjusted p-values and rejections filled in.

    Parameters
    ----------
    effects:
        Rows with ``outcome``, ``role``, ``p_value`` and ``flags``, in the order of the trial.
    multiplicity:
        The method, and what makes a family.
    alpha:
        A test is rejected when its adjusted p-value is at most this.

    Returns
    -------
    A copy. ``family_size`` counts the tests that have a p-value: a missing one neither weakens
    nor poisons the family, and is flagged ``p_missing`` with ``reject`` left empty.
    """
    check_correction(multiplicity.method)
    result = effects.copy()
    result["family"] = _families(result, multiplicity.family)
    result["correction"] = multiplicity.method
    p_values = result["p_value"].to_numpy(dtype=np.float64)
    adjusted, size = np.full(len(result), np.nan), np.zeros(len(result), dtype=np.int64)
    for _, rows in sorted(result.groupby("family").indices.items()):
        if multiplicity.method == DUNNETT:
            adjusted[rows] = _simultaneous(result, np.asarray(rows, dtype=np.int64), alpha)
        else:
            adjusted[rows] = _adjust_family(p_values[rows], multiplicity.method)
        size[rows] = int(np.sum(~np.isnan(p_values[rows])))
    missing = np.isnan(p_values)
    result["p_adjusted"], result["family_size"] = adjusted, size
    result["reject"] = pd.array(adjusted <= alpha, dtype="boolean")
    result.loc[missing, "reject"] = pd.NA
    result["flags"] = [
        _flag_missing(cell) if absent else cell
        for cell, absent in zip(result["flags"], missing, strict=True)
    ]
    return result


def _families(effects: pd.DataFrame, kind: str) -> pd.Series:
    return pd.Series("all", index=effects.index) if kind == "all" else effects[kind]


def _adjust_family(p_values: Vector, method: str) -> Vector:
    """[tests] adjusted p-values; NaN stays NaN."""
    present = ~np.isnan(p_values)
    adjusted = np.full(len(p_values), np.nan)
    if method == "fixed_sequence":
        adjusted[present] = fixed_sequence(p_values)[present]
    elif present.any():
        adjusted[present] = CORRECTIONS[method](p_values[present])
    return adjusted


def _simultaneous(effects: pd.DataFrame, rows: Codes, alpha: float) -> Vector:
    """Dunnett's adjusted p-values of one family, whose intervals are replaced in place.

    One-sided tests have another distribution, so a family with some is Holm's.
    """
    family = effects.iloc[rows]
    p_values = family["p_value"].to_numpy(dtype=np.float64)
    one_sided = family["flags"].map(lambda cell: "margin_test" in flags.split(cell)).to_numpy(bool)
    if one_sided.any():
        effects.loc[effects.index[rows], "correction"] = "holm"
        return _adjust_family(p_values, "holm")
    present = ~np.isnan(p_values)
    adjusted = np.full(len(rows), np.nan)
    if present.any():
        adjusted[present] = dunnett.adjusted(family[present])
        low, high = dunnett.intervals(family[present], alpha)
        at = effects.index[rows[present]]
        effects.loc[at, "conf_low"], effects.loc[at, "conf_high"] = low, high
        marked = [flags.join([*flags.split(c), "simultaneous_interval"]) for c in family["flags"]]
        effects.loc[at, "flags"] = np.array(marked, dtype=object)[present]
    return adjusted


def _flag_missing(cell: str) -> str:
    codes = flags.split(cell)
    known = "finite_population_exact" in codes
    return cell if known else flags.join([*codes, "p_missing"])
