"""The level that each test of a plan is left with by the trial's correction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from scipy import stats

from causal_sae.estimation.multiplicity import dunnett
from causal_sae.spec.combinations import combinations

if TYPE_CHECKING:
    from causal_sae.power.precision import Question
    from causal_sae.spec import Outcome, Trial

AT_FULL_LEVEL = frozenset({"none", "fixed_sequence"})
"""Each test stands at alpha; a sequence stops at the first that does not reject."""
STEPWISE = frozenset({"holm", "hochberg", "hommel", "bh", "by", "tsbh", "graphical", "maxt"})
"""What they reject, Bonferroni's level (of `by`: a smaller one) would reject or they go beyond."""


def family_size(trial: Trial, outcome: Outcome) -> int:
    """How many tests are corrected together with those of an outcome.

    Factorial effects and trends over doses stand in the family beside the contrasts.
    """
    declared = trial.analysis.multiplicity
    family = declared.family_of(outcome.role, outcome.name)
    together = [o for o in trial.outcomes if declared.family_of(o.role, o.name) == family]
    return sum(len(trial.contrasts) + len(combinations(trial, o)) for o in together)


def level(question: Question, questions: Sequence[Question]) -> float:
    """The level of one test that the correction never goes below.

    Parameters
    ----------
    question:
        The test.
    questions:
        All tests of the plan.
    """
    trial = question.trial
    method, alpha = trial.analysis.multiplicity.method, trial.analysis.alpha
    size = family_size(trial, question.outcome)
    if method in AT_FULL_LEVEL or size == 1:
        return alpha
    if method == "by":
        return alpha / size / float(np.sum(1 / np.arange(1, size + 1)))
    if method == "dunnett":
        return dunnett_level(question, questions)
    return alpha / size


def dunnett_level(question: Question, questions: Sequence[Question]) -> float:
    """The level of one test beside the others of its outcome, at equal variances."""
    trial, alpha = question.trial, question.trial.analysis.alpha
    outcomes = family_size(trial, question.outcome) / len(trial.contrasts)
    of_outcome = [q for q in questions if q.outcome.name == question.outcome.name]
    n = np.array([q.layout.n_treatment for q in of_outcome], dtype=np.float64)
    m = np.array([q.layout.n_reference for q in of_outcome], dtype=np.float64)
    loadings = np.sqrt((1 / m) / (1 / n + 1 / m))
    df = question.layout.n_treatment + question.layout.n_reference - 2.0
    limit = dunnett.critical(alpha / outcomes, loadings, df)
    return float(2 * stats.t.sf(limit, df))
