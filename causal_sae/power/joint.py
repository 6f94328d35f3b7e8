"""The power to find something (at least one effect) and everything (all effects) of a family.

The test statistics are taken as jointly normal. Each has the power that its own exact formula
gives; two are correlated through the arms that they share, those of different outcomes not at
all. The trial's own correction is applied to points that fill their distribution evenly (a
scrambled Sobol sequence of fixed seed), so the numbers are the same on every run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
from scipy import optimize, special, stats

from causal_sae.estimation.sample import Mask, Matrix, Vector
from causal_sae.power.precision import variances_of_means

if TYPE_CHECKING:
    from causal_sae.power.precision import Question

POINTS = 14
"""Two to this power many points: the error is about one in a thousand."""

NONE: Mapping[str, int] = MappingProxyType({})
"""No family has tests besides."""

FAR = 40.0
"""No test misses an effect of this many standard errors."""


def _steps(p: Matrix, alpha: float, down: bool) -> Mask:
    """Holm's (down) or Hochberg's (up) procedure on each row of p [points, tests]."""
    order = np.argsort(p, axis=1)
    ranked = np.take_along_axis(p, order, axis=1)
    limits = alpha / np.arange(p.shape[1], 0, -1)
    passed = ranked <= limits
    if down:
        kept = np.logical_and.accumulate(passed, axis=1)
    else:
        kept = np.logical_or.accumulate(passed[:, ::-1], axis=1)[:, ::-1]
    return _back(kept, order)


def _false_discovery(p: Matrix, alpha: float) -> Mask:
    """Benjamini and Hochberg's procedure on each row."""
    order = np.argsort(p, axis=1)
    passed = (
        np.take_along_axis(p, order, axis=1) <= alpha * np.arange(1, p.shape[1] + 1) / p.shape[1]
    )
    kept = np.logical_or.accumulate(passed[:, ::-1], axis=1)[:, ::-1]
    return _back(kept, order)


def _back(kept: Mask, order: np.ndarray) -> Mask:
    result = np.empty_like(kept)
    np.put_along_axis(result, order, kept, axis=1)
    return result


Procedure = Callable[[Matrix, float], Mask]

PROCEDURES: dict[str, Procedure] = {
    "none": lambda p, alpha: p <= alpha,
    "bonferroni": lambda p, alpha: p <= alpha / p.shape[1],
    "holm": lambda p, alpha: _steps(p, alpha, True),
    "hochberg": lambda p, alpha: _steps(p, alpha, False),
    "bh": _false_discovery,
    "by": lambda p, alpha: _false_discovery(
        p, alpha / float(np.sum(1 / np.arange(1, p.shape[1] + 1)))
    ),
    "fixed_sequence": lambda p, alpha: np.logical_and.accumulate(p <= alpha, axis=1),
}
"""Correction -> which tests [points, tests] it rejects; in one family."""
OF_P_VALUES = frozenset({*PROCEDURES, "hommel", "tsbh"})
"""Corrections that see nothing but p-values."""


def joint_power(
    questions: Sequence[Question],
    powers: Sequence[float],
    levels: Sequence[float],
    families: Sequence[str],
    unplanned: Mapping[str, int] = NONE,
) -> tuple[float, float]:
    """The power to find at least one of the effects, and to find all.

    Parameters
    ----------
    questions:
        The tests, of one trial and in its order.
    powers, levels:
        Each test's own power at its level; where there is no effect, the level itself; NaN where
        the test cannot be made, which then never rejects.
    families:
        The family of each.
    unplanned:
        Family -> how many further tests share it; they count as never rejecting.
    """
    trial = questions[0].trial
    method, alpha = trial.analysis.multiplicity.method, trial.analysis.alpha
    effective = np.array([q.difference != 0 for q in questions])
    missing = np.isnan(np.asarray(powers, dtype=np.float64))
    if effective.sum() < 2 or missing[effective].all():
        return np.nan, np.nan
    if method != "dunnett" and method not in PROCEDURES:
        return np.nan, np.nan
    statistic = _points(correlations(questions)) + _shifts(questions, powers, levels)
    p = np.where(missing, 1.0, 2 * special.ndtr(-np.abs(statistic)))
    rejected = np.zeros_like(p, dtype=np.bool_)
    if method == "dunnett":
        rejected = p <= np.asarray(levels)
    else:
        for family in dict.fromkeys(families):
            at = np.array([one == family for one in families])
            together = np.hstack([p[:, at], np.ones((len(p), unplanned.get(family, 0)))])
            rejected[:, at] = PROCEDURES[method](together, alpha)[:, : at.sum()]
    found = rejected[:, effective]
    return float(found.any(axis=1).mean()), float(found.all(axis=1).mean())


def _shifts(
    questions: Sequence[Question], powers: Sequence[float], levels: Sequence[float]
) -> Vector:
    """[tests] the means at which normal statistics have the powers of the real ones."""
    shifts = []
    for question, power, alpha in zip(questions, powers, levels, strict=True):
        found = 0.0 if np.isnan(power) else shift_for(power, alpha)
        shifts.append(np.sign(question.difference) * found)
    return np.array(shifts)


def shift_for(power: float, alpha: float) -> float:
    """The mean at which a normal statistic of variance 1 is rejected with that power."""

    def lack(shift: float) -> float:
        return power_of(shift, alpha) - power

    if lack(0.0) >= 0:
        return 0.0
    return float(optimize.brentq(lack, 0.0, FAR)) if lack(FAR) > 0 else FAR


def power_of(shift: float, alpha: float) -> float:
    """How often a normal statistic of variance 1 and that mean is rejected."""
    limit = float(stats.norm.isf(alpha / 2))
    return float(special.ndtr(shift - limit) + special.ndtr(-shift - limit))


def correlations(questions: Sequence[Question]) -> Matrix:
    """[tests, tests] the correlations of the tests of one outcome through the arms they share."""
    k = len(questions)
    matrix = np.eye(k)
    for i, one in enumerate(questions):
        for j, other in enumerate(questions[:i]):
            if one.outcome.name == other.outcome.name:
                matrix[i, j] = matrix[j, i] = _shared(one, other)
    return matrix


def _shared(one: Question, other: Question) -> float:
    """The covariance through shared arms, over both standard deviations."""
    signed = [dict(zip((q.treatment, q.reference), _parts(q), strict=True)) for q in (one, other)]
    common = signed[0].keys() & signed[1].keys()
    total = sum(np.sign(signed[0][arm] * signed[1][arm]) * _mean(signed, arm) for arm in common)
    sizes = [sum(map(abs, arms.values())) for arms in signed]
    return float(total / np.sqrt(sizes[0] * sizes[1]))


def _parts(question: Question) -> tuple[float, float]:
    """The variance of each arm's mean, with the sign that the arm has in the difference."""
    of_treatment, of_reference = variances_of_means(question)
    return of_treatment, -of_reference


def _mean(signed: Sequence[dict[str, float]], arm: str) -> float:
    """The geometric mean of what an arm adds to two contrasts; adjustment may differ."""
    return float(np.sqrt(abs(signed[0][arm] * signed[1][arm])))


def _points(correlation: Matrix) -> Matrix:
    """[points, tests] standard normal points with these correlations."""
    values, vectors = np.linalg.eigh(correlation)
    root = vectors * np.sqrt(np.clip(values, 0.0, None))
    uniform = stats.qmc.Sobol(len(correlation), scramble=True, seed=1).random_base2(POINTS)
    normal: Matrix = special.ndtri(np.clip(uniform, 1e-12, 1 - 1e-12)) @ root.T
    return normal
