"""What is missing, why, and how far it could move an effect: Manski's (1990) bounds.

The analysis is of complete cases, which is right when what is lost does not depend on the outcome.
Nothing in the data can show that. Where the outcome has a lowest and a highest value, the trial's
own estimator is therefore run twice more: with the missing values of the treatment at the lowest
and those of the reference at the highest, and the other way round. Whatever the missing values
are, the effect lies between the two. The interval is the union of the two analyses' intervals: it
holds the whole range between the bounds with at least its level, and so any effect in it (the
interval of Imbens and Manski 2004, which holds one effect only, is narrower).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from causal_sae import flags as codes
from causal_sae.errors import InputError
from causal_sae.estimation.contrasts import KEPT, Contrast, unit_values
from causal_sae.estimation.design_columns import CLEAN
from causal_sae.estimation.effects import effect_row

if TYPE_CHECKING:
    from causal_sae.spec import Outcome, Trial

Range = tuple[float, float]

RANGES: dict[str, Range] = {
    "token_set_prob": (0.0, 1.0),
    "keyword_rate": (0.0, 1.0),
    "regex": (0.0, 1.0),
    "distinct_n": (0.0, 1.0),
    "repetition": (0.0, 1.0),
    "sentiment": (-1.0, 1.0),
}
"""Metrics whose lowest and highest value follow from what they are."""
ROUNDING = 1e-6
"""How far outside a metric's range a value may lie: half precision rounds probabilities."""
NO_OBSERVATION = "no observation"
NO_REASON = "no value, no reason given"

UNBOUNDED = (
    "The outcome has no lowest and highest value, so nothing bounds what the missing ones could "
    "have been; declare `bounds` where it has."
)
OUTSIDE = "Values lie outside the metric's range, so it does not bound the missing ones."
NOT_FITTED = "The estimator needs more of the missing units than was recorded of them."
KNOWN = "The claim is about these units: the bounds are known, and have no interval."


@dataclass(frozen=True)
class Missingness:
    """What is missing from one contrast on one outcome."""

    outcome: str
    treatment: str
    reference: str
    n_treatment: int
    """Units assigned; in designs within units, every unit that was in either arm."""
    n_reference: int
    missing_treatment: int
    missing_reference: int
    reasons_treatment: str
    reasons_reference: str
    estimate: float
    """Of complete cases: that of the table of effects."""
    bound_low: float = np.nan
    bound_high: float = np.nan
    conf_low: float = np.nan
    conf_high: float = np.nan
    conf_level: float = np.nan
    note: str = ""


def missingness(trial: Trial, observations: pd.DataFrame, effects: pd.DataFrame) -> pd.DataFrame:
    """One row for each outcome and contrast from which units are missing.

    Parameters
    ----------
    trial, observations:
        As for :func:`causal_sae.estimation.estimate`.
    effects:
        What it returned.

    Returns
    -------
    The fields of :class:`Missingness`; empty where nothing is missing.
    """
    lacking = [row for _, row in effects.iterrows() if _is_lacking(trial, row)]
    if not lacking:
        return pd.DataFrame()
    values = unit_values(trial, observations)
    return pd.DataFrame([asdict(_row(trial, values, row)) for row in lacking])


def outcome_range(outcome: Outcome, values: pd.Series) -> Range | None:
    """The lowest and the highest value that an outcome can take; None: none, or not these values.

    Parameters
    ----------
    outcome:
        Its declared ``bounds`` come before those of its metric.
    values:
        Those that were measured; missing ones do not count.
    """
    known = outcome.bounds or RANGES.get(outcome.metric)
    if known is None:
        return None
    outside = (values < known[0] - ROUNDING) | (values > known[1] + ROUNDING)
    return None if outside.any() else known


def _is_lacking(trial: Trial, row: pd.Series) -> bool:
    names = {codes.name(code) for code in codes.split(row["flags"])}
    arms = {arm.name for arm in trial.arms}
    of_arms = {str(row["treatment"]), str(row["reference"])} <= arms
    return of_arms and bool(names & {"missing_treatment", "missing_reference"})


