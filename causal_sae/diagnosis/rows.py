"""The rows of the diagnosis: one for each test of a design, and its offer in the comparison."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from causal_sae.diagnosis import diagnosands as of
from causal_sae.diagnosis.comparison import BIASED, Offer
from causal_sae.diagnosis.diagnosands import NOTHING, Answers, Measured
from causal_sae.estimation.choice import allows_skewness
from causal_sae.estimation.guardrails import interval_alpha
from causal_sae.estimation.sample import Mask, Vector
from causal_sae.power.plan import tests_margin
from causal_sae.power.precision import draw_variances
from causal_sae.power.table import ALL, ANY

if TYPE_CHECKING:
    from causal_sae.power.plan import Plan
    from causal_sae.power.precision import Question
    from causal_sae.power.repetitions import Repetitions
    from causal_sae.spec import Trial


Key: TypeAlias = tuple[str, str, str]
"""Outcome, treatment and reference of a test."""


SHORT = 3.0
"""Beyond this many Monte-Carlo standard errors a coverage is called too low."""


@dataclass(frozen=True)
class Simulated:
    """A design with what came of it."""

    name: str
    trial: Trial
    plan: Plan
    units: int
    passes: float
    """Forward passes for a unit."""
    rate: float
    """Seconds of a forward pass; NaN where that was not measured."""
    device: str
    true: Repetitions
    """Trials with the assumed effect."""
    null: Repetitions
    """Trials of a feature that does nothing."""
    notes: tuple[str, ...]

    def truth(self, at: int) -> Vector:
        """[repetitions] the effect that a test asks for.

        That of the population, or that of the units of each trial where the claim is about these.
        """
        question = self.plan.questions[at]
        if tests_margin(question.outcome):
            return np.zeros(len(self.true))
        population = self.trial.population
        if population is not None and population.claim == "finite":
            return self.true.in_units[:, at]
        return np.full(len(self.true), question.estimand)

    def answers(self, at: int) -> Answers:
        """What one test said."""
        done = self.true
        return Answers(
            self.truth(at),
            done.estimates[:, at],
            done.conf_low[:, at],
            done.conf_high[:, at],
            done.rejected[:, at],
        )


def shared(designs: Sequence[Sequence[Question]]) -> list[Key]:
    """The effects that every design looks for, in the order of the first."""
    sought = [
        [_key(q) for q in questions if q.difference != 0 and not tests_margin(q.outcome)]
        for questions in designs
    ]
    common = set.intersection(*map(set, sought))
    return [key for key in sought[0] if key in common]


def _key(question: Question) -> Key:
    return question.outcome.name, question.treatment, question.reference


def offer_of(one: Simulated, key: Key) -> Offer:
    """What a design offers for the effect that is compared."""
    at = [_key(question) for question in one.plan.questions].index(key)
    answers, question = one.answers(at), one.plan.questions[at]
    spread, off = of.spread(answers), of.bias(answers)
    fixed = draw_variances(question)[1]
    removable = spread.value**2 - fixed
    if fixed > 0 and question.estimator != "placebo_draws":
        # The difference of two like numbers is unsure; the test reports what it sees of the units.
        removable = float(np.nanmean(one.true.std_errors[:, at] ** 2))
    return Offer(
        design=one.name,
        units=one.units,
        effect=question.estimand,
        spread=spread.value,
        spread_error=spread.error,
        fixed=fixed,
        removable=max(removable, 0.0),
        passes=one.passes,
        biased=abs(off.value) > BIASED * off.error,
    )


def rows_of(one: Simulated, same_precision: Mapping[Key, float]) -> list[dict[str, object]]:
    """One row for each test, and one for any and all of several effects."""
    rows = [_row(one, at, same_precision) for at in range(len(one.plan.questions))]
    return [*rows, *_several(one)]


def _about(one: Simulated) -> dict[str, object]:
    passes = one.units * one.passes
    return {
        "design": one.name,
        "units": one.units,
        "repetitions": len(one.true),
        "forward_passes": round(passes),
        "minutes": passes * one.rate / 60,
    }


def _row(one: Simulated, at: int, same_precision: Mapping[Key, float]) -> dict[str, object]:
    question, answers = one.plan.questions[at], one.answers(at)
    margin = tests_margin(question.outcome)
    sought = margin or question.difference != 0
    estimated = ~np.isnan(answers.estimate)
    numbers = {
        "bias": of.bias(answers),
        "rmse": of.rmse(answers),
        "power": of.rejection(answers) if sought else NOTHING,
        "coverage": of.coverage(answers),
        "type_s": of.type_s(answers) if not margin else NOTHING,
        "type_m": of.type_m(answers) if not margin else NOTHING,
        "type_i": NOTHING if sought else of.rejection(answers),
        "fwer": NOTHING if margin else family_rate(one, at),
    }
    return {
        **_about(one),
        "outcome": question.outcome.name,
        "treatment": question.treatment,
        "reference": question.reference,
        "estimator": called(question),
        "n_treatment": question.layout.n_treatment,
        "n_reference": question.layout.n_reference,
        "effect": float(np.nanmean(answers.truth)),
        **_columns(numbers),
        "conf_level": 1 - interval_alpha(question.outcome, one.trial.analysis.alpha),
        "tested": float(estimated.mean()),
        "passes_same_precision": same_precision.get(_key(question), np.nan),
    }


def called(question: Question) -> str:
    """The estimator's name in the table of effects."""
    automatic = question.trial.analysis.estimator == "auto" and question.name != "sparse"
    return "hall" if automatic and allows_skewness(question.trial, question.name) else question.name


