"""From observations to the table of effects: every contrast, every outcome, corrected."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy import stats

from causal_sae.estimation import flags as codes
from causal_sae.estimation.choice import choose, structure
from causal_sae.estimation.design_columns import CLEAN, add_design_columns
from causal_sae.estimation.effect_sizes import effect_size
from causal_sae.estimation.guardrails import against_margin, verdict
from causal_sae.estimation.inference import Estimate, settle
from causal_sae.estimation.multiplicity import adjust, check_correction
from causal_sae.estimation.observations import check, units
from causal_sae.estimation.sample import (
    Mask,
    Sample,
    complete_pairs,
    differences,
    shared_blocks,
)
from causal_sae.tables import EFFECTS

if TYPE_CHECKING:
    from causal_sae.spec import Outcome, Trial

MIN_ACTIVE = 30
"""Below this many active units a skewed effect's 95% interval covers less than about 90%."""
ZERO_INFLATED = 0.5
"""From this share of unchanged units on, the flag ``zero_inflated`` is raised."""
RANDOM_ARMS = ("random_direction",)
"""Interventions that are drawn at random, so that a unit's outcome under them is not fixed."""


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
    choose(trial)
    check_correction(trial.analysis.multiplicity.method)
    frame = add_design_columns(trial, check(trial, observations))
    values = _unit_values(trial, frame)
    rows = [
        _row(trial, values, Contrast(outcome, treatment, reference))
        for outcome in trial.outcomes
        for treatment, reference in trial.contrasts
    ]
    effects = adjust(pd.DataFrame(rows), trial.analysis.multiplicity, trial.analysis.alpha)
    table = EFFECTS.conform(effects)
    final = [_final_flags(trial, row, registered) for _, row in table.iterrows()]
    return table.assign(flags=pd.array([codes.join(found) for found in final], dtype="string"))


@dataclass(frozen=True)
class Contrast:
    """One comparison on one outcome."""

    outcome: Outcome
    treatment: str
    reference: str


def contrast_sample(
    trial: Trial, observations: pd.DataFrame, outcome: str, treatment: str, reference: str
) -> Sample:
    """The units that a contrast's analysis rests on, as the estimators see them.

    Parameters
    ----------
    trial, observations:
        As for :func:`estimate`.
    outcome, treatment, reference:
        Which contrast.
    """
    frame = add_design_columns(trial, check(trial, observations))
    contrast = Contrast(trial.outcome(outcome), treatment, reference)
    return _analysed(trial, _unit_values(trial, frame), contrast)[0]


def _unit_values(trial: Trial, frame: pd.DataFrame) -> pd.DataFrame:
    """One row per outcome, unit and arm, with the columns of the design."""
    covariates = [name for name in trial.analysis.covariates if name != CLEAN]
    table = units(frame, ["block", "cluster", "exposed", *covariates])
    if CLEAN in frame:
        clean = frame[frame["usable"]].groupby(["outcome", "unit_id", "arm"])[CLEAN].mean()
        table = table.merge(clean.reset_index(), how="left")
    if "draw" in frame:
        draws = frame.groupby("arm")["draw"].nunique()
        table["draws"] = table["arm"].map(draws)
    return table


def _row(trial: Trial, values: pd.DataFrame, contrast: Contrast) -> dict[str, object]:
    """One row of the table of effects, before the correction for multiplicity."""
    sample, notes = _analysed(trial, values, contrast)
    name, estimator = choose(trial)
    alpha = trial.analysis.alpha
    fitted = settle(estimator.fit(sample, alpha), sample.spread)
    size = effect_size(sample, fitted, structure(trial), alpha)
    if trial.population is not None and trial.population.claim == "finite" and trial.within_unit:
        fitted = _finite(trial, contrast, sample, fitted, notes)
    if contrast.outcome.role == "guardrail":
        fitted = against_margin(fitted, contrast.outcome)
    treatment, reference = sample.arms
    inference = asdict(fitted.flagged(*notes, *_sparsity(trial, contrast, sample, fitted)))
    return {
        "outcome": contrast.outcome.name,
        "role": contrast.outcome.role,
        "treatment": contrast.treatment,
        "reference": contrast.reference,
        "estimand": _estimand(trial),
        "estimator": name,
        "n_treatment": len(treatment),
        "n_reference": len(reference),
        "mean_treatment": _mean(treatment),
        "mean_reference": _mean(reference),
        **inference,
        "conf_level": 1 - alpha,
        "effect_size": size.value,
        "effect_size_kind": size.kind,
        "effect_size_low": size.low,
        "effect_size_high": size.high,
        "flags": codes.join(inference["flags"]),
    }


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else np.nan


def _estimand(trial: Trial) -> str:
    """ICH E9(R1): how what happens after assignment is handled, and whom the claim is about."""
    claim = "superpopulation" if trial.population is None else trial.population.claim
    whom = "finite population" if claim == "finite" else "superpopulation"
    return f"treatment policy, {whom}"


def _analysed(
    trial: Trial, values: pd.DataFrame, contrast: Contrast
) -> tuple[Sample, tuple[str, ...]]:
    """The units of the analysis, and flags about those that are missing from it."""
    both = values[values["arm"].isin([contrast.treatment, contrast.reference])]
    rows = both[both["outcome"] == contrast.outcome.name]
    treated = rows["arm"].eq(contrast.treatment)
    rows = rows.assign(_first=~treated).sort_values(["unit_id", "_first"], kind="stable")
    notes = (*_missingness(trial, both, rows, contrast), *_draws(rows))
    sample = _sample(trial, rows[rows["value"].notna()], contrast.treatment)
    if trial.within_unit:
        sample, lost = complete_pairs(sample)
    else:
        sample, lost = shared_blocks(sample)
    return sample, (*notes, *lost)


