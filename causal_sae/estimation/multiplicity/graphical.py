"""Sequentially rejective graphs of weighted Bonferroni tests.

Bretz, Maurer, Brannath and Posch (2009): every hypothesis holds a share of alpha, and when it is
rejected its share passes along arrows to others. ``gMCP::gMCP`` and
``graphicalMCP::graph_test_shortcut``. The family-wise error holds under any dependence.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from causal_sae.errors import Place, SpecError
from causal_sae.estimation.multiplicity.family import Adjusted, Correction, Family
from causal_sae.estimation.multiplicity.p_values import holm
from causal_sae.estimation.sample import Matrix, Vector
from causal_sae.spec.analysis import hypotheses
from causal_sae.spec.rules.analysis import graph_of_tests

if TYPE_CHECKING:
    from causal_sae.spec import Trial

SERIAL = ("primary", "secondary", "exploratory")
"""The roles in the order in which the default graph tests them."""
NOTHING = 1e-12
"""Shares of alpha below this are rounding."""


def sequentially_rejective(p_values: Vector, weights: Vector, transitions: Matrix) -> Vector:
    """[tests] the adjusted p-values of a graph.

    Parameters
    ----------
    p_values:
        [tests] NaN for tests that could not be made: they are never rejected, and keep their
        share.
    weights:
        [tests] the shares of alpha, not negative, in sum at most 1.
    transitions:
        [tests, tests] row i: how the share of i is divided when it is rejected; in sum at most 1,
        and nothing to itself.
    """
    p = np.where(np.isnan(p_values), 1.0, p_values)
    w, g = weights.astype(np.float64).copy(), transitions.astype(np.float64).copy()
    left = np.ones(len(p), dtype=np.bool_)
    adjusted, largest = np.ones(len(p)), 0.0
    while np.any(held := left & (w > NOTHING)):
        ratio = np.divide(p, w, out=np.full(len(p), np.inf), where=held)
        j = int(np.argmin(ratio))
        largest = adjusted[j] = min(1.0, max(largest, float(ratio[j])))
        left[j] = False
        w, g = _without(j, w, g)
    return adjusted


def _without(j: int, w: Vector, g: Matrix) -> tuple[Vector, Matrix]:
    """The graph once hypothesis j is rejected and its share has passed on."""
    weights = w + w[j] * g[j]
    loops = 1 - g[:, j] * g[j, :]  # i -> j -> i would return what i passed on
    through = g + np.outer(g[:, j], g[j])
    divisor = np.broadcast_to(loops[:, None], g.shape)
    found = np.divide(through, divisor, out=np.zeros_like(g), where=divisor > NOTHING)
    np.fill_diagonal(found, 0.0)
    weights[j], found[j, :], found[:, j] = 0.0, 0.0, 0.0
    return weights, found


def serial(p_values: Vector, roles: list[str]) -> Vector:
    """[tests] Holm's adjusted p-values role by role, each role only once all before are rejected.

    The limit of the graph whose primary hypotheses share alpha equally, pass it to each other, and
    only when none is left to the secondary ones, as those to the exploratory ones.

    Parameters
    ----------
    p_values:
        [tests] NaN for tests that could not be made: they keep the gate after them shut.
    roles:
        [tests] their outcomes' roles.
    """
    adjusted, gate = np.full(len(p_values), np.nan), 0.0
    at_role = np.array(roles)
    for role in SERIAL:
        rows = at_role == role
        if rows.any():
            adjusted[rows] = np.maximum(holm(p_values[rows]), gate)
            gate = float(np.max(np.where(np.isnan(adjusted[rows]), 1.0, adjusted[rows])))
    return adjusted


def adjust(family: Family) -> Adjusted:
    """The declared graph; without one, role by role. Guardrails outside a graph are Holm's."""
    graph = _graph(family)
    p_values = family.p_values
    if graph is not None:
        adjusted = sequentially_rejective(p_values, *graph)
        return Adjusted(np.where(family.present, adjusted, np.nan))
    roles = [str(role) for role in family.rows["role"]]
    if set(roles) <= {"guardrail"}:
        return Adjusted(holm(p_values), correction="holm")
    return Adjusted(serial(p_values, roles))


def check(trial: Trial, estimator: str) -> None:
    """Refuse a graph of tests that do not exist, or that gives out more than alpha.

    Raises
    ------
    SpecError
        Says what is wrong with which weight or transition.
    """
    del estimator
    for problem in graph_of_tests(trial):
        raise SpecError(problem.message, Place(field=".".join(map(str, problem.path))))


CORRECTION = Correction(adjust, check)


def _graph(family: Family) -> tuple[Vector, Matrix] | None:
    """The weights and transitions in the order of the rows; None where none are declared."""
    declared = family.multiplicity
    if declared.weights is None:
        return None
    columns = (family.rows[name].astype(str) for name in ("outcome", "treatment", "reference"))
    names = list(zip(*columns, strict=True))
    contrasts = family.trial.contrasts if family.trial else list({name[1:] for name in names})
    place = hypotheses(names, contrasts)
    weights = np.zeros(len(names))
    for key, weight in declared.weights.items():
        weights[place[key]] = weight
    if declared.transitions is None:
        return weights, _in_proportion(weights)
    transitions = np.zeros((len(names), len(names)))
    for source, targets in declared.transitions.items():
        for target, share in targets.items():
            transitions[place[source], place[target]] = share
    return weights, transitions


def _in_proportion(weights: Vector) -> Matrix:
    """What makes a graph of weights alone: each share goes to the others in proportion (Holm)."""
    others = weights.sum() - weights
    shares = np.broadcast_to(weights, (len(weights), len(weights))).copy()
    np.fill_diagonal(shares, 0.0)
    found: Matrix = np.divide(
        shares, others[:, None], out=np.zeros_like(shares), where=others[:, None] > NOTHING
    )
    return found
