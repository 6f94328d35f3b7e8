"""A pilot: what is taken from it, what is put aside, and how uncertain it leaves the plan."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from causal_sae.errors import DataError
from causal_sae.power import plan_power
from causal_sae.power.pilot import assumptions_of, intraclass, read_pilot
from causal_sae.power.resampling import PilotPopulation
from causal_sae.simulation import Assumptions, NormalPopulation, simulate


def observed(trial, assumed, roster, shift=0.0):
    """Simulated observations in which the edited arm lies higher by ``shift`` on all units."""
    table = simulate(trial, NormalPopulation(trial, {"gap": assumed}), roster)
    edited = table["arm"].eq("ablate").to_numpy(bool)
    return table.assign(value=table["value"] + shift * edited)


def taken(trial, table, estimator="welch"):
    return assumptions_of(
        trial, trial.power, read_pilot(trial, table), trial.outcomes[0], estimator
    )


def test_the_spread_is_that_within_arms_and_the_effect_is_put_aside(declared, make_units):
    trial = declared()
    table = observed(trial, Assumptions(0.0, sd=3.0, rho=0.5), make_units(400))
    moved = observed(trial, Assumptions(0.0, sd=3.0, rho=0.5), make_units(400), shift=7.0)
    by_arm = table.groupby("arm")["value"].var().mean()
    assert taken(trial, table).sd == pytest.approx(np.sqrt(by_arm), rel=1e-9)
    assert taken(trial, moved).sd == pytest.approx(taken(trial, table).sd, rel=1e-12)
    assert taken(trial, moved).rho == pytest.approx(taken(trial, table).rho, rel=1e-9)


def test_an_effect_in_standard_deviations_is_in_those_of_the_pilot(declared, make_units):
    table = observed(declared(), Assumptions(0.0, sd=3.0), make_units(200))
    in_sd = taken(declared(), table)
    in_units = taken(declared(power={"effect": 0.5, "unit": "outcome", "sd": 1}), table)
    assert in_sd.effect == pytest.approx(0.5 * in_sd.sd)
    assert in_units.effect == 0.5
    assert in_units.sd == in_sd.sd


@pytest.mark.parametrize("name", ["crossover", "ancova of doses"])
def test_rho_is_seen_within_units_and_against_the_clean_outcome(cases, make_units, name):
    trial = cases[name].trial
    table = observed(trial, Assumptions(0.3, rho=0.8), make_units(600))
    assert taken(trial, table).rho == pytest.approx(0.8, abs=0.05)


def test_activity_and_the_change_among_exposed_units(cases, make_units):
    trial = cases["crossover, few exposed"].trial
    found = taken(trial, observed(trial, Assumptions(0.5, rho=0.6, active=0.3), make_units(800)))
    assert found.active == pytest.approx(0.3, abs=0.05)
    assert found.changes["ablate", "control"] * found.sd**2 == pytest.approx(0.8, rel=0.15)


def test_icc_of_clusters_and_of_changes_within_them(cases, make_units):
    roster = make_units(600, clusters=60)
    whole = cases["clusters"].trial
    found = taken(whole, observed(whole, Assumptions(0.5, icc=0.3), roster))
    assert found.icc == pytest.approx(0.3, abs=0.12)
    within = cases["crossover in clusters"].trial
    found = taken(within, observed(within, Assumptions(0.5, icc=0.3, rho=0.5), roster), "paired")
    assert found.icc == pytest.approx(0.3, abs=0.12)


def test_the_anova_estimate_of_icc_by_hand():
    value, group = np.array([1.0, 2, 3, 5, 9, 10]), np.array([0, 0, 1, 1, 2, 2])
    between, within = 47.25 * 2 / 3, 3.0 / 3  # mean squares, as any table of ANOVA has them
    between = 2 * np.sum((np.array([1.5, 4, 9.5]) - 5) ** 2) / 2
    assert within == pytest.approx((0.5 + 2 + 0.5) / 3)
    assert intraclass(value, group) == pytest.approx((between - within) / (between + within))
    assert np.isnan(intraclass(value, np.arange(6)))
    assert np.isnan(intraclass(value, np.zeros(6, dtype=int)))
    assert intraclass(np.array([1.0, 5, 1, 5]), np.array([0, 0, 1, 1])) == 0


def test_units_are_resampled_with_their_shape(declared, make_units):
    trial = declared()
    table = observed(trial, Assumptions(0.0), make_units(120), shift=2.0)
    skewed = table.assign(value=np.exp(table["value"]))
    pilot = read_pilot(trial, skewed.drop(columns="clean_outcome"))
    population = PilotPopulation(trial, pilot, {"gap": Assumptions(effect=100.0)})
    one = population.draw(make_units(5000), 0)
    values = one.potential["gap"]
    assert values[:, 1].mean() == pytest.approx(100.0, abs=2.0)
    shape = (values[:, 1] - values[:, 1].mean()) / values[:, 1].std()
    assert np.mean(shape**3) > 1.0
    assert not np.isnan(values).any()
    assert population.draw(make_units(5000), 1).potential["gap"][0, 0] != values[0, 0]


def test_silent_units_of_a_pilot_stay_untouched(cases, make_units):
    trial = cases["crossover, few exposed"].trial
    table = observed(trial, Assumptions(0.5, rho=0.6, active=0.3), make_units(60))
    pilot = read_pilot(trial, table)
    population = PilotPopulation(trial, pilot, {"gap": Assumptions(0.9)})
    one = population.draw(make_units(300), 0)
    difference = one.potential["gap"][:, 1] - one.potential["gap"][:, 0]
    assert np.all(difference[~one.exposed] == 0)
    assert difference[one.exposed].mean() == pytest.approx(0.9, abs=0.3)


def test_power_from_a_pilot_is_that_of_the_truth_and_its_interval_holds_it(declared, make_units):
    trial, truth = declared(), Assumptions(0.5)
    table = observed(trial, truth, make_units(300), shift=1.0)
    exact = plan_power(trial, n=120, repetitions=0).table["power"].iloc[0]
    found = plan_power(trial, pilot=table, n=120, repetitions=100)
    rows = found.table.set_index("method")
    # The effect is in standard deviations, so that the plain design needs nothing of the pilot.
    assert rows.loc["closed_form", "power"] == pytest.approx(exact, abs=1e-6)
    assert rows.loc["simulation", "power"] == pytest.approx(exact, abs=0.13)
    outcome = declared(power={"effect": 0.5, "unit": "outcome", "sd": 1})
    row = plan_power(outcome, pilot=table, n=120, repetitions=0).table.iloc[0]
    assert row["power_low"] < row["power"] < row["power_high"]
    assert row["power_low"] < exact < row["power_high"]


def test_a_larger_pilot_leaves_less_uncertainty(declared, make_units):
    trial = declared(power={"effect": 0.35, "unit": "outcome", "sd": 1})
    widths = []
    for n in (30, 400):
        table = observed(trial, Assumptions(0.0), make_units(n))
        row = plan_power(trial, pilot=table, n=120, repetitions=0).table.iloc[0]
        widths.append(row["power_high"] - row["power_low"])
    assert widths[1] < widths[0] / 2


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda t: t.assign(outcome="other"), "--pilot: the pilot must hold the outcome 'gap'"),
        (lambda t: t.head(5), "at least 8 units with an outcome, not 5"),
        (lambda t: t.assign(value=1.0), "must vary within the pilot's arms"),
        (lambda t: t.drop(columns="value"), "must have the column 'value'"),
        (lambda t: t.assign(status="too long"), "the pilot must hold the outcome 'gap'"),
    ],
)
def test_pilots_that_say_nothing_are_refused(declared, make_units, change, sentence):
    table = observed(declared(), Assumptions(0.0), make_units(40))
    with pytest.raises(DataError, match=sentence):
        plan_power(declared(), pilot=change(table), n=40, repetitions=0)


def test_guardrails_of_a_pilot_have_the_power_to_exclude_their_margin(declared, make_units):
    outcomes = [
        {"name": "gap", "role": "primary", "metric": "entropy"},
        {"name": "drift", "role": "guardrail", "metric": "kl", "margin": 0.5},
    ]
    trial = declared(outcomes=outcomes, analysis={"estimator": "welch"})
    population = NormalPopulation(trial, {"gap": Assumptions(0.0), "drift": Assumptions(0.0)})
    table = simulate(trial, population, make_units(200))
    found = plan_power(trial, pilot=table, n=100, repetitions=200).table
    assert set(found["outcome"]) == {"gap", "drift"}
    rows = found[found["outcome"] == "drift"].set_index("method")
    sd = rows.loc["closed_form", "sd"]
    # One-sided, at the margin: 50 units in each arm.
    from causal_sae.power.closed_form import two_sample

    exact = two_sample(0.5 / sd, 50, 50, 0.05, sides=1)
    assert rows.loc["closed_form", "power"] == pytest.approx(exact, abs=1e-9)
    assert rows.loc["simulation", "power"] == pytest.approx(exact, abs=0.1)
    assert rows.loc["closed_form", "effect"] == 0.5
    assert pd.isna(rows.loc["closed_form", "mde"])