def _sample(trial: Trial, rows: pd.DataFrame, treatment: str) -> Sample:
    def encode(column: str, used: bool) -> np.ndarray | None:
        return np.unique(rows[column].to_numpy(str), return_inverse=True)[1] if used else None

    kind = structure(trial)
    names = trial.analysis.covariates
    exposed = rows.get("exposed")
    known = exposed is not None and bool(exposed.notna().all())
    return Sample(
        unit=rows["unit_id"].to_numpy(str),
        outcome=rows["value"].to_numpy(np.float64),
        treated=rows["arm"].eq(treatment).to_numpy(bool),
        covariates=rows[list(names)].to_numpy(np.float64),
        covariate_names=tuple(names),
        block=encode("block", "blocked" in kind),
        cluster=encode("cluster", trial.assignment.cluster_by is not None),
        exposed=exposed.to_numpy(bool) if known and exposed is not None else None,
        clean=rows[CLEAN].to_numpy(np.float64) if CLEAN in rows else None,
    )


def _missingness(
    trial: Trial, both: pd.DataFrame, rows: pd.DataFrame, contrast: Contrast
) -> tuple[str, ...]:
    """How many units of each arm have no usable outcome, whether their rows are there or not."""
    found: list[str] = []
    counts: list[tuple[int, int]] = []
    everyone = both["unit_id"].nunique()
    for label, arm in (("treatment", contrast.treatment), ("reference", contrast.reference)):
        in_arm = both.loc[both["arm"] == arm, "unit_id"].nunique()
        seen = everyone if trial.within_unit else in_arm
        measured = int(rows.loc[rows["arm"] == arm, "value"].notna().sum())
        counts.append((measured, seen - measured))
        if seen > measured:
            found.append(f"missing_{label}:{seen - measured}")
    partial = int(((rows["lost"] > 0) & rows["value"].notna()).sum())
    if partial:
        found.append(f"partial_samples:{partial}")
    if found and not trial.within_unit and stats.fisher_exact(np.array(counts)).pvalue < 0.05:
        found.append("differential_missing")
    return tuple(found)


def _draws(rows: pd.DataFrame) -> tuple[str, ...]:
    most = int(rows["draws"].max()) if "draws" in rows and len(rows) else 0
    return (f"fixed_draws:{most}",) if most > 1 else ()


def _sparsity(
    trial: Trial, contrast: Contrast, sample: Sample, fitted: Estimate
) -> tuple[str, ...]:
    """Warnings about effects that only few units can show."""
    found: list[str] = []
    edit = trial.arm(contrast.treatment).intervention
    # Only these edits leave a prompt untouched where the feature is silent.
    inert = edit.kind == "scale" or (edit.kind == "ablate" and edit.to == "zero")
    if inert and sample.exposed is not None:
        active = int(sample.exposed[sample.treated].sum())
        found += [f"few_active:{active}"] if active < MIN_ACTIVE else []
    unchanged = _unchanged(trial, sample)
    if len(unchanged) and "exact_zero" not in fitted.flags and unchanged.mean() >= ZERO_INFLATED:
        found.append(f"zero_inflated:{unchanged.mean():.2f}")
    return tuple(found)


def _unchanged(trial: Trial, sample: Sample) -> Mask:
    """Which units the treatment did not move at all; empty where that cannot be seen."""
    if trial.within_unit:
        return np.equal(differences(sample), 0.0)
    if sample.clean is None:
        return np.empty(0, dtype=np.bool_)
    return np.equal(sample.outcome, sample.clean)[sample.treated]


def _finite(
    trial: Trial, contrast: Contrast, sample: Sample, fitted: Estimate, notes: tuple[str, ...]
) -> Estimate:
    """An effect on these very units, each of them seen in both arms, is known without error."""
    generate = getattr(contrast.outcome, "generate", None)
    sampled = generate is not None and generate.temperature > 0
    complete = len(sample) > 0 and not any(
        codes.name(note).startswith(("missing", "partial", "incomplete", "fixed")) for note in notes
    )
    drawn = any(_random(trial, arm) for arm in (contrast.treatment, contrast.reference))
    if sampled or drawn or not complete:
        return fitted.flagged("finite_population_unavailable")
    constant = tuple(flag for flag in fitted.flags if flag in {"constant_outcome", "exact_zero"})
    known = (*constant, "finite_population_exact")
    return Estimate(float(differences(sample).mean()), 0.0, flags=known)


def _random(trial: Trial, arm: str) -> bool:
    """Whether what the arm does to a unit was drawn at random."""
    edit = trial.arm(arm).intervention
    resampled = edit.kind == "ablate" and edit.to == "resample"
    placebo = hasattr(getattr(edit, "features", None), "draws")
    return resampled or placebo or edit.kind in RANDOM_ARMS


def _final_flags(trial: Trial, row: pd.Series, registered: Trial | None) -> list[str]:
    """The flags of a row once its adjusted p-value is known: verdicts, and what is post hoc."""
    found = list(codes.split(row["flags"]))
    outcome = trial.outcome(str(row["outcome"]))
    if outcome.role == "guardrail" and outcome.margin is not None:
        exact = "finite_population_exact" in found
        reject = None if row["reject"] is pd.NA else bool(row["reject"])
        found.append(verdict(outcome, float(row["estimate"]), reject, exact))
    if registered is not None:
        pair = (str(row["treatment"]), str(row["reference"]))
        declared = outcome.name in registered.roles() and pair in registered.contrasts
        found += [] if declared else ["post_hoc"]
    return found
