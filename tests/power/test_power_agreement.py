"""Formula and simulation agree, for every design that has both."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from causal_sae.power.repetitions import repeat
from causal_sae.spec import Multiplicity

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


def test_simulated_power_against_a_margin_is_that_of_the_formula(margin):
    formula = margin.plan.power(0)
    done = repeat(margin.trial, margin.population, margin.roster, 100)
    error = np.sqrt(formula * (1 - formula) / 100)
    assert 0.2 < formula < 0.97
    assert done.rejected.mean() == pytest.approx(formula, abs=float(3.29 * error) + 0.01)


def test_one_sided_caution_costs_more_than_students_test_tells(make_case, declared, make_units):
    """A test of one side allows more for skewness; with 15 units an arm that is 0.05 of power."""
    from causal_sae.power.closed_form import two_sample
    from causal_sae.simulation import Assumptions

    outcome = {"name": "gap", "role": "guardrail", "metric": "kl", "margin": 0.5}
    case = make_case(declared(outcomes=[outcome]), make_units(30), Assumptions(0.0))
    lost = two_sample(0.5, 15, 15, sides=1) - case.plan.power(0)
    assert 0.02 < lost < 0.12
    clustered = make_case(
        declared(outcomes=[outcome], analysis={"estimator": "welch"}),
        make_units(30),
        Assumptions(0.0),
    )
    assert clustered.plan.power(0) == pytest.approx(two_sample(0.5, 15, 15, sides=1), abs=1e-9)


def test_a_test_that_cannot_be_made_takes_no_power_from_the_others(cases):
    from causal_sae.power.joint import joint_power

    plan = cases["crossover"].plan
    for method in ("bonferroni", "holm", "none", "fixed_sequence"):
        trial = plan.trial.model_copy(
            update={
                "analysis": plan.trial.analysis.model_copy(
                    update={"multiplicity": Multiplicity(method=method)}
                )
            }
        )
        questions = [replace(q, trial=trial) for q in plan.questions]
        some, every = joint_power(questions, [0.8, np.nan], [0.025] * 2, ["primary"] * 2)
        assert every == 0
        assert some == pytest.approx(0.8 if method == "bonferroni" else some, abs=2e-3)
        assert 0.75 < some < 0.9


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
