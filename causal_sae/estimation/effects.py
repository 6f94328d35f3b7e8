"""From observations to the table of effects: every contrast, every outcome, corrected."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from causal_sae import flags as codes
from causal_sae.estimation import pool, rerandomized
from causal_sae.estimation.choice import check_analysis, choose, choose_for, structure
from causal_sae.estimation.contrasts import Contrast, analysed, exposed_stratum, unit_values
from causal_sae.estimation.effect_sizes import declared_size, effect_size
from causal_sae.estimation.effect_sizes.standardised_means import size_flags
from causal_sae.estimation.finite_population import is_known, known_effect
from causal_sae.estimation.guardrails import (
    against_margin,
    beyond_of,
    has_margin,
    interval_alpha,
    is_claim,
    verdict,
)
from causal_sae.estimation.inference import settle
from causal_sae.estimation.instruments import with_uptake
from causal_sae.estimation.linear_contrasts import combination_rows
from causal_sae.estimation.multiplicity import SAMPLE, adjust
from causal_sae.estimation.sample import Sample, Vector, complete_pairs
from causal_sae.estimation.sequential import (
    Monitored,
    honest_row,
    look_numbers,
    monitor,
    nominal,
    repeated_p_value,
    require_end,
    until,
)
from causal_sae.estimation.several_arms import check_several_arms
from causal_sae.estimation.skewness import few_differences, skewness_flags
from causal_sae.estimation.sparsity import sparsity_flags
from causal_sae.spec.combinations import combinations
from causal_sae.tables import EFFECTS

if TYPE_CHECKING:
    from causal_sae.estimation.effect_sizes import EffectSize
    from causal_sae.estimation.estimators import Estimator
    from causal_sae.spec import Trial


def estimate(
    trial: Trial, observations: pd.DataFrame, registered: Trial | None = None
) -> pd.DataFrame:
    """The effects of a trial: one row per outcome and contrast, in the order of the trial.

    A unit is a prompt: draws and samples of a unit in an arm are averaged before anything is
    tested. Only rows whose status is ``ok`` count; units without any are counted by arm and
    flagged, and the analysis is of complete cases. The order of the rows never matters.

    Parameters
    ----------
    trial:
        Declares arms, outcomes, contrasts, the assignment and the analysis.
    observations:
        Long form; see :data:`causal_sae.tables.OBSERVATIONS`. Foreign tables need ``unit_id``,
        ``arm``, ``outcome`` and ``value``, and the columns of blocks, clusters and covariates
        that the trial uses.
    registered:
        The trial as registered; comparisons that it does not declare are flagged ``post_hoc``.

    Returns
    -------
    Exactly the columns of :data:`causal_sae.tables.EFFECTS`. Estimates are treatment minus
    reference in the outcome's own units.

    Raises
    ------
    SpecError
        The declared estimator or correction is not available or does not fit the design.
    DataError
        The observations are not those of this trial.
    """
    check_analysis(trial)
    check_several_arms(trial)
    values = unit_values(trial, observations)
    looked_at = monitor(trial, values)
    require_end(trial, looked_at)
    rows: list[dict[str, object]] = []
    for outcome in trial.outcomes:
        pairs = [Contrast(outcome, *pair) for pair in trial.contrasts]
        rows += [_row_of_looks(trial, values, contrast, looked_at) for contrast in pairs]
        rows += [_combined(trial, row) for row in combination_rows(trial, values, outcome)]
    analysis = trial.analysis
    effects = adjust(pd.DataFrame(rows), analysis.multiplicity, analysis.alpha, trial, values)
    table = EFFECTS.conform(effects)
    final = [_final_flags(trial, row, registered) for _, row in table.iterrows()]
    return table.assign(flags=pd.array([codes.join(found) for found in final], dtype="string"))


def _row_of_looks(
    trial: Trial, values: pd.DataFrame, contrast: Contrast, looked_at: Sequence[Monitored]
) -> dict[str, object]:
    """The row of a contrast; one that was looked at stands as it did when it was decided."""
    own = next((one for one in looked_at if one.contrast == contrast), None)
    if own is None and looked_at:
        return _beside_looks(trial, values, contrast)
    if own is None or own.stop is None:
        row = effect_row(trial, values, contrast)
        naive = [*codes.split(row["flags"]), *(["naive_after_looks"] if looked_at else [])]
        return {**row, "flags": codes.join(naive)}
    row = effect_row(trial, until(values, own.stop.number), contrast)
    return honest_row(trial, row, own)


def _beside_looks(trial: Trial, values: pd.DataFrame, contrast: Contrast) -> dict[str, object]:
    """The row of an outcome that no rule looked at, in a trial that could stop at any look."""
    looks = trial.analysis.looks
    assert looks is not None
    alpha, sides = trial.analysis.alpha, 1 if has_margin(contrast.outcome) else 2
    number = look_numbers(trial, values)[-1]
    # A test of one side has the boundary of a two-sided one at twice its level.
    level = nominal(looks, number, 2 * alpha / sides) * sides / 2
    analysis = trial.analysis.model_copy(update={"alpha": level})
    row = effect_row(trial.model_copy(update={"analysis": analysis}), values, contrast)
    p_value = _as_float(row["p_value"])
    if not np.isnan(p_value):
        repeated = repeated_p_value(looks, number, min(1.0, 2 * p_value / sides)) * sides / 2
        row["p_value"] = max(p_value, repeated)
    row["conf_level"] = 1 - interval_alpha(contrast.outcome, alpha)
    flags = [*codes.split(row["flags"]), f"repeated_interval:{number}"]
    return {**row, "flags": codes.join(flags)}


def _as_float(value: object) -> float:
    return float(value) if isinstance(value, int | float | np.floating) else np.nan


def effect_row(
    trial: Trial, values: pd.DataFrame, contrast: Contrast, declared: str | None = None
) -> dict[str, object]:
    """One row of the table of effects, before the correction for multiplicity.

    Parameters
    ----------
    trial:
        Declares the analysis.
    values:
        As :func:`causal_sae.estimation.contrasts.unit_values` returns them.
    contrast:
        Which arms, on which outcome.
    declared:
        Another estimator than the trial's own: one of its supplementary ones.
    """
    sample, notes = analysed(trial, values, contrast, choose(trial, declared)[1].incomplete)
    name, estimator = choose_for(trial, contrast, sample, declared)
    if estimator.stratum == "exposed":
        sample, lost = exposed_stratum(trial, sample)
        notes = (*notes, *lost)
    if estimator.instrument:
        sample = with_uptake(trial, contrast, sample)
    alpha = interval_alpha(contrast.outcome, trial.analysis.alpha)
    fitted = settle(estimator.fit(sample, alpha), sample.outcome)
    wanted = declared_size(trial, contrast.outcome.name)
    whole = sample  # what follows needs both arms of every unit
    if estimator.incomplete and trial.within_unit:
        whole, _ = complete_pairs(sample)
    size = effect_size(whole, fitted, structure(trial), alpha, wanted, estimator.instrument)
    if estimator.weighted and isinstance(wanted, str):
        size = pool.effect_size(sample, fitted)
    if is_known(trial):
        fitted = known_effect(trial, contrast, sample, fitted, notes)
    if is_claim(contrast.outcome):
        beyond = beyond_of(estimator, sample, fitted, alpha)
        fitted = against_margin(fitted, contrast.outcome, beyond)
    treatment, reference = sample.arms
    edit = trial.arm(contrast.treatment).intervention
    notes = (*notes, *sparsity_flags(edit, whole, trial.within_unit))
    if "finite_population_exact" not in fitted.flags:
        notes = (*notes, *_shape_flags(estimator, size, whole))
    unweighted = pool.unevenly_drawn(sample) and not estimator.weighted
    unweighted = unweighted and estimator.speaks_of == "all"
    notes = (*notes, "unweighted_sample") if unweighted else notes
    notes = (*notes, *rerandomized.flags_of(trial, name))
    notes = tuple(note for note in notes if codes.name(note) not in estimator.copes_with)
    means = pool.arm_means(sample) if estimator.weighted else (_mean(treatment), _mean(reference))
    inference = asdict(fitted.flagged(*notes))
    whose = "drawn" if unweighted else estimator.speaks_of
    return {
        "outcome": contrast.outcome.name,
        "role": contrast.outcome.role,
        "treatment": contrast.treatment,
        "reference": contrast.reference,
        "estimand": ", ".join(filter(None, (_estimand(trial, whose), estimator.claim))),
        "estimator": name,
        "n_treatment": len(treatment),
        "n_reference": len(reference),
        "mean_treatment": means[0],
        "mean_reference": means[1],
        **inference,
        "conf_level": 1 - alpha,
        "effect_size": size.value,
        "effect_size_kind": size.kind,
        "effect_size_low": size.low,
        "effect_size_high": size.high,
        "flags": codes.join(inference["flags"]),
        SAMPLE: whole,
    }


def _shape_flags(estimator: Estimator, size: EffectSize, sample: Sample) -> tuple[str, ...]:
    """Warnings of outcomes whose shape spoils an interval, the estimate's or its size's."""
    students: tuple[str, ...] = ()
    if estimator.students:
        students = (*skewness_flags(sample), *few_differences(sample))
    return tuple(dict.fromkeys((*students, *size_flags(size, sample))))


def _combined(trial: Trial, row: dict[str, object]) -> dict[str, object]:
    """A combination of several arms, whose kind goes before the rest of its estimand."""
    return {**row, "estimand": f"{row['estimand']}, {_estimand(trial, 'all')}"}


def _mean(values: Vector) -> float:
    return float(values.mean()) if len(values) else np.nan


def _estimand(trial: Trial, stratum: str) -> str:
    """ICH E9(R1): how what happens after assignment is handled, and whom the claim is about."""
    claim = "superpopulation" if trial.population is None else trial.population.claim
    whom = "finite population" if claim == "finite" else "superpopulation"
    whom = "units drawn" if stratum == "drawn" else whom
    strategy = "principal stratum (exposed)" if stratum == "exposed" else "treatment policy"
    return f"{strategy}, {whom}"


def _same_method(trial: Trial, registered: Trial) -> bool:
    """Whether effects are estimated as registered."""
    keys = ("estimator", "covariates", "se_type", "alpha", "multiplicity", "looks")
    return all(getattr(trial.analysis, k) == getattr(registered.analysis, k) for k in keys)


def _comparisons(trial: Trial) -> set[tuple[str, str]]:
    """Treatment and reference of every row that the trial declares."""
    several = ((one.treatment, one.reference) for one in combinations(trial))
    return {*trial.contrasts, *several}


def _final_flags(trial: Trial, row: pd.Series, registered: Trial | None) -> list[str]:
    """The flags of a row once its adjusted p-value is known: verdicts, and what is post hoc."""
    found = list(codes.split(row["flags"]))
    outcome = trial.outcome(str(row["outcome"]))
    if has_margin(outcome):
        exact = "finite_population_exact" in found
        reject = None if row["reject"] is pd.NA else bool(row["reject"])
        found.append(verdict(outcome, float(row["estimate"]), reject, exact))
    if registered is not None:
        pair = (str(row["treatment"]), str(row["reference"]))
        declared = outcome.name in registered.roles() and pair in _comparisons(registered)
        declared = declared and _same_method(trial, registered)
        found += [] if declared else ["post_hoc"]
    return found
