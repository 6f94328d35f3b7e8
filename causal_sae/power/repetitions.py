"""The declared trial, simulated many times, with its own estimator and its own correction.

Only what decides is computed: the samples are those that ``estimate`` would make of the simulated
observations, in the same order, so that p-values are the same to the last bit; a test holds this.
Corrections that need more than p-values go through ``estimate`` itself, which takes longer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from statsmodels.stats.proportion import proportion_confint

from causal_sae.estimation import estimate
from causal_sae.estimation.choice import choose_for, structure
from causal_sae.estimation.contrasts import Contrast, exposed_stratum
from causal_sae.estimation.guardrails import against_margin, beyond_of, interval_alpha, is_claim
from causal_sae.estimation.inference import Estimate, settle
from causal_sae.estimation.multiplicity import adjust
from causal_sae.estimation.sample import Mask, Matrix, Sample, Vector, shared_blocks
from causal_sae.power.joint import OF_P_VALUES, PROCEDURES
from causal_sae.simulation import deal, received, simulate
from causal_sae.simulation.observations import CLEAN, noise

if TYPE_CHECKING:
    from causal_sae.randomization.dealing import Arms
    from causal_sae.simulation import Drawn, Population, Roster
    from causal_sae.spec import Trial

Advance = Callable[[int], None]


@dataclass(frozen=True)
class Repetitions:
    """What came of the simulated trials."""

    tests: tuple[Contrast, ...]
    """The tests, in the order of the table of effects."""
    estimates: Matrix
    """[repetitions, tests]"""
    p_values: Matrix
    """[repetitions, tests] before correction; NaN where no test could be made."""
    rejected: Mask
    """[repetitions, tests] after the trial's correction."""

    def __len__(self) -> int:
        return len(self.rejected)

    def rate(self, at: Sequence[int], combine: str = "any") -> tuple[float, float, float]:
        """How often any (or all) of these tests rejected, with Wilson's 95% interval."""
        chosen = self.rejected[:, list(at)]
        hits = int(np.sum(chosen.any(axis=1) if combine == "any" else chosen.all(axis=1)))
        low, high = proportion_confint(hits, len(self), alpha=0.05, method="wilson")
        return hits / len(self), float(low), float(high)


def repeat(
    trial: Trial,
    population: Population,
    roster: Roster,
    repetitions: int,
    scale: float = 1.0,
    unplanned: int = 0,
    advance: Advance | None = None,
) -> Repetitions:
    """Simulate a trial and analyse it as declared.

    Parameters
    ----------
    trial:
        The declaration; its outcomes are those that the population has.
    population:
        Where units come from.
    roster:
        The units of every repetition.
    repetitions:
        How many trials.
    scale:
        Multiplies the assumed effect; 0 gives the rates of false discoveries.
    unplanned:
        As for :func:`corrected`.
    advance:
        Called with 1 after each trial.
    """
    tests = _tests(trial)
    fast = trial.analysis.multiplicity.method in OF_P_VALUES
    one = _fitted if fast else _estimated
    results = []
    for repetition in range(repetitions):
        results.append(one(trial, population, roster, repetition, scale))
        if advance is not None:
            advance(1)
    estimates, p_values, rejected = (np.array(part) for part in zip(*results, strict=True))
    if fast:
        rejected = corrected(trial, p_values, unplanned)
    return Repetitions(tests, estimates, p_values, rejected.astype(np.bool_))


def planned_only(trial: Trial, outcomes: Sequence[str]) -> Trial:
    """The trial with these outcomes alone, and with nothing beside its contrasts."""
    kept = tuple(outcome for outcome in trial.outcomes if outcome.name in outcomes)
    beside = {"supplementary": (), "refuters": (), "factorial": "none", "dose_response": ()}
    known = {key: value for key, value in beside.items() if hasattr(trial.analysis, key)}
    analysis = trial.analysis.model_copy(update=known)
    return trial.model_copy(update={"outcomes": kept, "analysis": analysis})


def _tests(trial: Trial) -> tuple[Contrast, ...]:
    return tuple(
        Contrast(outcome, treatment, reference)
        for outcome in trial.outcomes
        for treatment, reference in trial.contrasts
    )


_Result = tuple[list[float], list[float], list[bool]]


def _fitted(
    trial: Trial, population: Population, roster: Roster, repetition: int, scale: float
) -> _Result:
    drawn, arms = population.draw(roster, repetition, scale), deal(trial, roster, repetition)
    covariates = noise(trial, roster, repetition)
    found = [
        fitted(trial, sample_of(trial, roster, drawn, arms, covariates, test), test)
        for test in _tests(trial)
    ]
    return [e.estimate for e in found], [e.p_value for e in found], [False for _ in found]


