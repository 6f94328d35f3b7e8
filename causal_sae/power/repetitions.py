"""The declared trial, simulated many times, with its own estimator and its own correction.

Only what decides is computed: the samples are those that ``estimate`` would make of the simulated
observations, in the same order, so that p-values are the same to the last bit; a test holds this.
Corrections that need more than p-values go through ``estimate`` itself, which takes longer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from statsmodels.stats.proportion import proportion_confint

from causal_sae.estimation import estimate
from causal_sae.estimation.choice import choose, choose_for, structure
from causal_sae.estimation.contrasts import Contrast, exposed_stratum
from causal_sae.estimation.guardrails import against_margin, beyond_of, interval_alpha, is_claim
from causal_sae.estimation.inference import Estimate, settle
from causal_sae.estimation.instruments import with_uptake
from causal_sae.estimation.multiplicity import adjust
from causal_sae.estimation.sample import (
    Codes,
    Mask,
    Matrix,
    Pool,
    Sample,
    Vector,
    shared_blocks,
)
from causal_sae.power.joint import NONE, OF_P_VALUES, PROCEDURES
from causal_sae.simulation import deal, received
from causal_sae.simulation.observations import CLEAN, noise, observed
from causal_sae.spec.enrichment import inert_where_silent

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
    std_errors: Matrix
    """[repetitions, tests] as the estimator reports them."""
    conf_low: Matrix
    """[repetitions, tests] the lower limit of the interval, before correction."""
    conf_high: Matrix
    """[repetitions, tests] the upper limit."""
    in_units: Matrix
    """[repetitions, tests] the true effect among the units of that trial: of all of them, or of
    the exposed ones where the estimator speaks of these."""

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
    unplanned: Mapping[str, int] = NONE,
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
    results, effects = [], []
    for repetition in range(repetitions):
        drawn, arms = population.draw(roster, repetition, scale), deal(trial, roster, repetition)
        results.append(one(trial, roster, drawn, arms, repetition))
        effects.append([true_effect(trial, drawn, test) for test in tests])
        if advance is not None:
            advance(1)
    table = np.array(results)
    numbers = {name: table[:, i] for i, name in enumerate(COLUMNS)}
    reject = table[:, len(COLUMNS)].astype(np.bool_)
    if fast:
        reject = corrected(trial, numbers["p_values"], unplanned)
    return Repetitions(tests, rejected=reject, in_units=np.array(effects), **numbers)


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


COLUMNS = ("estimates", "p_values", "std_errors", "conf_low", "conf_high")
"""What is kept of each test, and beside it whether it rejects."""


def _fitted(
    trial: Trial, roster: Roster, drawn: Drawn, arms: Arms, repetition: int
) -> list[list[float]]:
    """The numbers of one trial, one list for each of COLUMNS; the correction comes later."""
    covariates = noise(trial, roster, repetition)
    found = [
        fitted(trial, sample_of(trial, roster, drawn, arms, covariates, test), test)
        for test in _tests(trial)
    ]
    rows = [(e.estimate, e.p_value, e.std_error, e.conf_low, e.conf_high, 0.0) for e in found]
    return [list(column) for column in zip(*rows, strict=True)]


def _estimated(
    trial: Trial, roster: Roster, drawn: Drawn, arms: Arms, repetition: int
) -> list[list[float]]:
    """The same by ``estimate`` itself."""
    table = estimate(trial, observed(trial, roster, drawn, arms, repetition))
    names = ("estimate", "p_value", "std_error", "conf_low", "conf_high")
    numbers = [list(table[name].to_numpy(np.float64)) for name in names]
    return [*numbers, list(table["reject"].fillna(False).to_numpy(np.float64))]


def true_effect(trial: Trial, drawn: Drawn, contrast: Contrast) -> float:
    """The effect among the units of one trial; NaN where it is that of exposed ones, without any.

    Parameters
    ----------
    trial:
        Its estimator says of which units the effect is.
    drawn:
        The units, with what each would be in every arm.
    contrast:
        Which arms, on which outcome.
    """
    names = [arm.name for arm in trial.arms]
    values = drawn.potential[contrast.outcome.name]
    one, other = (values[:, names.index(name)] for name in (contrast.treatment, contrast.reference))
    among = drawn.exposed if choose(trial)[1].speaks_of == "exposed" else slice(None)
    change = (one - other)[among]
    if drawn.sampling is not None:
        return float(np.average(change, weights=1 / drawn.sampling.probability[among]))
    return float(change.mean()) if len(change) else np.nan


def fitted(trial: Trial, sample: Sample, contrast: Contrast) -> Estimate:
    """What ``estimate`` makes of one contrast's units, before the correction."""
    _, estimator = choose_for(trial, contrast, sample)
    if estimator.stratum == "exposed":
        sample, _ = exposed_stratum(trial, sample)
    if estimator.instrument:
        sample = with_uptake(trial, contrast, sample)
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
        draws=_by_draw(drawn, unit, arm, contrast.outcome.name),
        **_sampled(trial, drawn, unit, contrast),
        se_type=trial.analysis.se_type,
        seed=trial.seed,
    )
    return sample if trial.within_unit else shared_blocks(sample)[0]


def _sampled(trial: Trial, drawn: Drawn, unit: Codes, contrast: Contrast) -> dict[str, Any]:
    """What a sample says of the pool that its units were drawn from; nothing without one."""
    sampling = drawn.sampling
    if sampling is None:
        return {}
    arms = contrast.treatment, contrast.reference
    finite = trial.population is not None and trial.population.claim == "finite"
    return {
        "weight": 1 / sampling.probability[unit],
        "stratum_share": sampling.stratum_share[unit],
        "pool": Pool(sampling.size, finite, inert_where_silent(trial, contrast.outcome, *arms)),
    }


def _by_draw(drawn: Drawn, unit: Codes, arm: Codes, outcome: str) -> Matrix | None:
    """[rows, draws] the outcome by draw, where draws are told apart and an arm has several."""
    if drawn.draw is None or drawn.draw.max() < 1:
        return None
    number, values = drawn.draw[unit, arm], drawn.potential[outcome][unit, arm]
    table = np.full((len(unit), int(drawn.draw.max()) + 1), np.nan)
    dealt = np.flatnonzero(number >= 0)
    table[dealt, number[dealt]] = values[dealt]
    return table


def _codes(labels: np.ndarray | None, unit: np.ndarray) -> np.ndarray | None:
    return None if labels is None else np.unique(labels[unit], return_inverse=True)[1]


def corrected(trial: Trial, p_values: Matrix, unplanned: Mapping[str, int] = NONE) -> Mask:
    """[repetitions, tests] which tests are rejected, by the correction that the trial declares.

    Parameters
    ----------
    trial:
        Declares the correction and the families.
    p_values:
        [repetitions, tests] NaN where there is no test.
    unplanned:
        Family -> how many further tests share it that are not simulated, of other outcomes or of
        several arms: they count as never rejecting.
    """
    multiplicity = trial.analysis.multiplicity
    families = [multiplicity.family_of(t.outcome.role, t.outcome.name) for t in _tests(trial)]
    rejected = np.zeros(p_values.shape, dtype=np.bool_)
    for family in dict.fromkeys(families):
        at = np.flatnonzero([one == family for one in families])
        further = np.ones((len(p_values), unplanned.get(family, 0)))
        present = np.hstack([p_values[:, at], further])
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
