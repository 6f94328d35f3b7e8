"""The power of a declared trial: every primary contrast, by formula and by simulation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from causal_sae.estimation.choice import automatic, choose
from causal_sae.estimation.guardrails import has_margin
from causal_sae.power.closed_form import effect_for, size_for
from causal_sae.power.joint import joint_power
from causal_sae.power.layout import Layout
from causal_sae.power.levels import family_size, level
from causal_sae.power.precision import CLOSED, Question, precision

if TYPE_CHECKING:
    from causal_sae.simulation import Assumptions
    from causal_sae.spec import Outcome, Trial


@dataclass(frozen=True)
class Plan:
    """The tests of a trial with what is assumed of them; everything here is closed form."""

    trial: Trial
    outcomes: tuple[Outcome, ...]
    assumed: Mapping[str, Assumptions]
    """Outcome -> what it is taken to be like."""
    layouts: Mapping[tuple[str, str], Layout] = field(repr=False)
    """Contrast -> how its units lie at the planned size."""
    noise: tuple[float, ...] = ()
    """[questions] factors of the standard errors; empty: 1."""

    @cached_property
    def questions(self) -> tuple[Question, ...]:
        """Every contrast of every planned outcome, in the order of the table of effects."""
        name, _ = choose(self.trial)
        asked = [(o, pair) for o in self.outcomes for pair in self.trial.contrasts]
        noise = self.noise or (1.0,) * len(asked)
        return tuple(
            Question(self.trial, o, *pair, name, self.layouts[pair], self.assumed[o.name], factor)
            for (o, pair), factor in zip(asked, noise, strict=True)
        )

    @property
    def has_closed_form(self) -> bool:
        """Whether there is a formula for the trial's estimator."""
        return self.questions[0].estimator in CLOSED

    @cached_property
    def levels(self) -> tuple[float, ...]:
        """The level that the correction leaves each test at least."""
        return tuple(level(question, self.questions) for question in self.questions)

    @property
    def unplanned(self) -> dict[str, int]:
        """Family -> how many of its tests are not planned for: of other outcomes, of several arms.

        They count as never rejecting, so that what is planned is on the safe side.
        """
        declared = self.trial.analysis.multiplicity
        families = {o: declared.family_of(o.role, o.name) for o in self.outcomes}
        return {
            family: family_size(self.trial, outcome)
            - len(self.trial.contrasts) * sum(other == family for other in families.values())
            for outcome, family in families.items()
        }

    def with_assumptions(self, assumed: Mapping[str, Assumptions]) -> Plan:
        """The same plan of other assumptions."""
        return replace(self, assumed=assumed)

    def with_noise(self, noise: Sequence[float]) -> Plan:
        """The same plan with standard errors that are so many times as large."""
        return replace(self, noise=tuple(noise))

    def power(self, at: int, n: float | None = None, m: float | None = None) -> float:
        """The power of one test, at its planned size or with n and m units in its arms.

        NaN where the contrast has no effect to find, or the estimator no formula.
        """
        question = self.questions[at]
        layout = question.layout
        n, m = n or layout.n_treatment, m or layout.n_reference
        if not self.has_closed_form:
            return np.nan
        if not tests_margin(question.outcome) and question.difference == 0:
            return np.nan
        return test_power(question, self.levels[at], n, m)

    def n_required(self, at: int) -> float:
        """Units in each arm (within units: units) for the target, not rounded."""
        return size_for(lambda n: self.power(at, n, n), self.target)

    def mde(self, at: int) -> float:
        """The smallest effect that the planned size finds with the target power."""
        question = self.questions[at]
        if not self.has_closed_form or tests_margin(question.outcome):
            return np.nan
        return smallest_effect(question, self.levels[at], self.target)

    @property
    def target(self) -> float:
        """The power that is wanted."""
        assert self.trial.power is not None
        return self.trial.power.target

    def joint(self, n: float | None = None) -> tuple[float, float]:
        """The power to find at least one effect, and all; NaN where fewer than two are sought."""
        at = range(len(self.questions))
        primary = [i for i in at if not tests_margin(self.questions[i].outcome)]
        chosen = [self.questions[i] for i in primary]
        if not self.has_closed_form or not chosen:
            return np.nan, np.nan
        levels = [self.levels[i] for i in primary]
        powers = [
            self.power(i, n, n) if self.questions[i].difference else self.levels[i] for i in primary
        ]
        declared = self.trial.analysis.multiplicity
        families = [declared.family_of(q.outcome.role, q.outcome.name) for q in chosen]
        return joint_power(chosen, powers, levels, families, self.unplanned)


def tests_margin(outcome: Outcome) -> bool:
    """Whether the claim is that there is no effect as large as a margin."""
    return has_margin(outcome)


def test_power(question: Question, alpha: float, n: float, m: float) -> float:
    """The power of a test with n and m units in its arms.

    Parameters
    ----------
    question:
        The contrast. Where its outcome has a margin, the true effect is taken to be zero and the
        test is the one against the margin.
    alpha:
        The level.
    n, m:
        Units.
    """
    if not tests_margin(question.outcome):
        return precision(question, n, m).power(alpha)
    sides = 2 if question.outcome.harm == "either" else 1
    unaffected = precision(question.at_effect(0.0), n, m)
    return unaffected.power_against(question.outcome.margin or np.nan, alpha, sides)


def smallest_effect(question: Question, alpha: float, target: float) -> float:
    """The smallest effect, on the scale of the estimand, that the planned size finds.

    A contrast without an assumed effect has one too: it is what the design could have found.
    """
    layout = question.layout
    n, m = layout.n_treatment, layout.n_reference

    def power(effect: float) -> float:
        return _of_effect(question, effect, alpha, n, m)

    scale = float(np.nanmax(precision(question, n, m).std_error))
    found = effect_for(power, target, scale) if np.isfinite(scale) else np.nan
    share = 1.0 if question.estimator == "cace" else question.reached
    return share * found


def _of_effect(question: Question, effect: float, alpha: float, n: float, m: float) -> float:
    """The power of a given effect on the units that are reached, whatever was assumed."""
    if question.difference != 0:
        return precision(question.at_effect(effect), n, m).power(alpha)
    still = precision(question, n, m)
    share = 1.0 if question.name in {"cace", "sparse"} else question.reached
    return replace(still, effect=np.full(len(still.effect), share * effect)).power(alpha)


def noise(question: Question) -> float:
    """The standard error at the planned size over the effect that is sought; NaN without one.

    For an estimator without a formula it is that of the design's own, which it hangs on alike.
    """
    if question.estimator not in CLOSED:
        question = replace(question, estimator=automatic(question.trial))
    if question.estimator not in CLOSED:  # `enriched` is that of the exposed units, nearly
        everywhere = replace(question.assumed, active=1.0)
        question = replace(question, estimator="welch", assumed=everywhere)
    margin = question.outcome.margin if tests_margin(question.outcome) else None
    if margin is None and question.difference == 0:
        return np.nan
    layout = question.layout
    asked = question if margin is None else question.at_effect(0.0)
    found = precision(asked, layout.n_treatment, layout.n_reference)
    effect = found.effect if margin is None else margin * found.dilution
    distance = found.weight @ (effect / found.std_error) ** 2
    return float(1 / np.sqrt(distance)) if distance > 0 else np.nan
