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


def test_caution_about_skewness_costs_power_among_few_exposed_units():
    from causal_sae.estimation import skewness
    from causal_sae.power.closed_form import one_sample
    from causal_sae.power.exposed import exposed_power, untransformed

    for m, least in ((12.0, 0.005), (40.0, 0.001)):
        cautious = exposed_power(np.array([0.6]), np.array([1 / np.sqrt(m)]), np.array([m]), 0.05)
        assert least < one_sample(0.6, m) - cautious[0] < 0.1
    many = exposed_power(np.array([0.02]), np.array([0.01]), np.array([10000.0]), 0.05)
    assert many[0] == pytest.approx(one_sample(0.02, 10000), abs=2e-3)
    assert exposed_power(np.ones(1), np.ones(1), np.ones(1), 0.05)[0] == 0
    for gamma in (-0.4, -1e-7, 0.0, 0.3):
        found = untransformed(np.array([2.1]), np.array([gamma]))
        assert found[0] == pytest.approx(skewness.untransformed(2.1, gamma), abs=1e-12)


def test_any_and_all_are_those_of_the_simulation(cases):
    case = cases["crossover"]
    formula = case.plan.joint()
    done = repeat(case.trial, case.population, case.roster, 300)
    found = [done.rate([0, 1], combine)[0] for combine in ("any", "all")]
    assert found == pytest.approx(formula, abs=0.08)
    assert formula[1] < min(found_of(case)) < formula[0]


def found_of(case):
    return [case.plan.power(i) for i in range(2)]