def _columns(numbers: dict[str, Measured]) -> dict[str, float]:
    values = {name: one.value for name, one in numbers.items()}
    return values | {f"{name}_mcse": one.error for name, one in numbers.items()}


def family_rate(one: Simulated, at: int) -> Measured:
    """How often any test of the family rejects where the feature does nothing."""
    declared, questions = one.trial.analysis.multiplicity, one.plan.questions
    families = [declared.family_of(q.outcome.role, q.outcome.name) for q in questions]
    together = [
        i
        for i, (q, family) in enumerate(zip(questions, families, strict=True))
        if family == families[at] and not tests_margin(q.outcome)
    ]
    found: Mask = np.any(one.null.rejected[:, together], axis=1)
    return of.share(found)


def too_sure(rows: Sequence[Mapping[str, object]]) -> list[str]:
    """A sentence for each interval that holds the truth less often than it claims.

    Parameters
    ----------
    rows:
        As :func:`rows_of` makes them; those whose shortfall is within the simulation's error are
        passed over.
    """
    found = []
    for row in rows:
        held, error, level = (
            float(str(row.get(key, "nan"))) for key in ("coverage", "coverage_mcse", "conf_level")
        )
        if held + SHORT * error < level:
            found.append(
                f"{row['design']} is too sure of {row['outcome']}: {row['treatment']} \u2212 "
                f"{row['reference']}: its {level:.0%} interval holds the truth in {held:.0%} of "
                "the trials."
            )
    return found


def _several(one: Simulated) -> list[dict[str, object]]:
    """How often at least one effect is found, and how often all are, where several are sought."""
    questions = one.plan.questions
    at = [i for i, q in enumerate(questions) if q.difference != 0 and not tests_margin(q.outcome)]
    if len(at) < 2:
        return []
    names = list(dict.fromkeys(questions[i].outcome.name for i in at))
    chosen = one.true.rejected[:, at]
    some: Mask = np.any(chosen, axis=1)
    every: Mask = np.all(chosen, axis=1)
    found = {ANY: of.share(some), ALL: of.share(every)}
    return [
        {
            **_about(one),
            "outcome": names[0] if len(names) == 1 else "primary",
            "treatment": combine,
            "reference": "",
            **_columns({"power": power}),
        }
        for combine, power in found.items()
    ]
