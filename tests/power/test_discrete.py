"""Plans for outcomes of 0 and 1 and for counts, from their mean on the untouched model."""

from __future__ import annotations

import numpy as np
import pytest

from causal_sae.diagnosis import diagnose
from causal_sae.errors import SpecError
from causal_sae.power import plan_power
from causal_sae.power.closed_form import proportions, t_power
from causal_sae.simulation import Assumptions, DiscretePopulation

REPETITIONS = 250


def planned(declared, estimator, power, **changes):
    return declared(analysis={"estimator": estimator}, power=power, **changes)


def near(found, expected, slack):
    error = np.sqrt(expected * (1 - expected) / REPETITIONS)
    return abs(found - expected) < 3.5 * error + slack


def test_a_difference_of_shares_has_the_power_of_the_test_of_proportions(declared):
    trial = planned(declared, "logistic", {"effect": 0.2, "unit": "outcome", "baseline": 0.5})
    found = diagnose(trial, n=186, repetitions=REPETITIONS).table.iloc[0]
    # R: power.prop.test(p1 = .5, p2 = .7, power = .8) asks for 93 in each arm.
    assert near(found["power"], 0.80, 0.01)
    assert near(found["power"], proportions(0.7, 0.5, 93, 93), 0.01)
    assert found["effect"] == pytest.approx(0.2)
    assert found["estimator"] == "logistic"
    assert abs(found["bias"]) < 4 * found["bias_mcse"]
    assert near(found["coverage"], 0.95, 0.01)


@pytest.mark.parametrize("sd", [None, 3.0])
def test_a_difference_of_counts_has_the_power_of_its_variances(declared, sd):
    power = {"effect": 0.8, "unit": "outcome", "baseline": 2.0, **({"sd": sd} if sd else {})}
    trial = planned(declared, "poisson", power)
    found = diagnose(trial, n=160, repetitions=REPETITIONS).table.iloc[0]
    extra = (sd**2 - 2.0) / 4.0 if sd else 0.0
    variances = [mean + extra * mean**2 for mean in (2.0, 2.8)]
    expected = float(t_power(0.8, np.sqrt(sum(variances) / 80), 158, 0.05))
    assert near(found["power"], expected, 0.02)
    assert found["estimator"] == "poisson"
    assert near(found["coverage"], 0.95, 0.015)


def test_changed_pairs_are_planned_too(declared):
    crossed = {"assignment": {"method": "crossover"}}
    power = {"effect": 0.15, "unit": "outcome", "baseline": 0.4}
    alike, apart = (
        diagnose(
            planned(declared, "mcnemar", {**power, "rho": rho}, **crossed), n=100, repetitions=100
        ).table.iloc[0]
        for rho in (0.95, 0.0)
    )
    assert alike["power"] > apart["power"] + 0.2
    assert alike["estimator"] == "mcnemar"


def test_outcomes_have_their_mean_and_silent_units_their_own(declared, make_units):
    trial = planned(declared, "poisson", {"effect": 1.0, "baseline": 2.0})
    assumed = {"gap": Assumptions(1.0, sd=3.0, rho=0.9, active=0.5)}
    found = DiscretePopulation(trial, assumed, 2.0, "count").draw(make_units(20_000), 0)
    clean, edited = found.clean["gap"], found.potential["gap"][:, 1]
    assert np.array_equal(clean, np.round(clean))
    assert clean.mean() == pytest.approx(2.0, abs=0.08)
    assert clean.std() == pytest.approx(3.0, rel=0.05)
    assert np.array_equal(edited[~found.exposed], clean[~found.exposed])
    assert edited[found.exposed].mean() == pytest.approx(3.0, abs=0.15)
    assert np.array_equal(found.potential["gap"][:, 0], clean)


def test_power_says_what_it_simulates(declared):
    trial = planned(declared, "logistic", {"effect": 0.3, "unit": "outcome", "baseline": 0.3})
    found = diagnose(trial, n=60, repetitions=50)
    assert any("Outcomes are 0 and 1 with the declared mean" in note for note in found.notes)
    assert not any("normal unless" in note for note in found.notes)
    table = plan_power(trial, n=60, repetitions=0).table
    assert len(table) == 0  # no formula, and no simulation was asked for


def test_a_pilot_is_asked_for_its_mean_instead(declared, make_units):
    from causal_sae.simulation import NormalPopulation, simulate

    trial = planned(declared, "poisson", {"effect": 1.0, "baseline": 2.0})
    pilot = simulate(trial, NormalPopulation(trial, {"gap": Assumptions(0.0)}), make_units(20))
    with pytest.raises(SpecError, match=r"power\.pilot: .* take the mean from the pilot"):
        plan_power(trial, pilot=pilot, n=60, repetitions=0)
