"""Linear combinations of several arms' means in the table of effects: one row for each.

Factorial effects and linear trends (:mod:`causal_sae.spec.combinations`) are estimated from one
model of all arms that they concern, as the design asks (:mod:`causal_sae.estimation.arm_models`),
and become rows like those of the contrasts of two arms.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

import numpy as np

from causal_sae import flags as codes
from causal_sae.estimation.arm_means import ArmMeans, per_unit
from causal_sae.estimation.arm_models import Fitted, fit_means
from causal_sae.estimation.choice import automatic
from causal_sae.estimation.contrasts import Contrast
from causal_sae.estimation.effect_sizes import (
    EffectSize,
    cohen_dz,
    declared_size,
    small_sample_factor,
)
from causal_sae.estimation.estimators import ESTIMATORS, sparse
from causal_sae.estimation.estimators.cluster import cluster_flags
from causal_sae.estimation.finite_population import is_known, known_effect
from causal_sae.estimation.guardrails import against_margin, beyond_of, interval_alpha, is_claim
from causal_sae.estimation.inference import Estimate, settle, student, unknown
from causal_sae.estimation.multiplicity import SAMPLE
from causal_sae.estimation.sample import Mask, Sample, Vector
from causal_sae.estimation.several_arms import Arms, missingness, several_arms
from causal_sae.estimation.sparsity import edits_active_only, sparsity_flags
from causal_sae.spec.combinations import Combination, combinations

if TYPE_CHECKING:
    import pandas as pd

    from causal_sae.spec import Outcome, Trial

Model = tuple[Arms, Fitted]


def combination_rows(
    trial: Trial, values: pd.DataFrame, outcome: Outcome
) -> Iterator[dict[str, object]]:
    """The rows of one outcome, before the correction for multiplicity.

    Parameters
    ----------
    trial:
        Declares ``analysis.factorial`` and ``analysis.dose_response``.
    values:
        As :func:`causal_sae.estimation.contrasts.unit_values` returns them.
    outcome:
        What is compared.

    Returns
    -------
    Rows of :data:`causal_sae.tables.EFFECTS`; ``estimand`` holds the kind of combination alone.

    Raises
    ------
    DataError
        An arm has no row in the observations.
    """
    models: dict[tuple[str, ...], Model] = {}
    for combination in combinations(trial, outcome):
        names = tuple(combination.weights)
        if names not in models:
            arms = several_arms(trial, values, outcome, names)
            models[names] = arms, fit_means(trial, arms)
        yield _row(trial, values, outcome, combination, models[names])


def _row(
    trial: Trial, values: pd.DataFrame, outcome: Outcome, combination: Combination, model: Model
) -> dict[str, object]:
    arms = model[0]
    weights = weights_of(arms, combination.weights)
    sides = (_named(arms, weights > 0), _named(arms, weights < 0))
    notes = (*arms.notes, *missingness(trial, values, outcome, sides))
    alpha = interval_alpha(outcome, trial.analysis.alpha)
    name, found = combined(trial, outcome, model, weights, alpha, notes)
    size = _effect_size(trial, outcome.name, arms, found, combination, alpha)
    units = _units(trial, arms, weights)
    if is_claim(outcome):
        sparsely = name == "sparse"
        beyond = beyond_of(ESTIMATORS["sparse"], units, found, alpha) if sparsely else None
        found = against_margin(found, outcome, beyond)
    inference = asdict(found.flagged(*notes, *_sparsity(trial, arms, weights, units, name)))
    means = _means(arms, weights, combination)
    return {
        "outcome": outcome.name,
        "role": outcome.role,
        "treatment": combination.treatment,
        "reference": combination.reference,
        "estimand": combination.kind,
        "estimator": name,
        "n_treatment": _units_in(trial, arms, weights > 0),
        "n_reference": _units_in(trial, arms, weights < 0),
        "mean_treatment": means[0],
        "mean_reference": means[1],
        **inference,
        "conf_level": 1 - alpha,
        "effect_size": size.value,
        "effect_size_kind": size.kind or None,
        "effect_size_low": size.low,
        "effect_size_high": size.high,
        "flags": codes.join(inference["flags"]),
        SAMPLE: None,
    }


def combined(
    trial: Trial,
    outcome: Outcome,
    model: Model,
    weights: Vector,
    alpha: float,
    notes: tuple[str, ...] = (),
) -> tuple[str, Estimate]:
    """The estimator that a combination gets, and what it makes of it.

    Parameters
    ----------
    trial, outcome:
        What is analysed.
    model:
        The units and the model of their means.
    weights:
        [k] they add up to zero.
    alpha:
        The interval has level ``1 - alpha``.
    notes:
        Flags about missing units.
    """
    arms, fitted = model
    found = estimated(arms, fitted, weights, alpha)
    name = fitted.estimator if isinstance(fitted, ArmMeans) else _planned(trial)
    units = _units(trial, arms, weights)
    if _untouched(trial, arms, weights, units):
        name, found = "sparse", settle(sparse.fit(units, alpha), units.outcome)
    if is_known(trial):
        found = _known(trial, outcome, arms, weights, found, notes)
    return name, found


def weights_of(arms: Arms, weights: Mapping[str, float]) -> Vector:
    """[k] the weights in the order of the arms."""
    return np.array([weights[name] for name in arms.names], dtype=np.float64)


def estimated(arms: Arms, fitted: Fitted, weights: Vector, alpha: float) -> Estimate:
    """A combination's estimate with its inference.

    Parameters
    ----------
    arms, fitted:
        The units and the model of their means, or the flags that say why there is none.
    weights:
        [k] they add up to zero.
    alpha:
        The interval has level ``1 - alpha``.
    """
    if not isinstance(fitted, ArmMeans):
        return unknown(*fitted)
    found = fitted.combine(weights)
    flags = (*fitted.flags, *_cautions(arms, fitted, found.df))
    if np.isnan(found.std_error):
        return unknown(*flags, "too_few_units")
    # A standard error is measured by the outcome's spread, times the size of the weights.
    scale = float(np.abs(weights).sum()) / 2
    result = student(found.estimate, found.std_error, found.df, alpha, flags)
    return settle(result, arms.sample.outcome * scale)


def _cautions(arms: Arms, fitted: ArmMeans, df: float) -> tuple[str, ...]:
    """Warnings about few clusters, and about covariates that change nothing within units."""
    within = fitted.estimator == "paired"
    absorbed = ("covariates_absorbed",) if within and arms.sample.covariate_names else ()
    if arms.sample.cluster is None:
        return absorbed
    return (*absorbed, *cluster_flags(len(np.unique(arms.sample.cluster)), df))


def _planned(trial: Trial) -> str:
    """What the estimator is called where it could not be fitted."""
    declared = str(trial.analysis.estimator)
    name = automatic(trial) if declared == "auto" else declared
    return "welch" if declared == "auto" and name == "difference_in_means" else name


def _units_in(trial: Trial, arms: Arms, chosen: Mask) -> int:
    """How many units are in those arms; within units each of them is in all."""
    return len(arms.wide) if trial.within_unit else int(arms.counts[chosen].sum())


def _named(arms: Arms, chosen: Mask) -> list[str]:
    return [name for name, used in zip(arms.names, chosen, strict=True) if used]


def _units(trial: Trial, arms: Arms, weights: Vector) -> Sample:
    """The units as two arms: within units each unit's combination against 0, else by sign.

    Everything that is known of two arms (sparsity, exact effects) then holds of combinations.
    """
    if not trial.within_unit:
        used = weights[arms.arm] != 0
        rows = arms.take(used)
        return _replaced(rows.sample, rows.sample.outcome, weights[rows.arm] > 0)
    rows = arms.take(arms.arm < 2)  # two rows of each unit, whose columns it shares
    each = per_unit(arms.wide, weights)
    outcome = np.column_stack([each, np.zeros(len(each))]).ravel()
    return _replaced(rows.sample, outcome, np.tile([True, False], len(each)))


def _replaced(sample: Sample, outcome: Vector, treated: Mask) -> Sample:
    return replace(sample, outcome=outcome, treated=treated)


def _untouched(trial: Trial, arms: Arms, weights: Vector, units: Sample) -> bool:
    """Whether ``auto`` takes ``sparse``: units are untouched by every arm where silent."""
    if not (trial.within_unit and trial.analysis.estimator == "auto" and len(units)):
        return False
    edits = [trial.arm(name).intervention for name in _named(arms, weights != 0)]
    inert = all(edit.kind == "none" or edits_active_only(edit) for edit in edits)
    return inert and sparse.applies(units)


def _sparsity(
    trial: Trial, arms: Arms, weights: Vector, units: Sample, name: str
) -> tuple[str, ...]:
    edits = [trial.arm(arm).intervention for arm in _named(arms, weights != 0)]
    editing = [edit for edit in edits if edit.kind != "none"]
    # An edit that acts on silent features too leaves nobody inactive.
    edit = next((e for e in editing if not edits_active_only(e)), (editing or edits)[0])
    found = sparsity_flags(edit, units, trial.within_unit)
    if name == "sparse":  # its interval is made for them
        return tuple(code for code in found if codes.name(code) != "zero_inflated")
    return found


def _known(
    trial: Trial,
    outcome: Outcome,
    arms: Arms,
    weights: Vector,
    found: Estimate,
    notes: tuple[str, ...],
) -> Estimate:
    """The effect without inference, where no arm of the combination leaves randomness."""
    units = _units(trial, arms, weights)
    every = [
        known_effect(trial, Contrast(outcome, name, name), units, found, notes)
        for name in _named(arms, weights != 0)
    ]
    return next((e for e in every if "finite_population_unavailable" in e.flags), every[0])


def _means(arms: Arms, weights: Vector, combination: Combination) -> tuple[float, float]:
    """The unadjusted means that the combination is a difference of; NaN of a slope."""
    if combination.expected is None:
        return np.nan, np.nan
    expected = weights_of(arms, combination.expected)
    return _sum(weights + expected, arms.raw_means), _sum(expected, arms.raw_means)


def _sum(weights: Vector, means: Vector) -> float:
    used = weights != 0
    return float(weights[used] @ means[used])


def _effect_size(
    trial: Trial,
    outcome: str,
    arms: Arms,
    found: Estimate,
    combination: Combination,
    alpha: float,
) -> EffectSize:
    """The estimate and its interval over the standard deviation within arms; none of a slope."""
    nothing = EffectSize(np.nan, "", np.nan, np.nan)
    stated = declared_size(trial, outcome)
    y = arms.sample.outcome
    if combination.kind == "linear trend" or np.isnan(found.estimate) or not len(y):
        return nothing
    if not isinstance(stated, str):
        return _over(found, stated, "sd_stated")
    if np.ptp(y) == 1 and np.all((y == 0) | (y == 1)):
        return _over(found, 1.0, "risk_difference")
    if trial.within_unit:
        each = per_unit(arms.wide, weights_of(arms, combination.weights))
        if arms.sample.cluster is None:
            return cohen_dz(each, alpha)
        return _over(found, float(each.std(ddof=1)), "cohen_dz_adjusted")
    df = float(len(y) - len(arms.names))
    if df < 1:
        return nothing
    squares = float(np.sum((y - arms.raw_means[arms.arm]) ** 2))
    factor = small_sample_factor(df) if df > 1 else np.nan
    return _over(found, float(np.sqrt(squares / df)) / factor, "hedges_g_adjusted")


def _over(found: Estimate, sd: float, kind: str) -> EffectSize:
    if not sd > 0:
        return EffectSize(np.nan, kind, np.nan, np.nan)
    return EffectSize(found.estimate / sd, kind, found.conf_low / sd, found.conf_high / sd)