def _estimated(
    trial: Trial, population: Population, roster: Roster, repetition: int, scale: float
) -> _Result:
    table = estimate(trial, simulate(trial, population, roster, repetition, scale))
    effects = table["estimate"].to_numpy(np.float64)
    p_values = table["p_value"].to_numpy(np.float64)
    rejected = table["reject"].fillna(False).to_numpy(bool)
    return list(effects), list(p_values), list(rejected)


def fitted(trial: Trial, sample: Sample, contrast: Contrast) -> Estimate:
    """What ``estimate`` makes of one contrast's units, before the correction."""
    _, estimator = choose_for(trial, contrast, sample)
    if estimator.stratum == "exposed":
        sample, _ = exposed_stratum(trial, sample)
    alpha = interval_alpha(contrast.outcome, trial.analysis.alpha)
    found = settle(estimator.fit(sample, alpha), sample.outcome)
    if is_claim(contrast.outcome):
        beyond = beyond_of(estimator, sample, found, alpha)
        found = against_margin(found, contrast.outcome, beyond)
    return found


def sample_of(
    trial: Trial,
    roster: Roster,
    drawn: Drawn,
    arms: Arms,
    covariates: dict[str, np.ndarray],
    contrast: Contrast,
) -> Sample:
    """The units of one contrast, as ``estimate`` would find them in the observations.

    Parameters
    ----------
    trial, roster, drawn:
        The units, and all that could be seen of them.
    arms:
        [n] or [n, places] what they were dealt.
    covariates:
        Those beside the clean outcome, each [n].
    contrast:
        Which arms, on which outcome.
    """
    names = [arm.name for arm in trial.arms]
    one, other = names.index(contrast.treatment), names.index(contrast.reference)
    if trial.within_unit:
        unit = np.repeat(np.arange(len(roster)), 2)
        arm = np.tile([one, other], len(roster))
        order = np.argsort(arms, axis=1)[unit, arm] + 1
    else:
        unit = np.flatnonzero((arms == one) | (arms == other))
        arm, order = arms[unit], None
    kind, clean = structure(trial), drawn.clean[contrast.outcome.name][unit]
    columns = [
        clean if name == CLEAN else covariates[name][unit] for name in trial.analysis.covariates
    ]
    sample = Sample(
        unit=roster.name[unit],
        outcome=drawn.potential[contrast.outcome.name][unit, arm],
        treated=arm == one,
        covariates=np.column_stack(columns) if columns else np.empty((len(unit), 0)),
        covariate_names=trial.analysis.covariates,
        block=_codes(roster.block, unit) if "blocked" in kind else None,
        cluster=_codes(roster.cluster, unit) if trial.assignment.cluster_by else None,
        exposed=drawn.exposed[unit],
        clean=clean,
        received=received(trial, drawn.exposed)[unit, arm],
        order=order,
        seed=trial.seed,
    )
    return sample if trial.within_unit else shared_blocks(sample)[0]


def _codes(labels: np.ndarray | None, unit: np.ndarray) -> np.ndarray | None:
    return None if labels is None else np.unique(labels[unit], return_inverse=True)[1]


def corrected(trial: Trial, p_values: Matrix, unplanned: int = 0) -> Mask:
    """[repetitions, tests] which tests are rejected, by the correction that the trial declares.

    Parameters
    ----------
    trial:
        Declares the correction and the families.
    p_values:
        [repetitions, tests] NaN where there is no test.
    unplanned:
        How many further tests share the family, of outcomes that are not simulated: they count as
        never rejecting.
    """
    multiplicity = trial.analysis.multiplicity
    families = [multiplicity.family_of(t.outcome.role, t.outcome.name) for t in _tests(trial)]
    rejected = np.zeros(p_values.shape, dtype=np.bool_)
    for family in dict.fromkeys(families):
        at = np.flatnonzero([one == family for one in families])
        present = np.hstack([p_values[:, at], np.ones((len(p_values), unplanned))])
        rejected[:, at] = _procedure(trial, present)[:, : len(at)]
    return rejected & ~np.isnan(p_values)


def _procedure(trial: Trial, p_values: Matrix) -> Mask:
    """[repetitions, tests] of one family."""
    method, alpha = trial.analysis.multiplicity.method, trial.analysis.alpha
    if method in PROCEDURES and not np.isnan(p_values).any():
        return PROCEDURES[method](p_values, alpha)
    return np.array([_one_family(trial, row) for row in p_values])


def _one_family(trial: Trial, p_values: Vector) -> Mask:
    frame = pd.DataFrame({"outcome": "", "role": "", "p_value": p_values, "flags": ""})
    table = adjust(frame, trial.analysis.multiplicity, trial.analysis.alpha)
    decided: Mask = table["reject"].fillna(False).to_numpy(bool)
    return decided
