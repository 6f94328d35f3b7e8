"""Verdicts on the labels of features, from what edits of them changed.

Each claim of a feature to a concept makes six tests of effect and four of harm; one verdict comes
of them by the rule in :mod:`causal_sae.spec.verdicts`. ``docs/explanation/concept-verdicts.md``
gives the reasons and error rates.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from causal_sae.estimation.screens.adjustment import adjusted
from causal_sae.estimation.screens.effects import FEWEST, Differences, Means, means
from causal_sae.spec.verdicts import EFFECTS, GUARDS, Requirement

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Limits:
    """What is asked."""

    alpha: float
    method: str
    """One of :data:`causal_sae.estimation.screens.adjustment.METHODS`."""
    least: float
    margins: dict[str, float]
    """Of ``kl`` and ``nll``."""


def effects(observed: pd.DataFrame, claims: int, limits: Limits) -> pd.DataFrame:
    """Every test of every claim.

    Parameters
    ----------
    observed:
        claim (0 to ``claims - 1``), text, arm, concept, kl, nll: treated minus untouched.
    claims:
        How many there are.
    limits:
        What is asked.

    Returns
    -------
    DataFrame
        claim, requirement, n, estimate, std_error, conf_low, conf_high (two-sided, one by one),
        limit, p_holds (against: it does not), p_fails (against: it does; of effects: it is
        ``least`` or more). NaN where fewer than ten texts were measured.
    """
    wide = {
        measure: observed.pivot(index=["claim", "text"], columns="arm", values=measure)
        for measure in ("concept", "kl", "nll")
    }
    rows = []
    for one in (*EFFECTS, *GUARDS):
        table = wide[one.measure]
        missing = pd.Series(np.nan, index=table.index)
        value = table.get(one.arm, missing)
        if one.reference is not None:
            value = value - table.get(one.reference, missing)
        rows.append(_tests(one, value.dropna(), claims, limits))
    return pd.concat(rows, ignore_index=True)


def _tests(one: Requirement, value: pd.Series[float], claims: int, limits: Limits) -> pd.DataFrame:
    claim = value.index.get_level_values("claim").to_numpy(np.int64)
    given = np.asarray(value, dtype=np.float64)
    plain = _means(claim, given, claims, limits.alpha)
    limit = 0.0 if one in EFFECTS else limits.margins[one.measure]
    other = one.sign * limits.least if one in EFFECTS else limit
    holds = _above(claim, one.sign * (given - limit), claims)
    fails = _above(claim, -one.sign * (given - other), claims)
    return pd.DataFrame(
        {
            "claim": np.arange(claims),
            "requirement": one.name,
            "n": plain.measured,
            "estimate": plain.mean,
            "std_error": plain.std_error,
            "conf_low": np.where(np.isfinite(plain.p_value), plain.low, np.nan),
            "conf_high": np.where(np.isfinite(plain.p_value), plain.high, np.nan),
            "limit": limit,
            "p_holds": holds,
            "p_fails": fails,
        }
    )


def _means(claim: NDArray[np.int64], value: Floats, claims: int, alpha: float) -> Means:
    measured = np.bincount(claim, minlength=claims).astype(np.int64)
    unit = np.arange(len(claim))
    return means(Differences(claim, unit, value, measured, max(len(claim), 1)), alpha)


def _above(claim: NDArray[np.int64], value: Floats, claims: int) -> Floats:
    """``[claims]`` one-sided p-values against: the mean is zero or less.

    Where all values are the same to the last bit there is no spread and nothing to estimate: the
    mean is known, if there are enough of them.
    """
    found = _means(claim, value, claims, 0.05)
    half = found.p_value / 2
    p_value = np.where(found.statistic > 0, half, 1 - half)
    known = (found.measured >= FEWEST) & ~np.isfinite(found.p_value)
    return np.where(known, np.where(found.mean > 0, 0.0, 1.0), p_value)


def verdicts(tests: pd.DataFrame, limits: Limits) -> pd.DataFrame:
    """One row a claim: claim, verdict, p and adjusted p of each kind, and what decided.

    Parameters
    ----------
    tests:
        What :func:`effects` gave.
    limits:
        What is asked.
    """
    holds, fails = (tests.pivot(index="claim", columns="requirement", values=c) for c in _PS)
    names, guards = [one.name for one in EFFECTS], [one.name for one in GUARDS]
    result = pd.DataFrame({"claim": holds.index})
    # A test that could not be made leaves the claim in the family, with nothing shown.
    result["p_upheld"] = holds[names + guards].fillna(1.0).max(axis=1).to_numpy()
    result["p_not_upheld"] = _smallest(fails[names])
    result["p_harmful"] = _smallest(fails[guards])
    for kind in ("upheld", "not_upheld", "harmful"):
        values = result[f"p_{kind}"].to_numpy(np.float64)
        result[f"p_{kind}_adjusted"] = adjusted(limits.method, values, 0, limits.alpha)
    shown = {
        "harmful": result["p_harmful_adjusted"] <= limits.alpha,
        "not upheld": result["p_not_upheld_adjusted"] <= limits.alpha,
        "upheld": result["p_upheld_adjusted"] <= limits.alpha,
    }
    result["verdict"] = np.select(list(shown.values()), list(shown), "cannot tell")
    result["because"] = [
        _because(verdict, holds.loc[claim], fails.loc[claim])
        for claim, verdict in zip(result["claim"], result["verdict"], strict=True)
    ]
    return result


_PS = ("p_holds", "p_fails")


def _smallest(p_values: pd.DataFrame) -> Floats:
    """Bonferroni's p of the hypothesis that none of them is false."""
    least = np.asarray(p_values.fillna(1.0).min(axis=1), dtype=np.float64)
    return np.minimum(least * p_values.shape[1], 1.0)


def _because(verdict: str, holds: pd.Series[float], fails: pd.Series[float]) -> str:
    """The requirement that decided."""
    effects_, guards = [one.name for one in EFFECTS], [one.name for one in GUARDS]
    if verdict == "harmful":
        return str(fails[guards].idxmin())
    if verdict == "not upheld":
        return str(fails[effects_].idxmin())
    absent = [name for name in effects_ + guards if np.isnan(holds[name])]
    if absent:
        return f"not measured: {absent[0]}"
    return str(holds[effects_ + guards].idxmax())