def _row(trial: Trial, values: pd.DataFrame, effect: pd.Series) -> Missingness:
    outcome = trial.outcome(str(effect["outcome"]))
    contrast = Contrast(outcome, str(effect["treatment"]), str(effect["reference"]))
    full = completed(trial, values, contrast)
    treated, control = (full[full["arm"] == a] for a in (contrast.treatment, contrast.reference))
    return Missingness(
        outcome=outcome.name,
        treatment=contrast.treatment,
        reference=contrast.reference,
        n_treatment=len(treated),
        n_reference=len(control),
        missing_treatment=int(treated["value"].isna().sum()),
        missing_reference=int(control["value"].isna().sum()),
        reasons_treatment=_reasons(treated),
        reasons_reference=_reasons(control),
        estimate=float(effect["estimate"]),
        **_bounds(trial, full, contrast),
    )


def completed(trial: Trial, values: pd.DataFrame, contrast: Contrast) -> pd.DataFrame:
    """The rows of a contrast's outcome for every assigned unit, whether it was observed or not.

    What describes the unit is taken from its other rows. A covariate that is known nowhere gets
    the mean of the others: it cannot depend on the arm, so the effect stays what it is.

    Parameters
    ----------
    trial:
        Says whether every unit is in every arm.
    values:
        As :func:`causal_sae.estimation.contrasts.unit_values` returns them.
    contrast:
        Which arms, on which outcome.
    """
    both = values[values["arm"].isin([contrast.treatment, contrast.reference])]
    rows = both[both["outcome"] == contrast.outcome.name]
    pairs = both[["unit_id", "arm"]].drop_duplicates()
    if trial.within_unit:
        arms = pd.DataFrame({"arm": [contrast.treatment, contrast.reference]}, dtype="string")
        pairs = pairs[["unit_id"]].drop_duplicates().merge(arms, how="cross")
    full = pairs.merge(rows.assign(seen=True), how="left", on=["unit_id", "arm"])
    full["seen"] = full["seen"].notna()
    full["outcome"], full["lost"] = contrast.outcome.name, 0
    described = {*KEPT, CLEAN, *trial.analysis.covariates} - {"status"}
    for column in [name for name in full if name in described]:
        keys = ["unit_id", "arm"] if column in {"run_order", "received"} else ["unit_id"]
        source = rows if column == CLEAN else both
        told = full[keys].merge(
            source.groupby(keys, as_index=False)[[column]].first(), how="left", on=keys
        )[column]
        full[column] = full[column].where(full[column].notna(), told)
    for name in trial.analysis.covariates:
        full[name] = full[name].fillna(full[name].mean())
    return full


def _reasons(rows: pd.DataFrame) -> str:
    """``prompt too long: 3; no observation: 1``, the commonest first."""
    lost = rows[rows["value"].isna()]
    if lost.empty:
        return ""
    status = lost["status"].astype("string") if "status" in lost else pd.Series(pd.NA, lost.index)
    given = status.fillna(NO_REASON).replace("ok", NO_REASON)
    counts = given.where(lost["seen"], NO_OBSERVATION).value_counts()
    ordered = sorted(counts.items(), key=lambda pair: (-int(pair[1]), str(pair[0])))
    return "; ".join(f"{reason}: {count}" for reason, count in ordered)


def _bounds(trial: Trial, full: pd.DataFrame, contrast: Contrast) -> dict[str, Any]:
    known = outcome_range(contrast.outcome, full["value"])
    if known is None:
        declared = contrast.outcome.metric in RANGES
        return {"note": OUTSIDE if declared else UNBOUNDED}
    low, high = known
    try:
        worst = effect_row(trial, _filled(full, contrast, low, high), contrast)
        best = effect_row(trial, _filled(full, contrast, high, low), contrast)
    except InputError:
        return {"note": NOT_FITTED}
    exact = "finite_population_exact" in codes.split(worst["flags"])
    return {
        "bound_low": worst["estimate"],
        "bound_high": best["estimate"],
        "conf_low": worst["conf_low"],
        "conf_high": best["conf_high"],
        "conf_level": np.nan if exact else worst["conf_level"],
        "note": KNOWN if exact else "",
    }


def _filled(
    full: pd.DataFrame, contrast: Contrast, treatment: float, reference: float
) -> pd.DataFrame:
    """The rows with every missing value of an arm at one value."""
    stand_in = np.where(full["arm"] == contrast.treatment, treatment, reference)
    return full.assign(value=full["value"].where(full["value"].notna(), stand_in))
