"""Formula and simulation agree, for every design that has both."""

from __future__ import annotations

import numpy as np
import pytest

from causal_sae.power.repetitions import repeat

REPETITIONS = 150


def test_simulated_power_is_that_of_the_formula(case):
    plan = case.plan
    formula = np.array([plan.power(i) for i in range(len(plan.questions))])
    done = repeat(case.trial, case.population, case.roster, REPETITIONS)
    found = done.rejected.mean(axis=0)
    # Holm's second test stands at a larger level than the formula, which is a lower bound.
    if len(formula) == 1:
        error = np.sqrt(formula * (1 - formula) / REPETITIONS)
        assert found == pytest.approx(formula, abs=float(3.29 * error[0]) + 0.01)
    else:
        assert np.all(found > formula - 0.09)


def test_any_and_all_are_those_of_the_simulation(cases):
    case = cases["crossover"]
    formula = case.plan.joint()
    done = repeat(case.trial, case.population, case.roster, 300)
    found = [done.rate([0, 1], combine)[0] for combine in ("any", "all")]
    assert found == pytest.approx(formula, abs=0.08)
    assert formula[1] < min(found_of(case)) < formula[0]


def found_of(case):
    return [case.plan.power(i) for i in range(2)]
