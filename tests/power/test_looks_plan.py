"""The plan of a trial with looks: power and expected size, by integration and by chance."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from causal_sae.errors import SpecError
from causal_sae.estimation import estimate
from causal_sae.estimation.sequential.characteristics import Rule, characteristics
from causal_sae.estimation.sequential.path import follow
from causal_sae.estimation.sequential.spending import planned_spending
from causal_sae.power import plan_power
from causal_sae.power.looks import drift_of, plan_looks
from causal_sae.simulation import Assumptions, NormalPopulation, Roster, simulate
from causal_sae.simulation.roster import names
from causal_sae.spec.analysis import Looks
from causal_sae.spec.loading import load_trial_file, parse_trial

DESIGN = Path(__file__).parents[2] / "designs" / "sequential.yaml"


@pytest.mark.parametrize("futility", [None, 0.2])
@pytest.mark.parametrize("drift", [0.0, 2.8])
def test_integration_and_simulated_looks_agree(futility, drift):
    looks = Looks(at=(0.5, 0.75, 1.0), futility=futility)
    found = characteristics(Rule(looks, 0.05, looks.at), drift)
    spent = planned_spending(looks.spending, 0.05, looks.at)
    steps, rng = np.diff([0, *looks.at]), np.random.default_rng(5)
    rejects, times = [], []
    for _ in range(1000):
        z = np.cumsum(rng.normal(drift * steps, np.sqrt(steps))) / np.sqrt(looks.at)
        stages = follow(looks.at, spent, z.tolist(), 3, futility)
        rejects.append(stages[-1].decision == "reject")
        times.append(stages[-1].regions.time)
    assert np.mean(rejects) == pytest.approx(
        found.power, abs=3.29 * np.sqrt(found.power * (1 - found.power) / 1000)
    )
    assert np.mean(times) == pytest.approx(found.expected(looks.at), abs=3.29 * 0.2 / 31)
    if drift == 0:
        assert found.power == pytest.approx(0.05, abs=1e-9)


def test_without_looks_the_drift_gives_back_the_power():
    looks = Looks(at=(1.0,))
    for power in (0.2, 0.8, 0.99):
        rule = Rule(looks, 0.05, (1.0,))
        assert characteristics(rule, drift_of(power, 0.05)).power == pytest.approx(power)


def test_the_design_has_the_numbers_that_its_comment_tells():
    (plan,) = plan_looks(DESIGN, n=128)
    assert plan.fixed_power == pytest.approx(0.801, abs=5e-4)
    assert plan.planned.power == pytest.approx(0.794, abs=5e-4)
    assert plan.expected_units(plan.planned) == pytest.approx(106, abs=0.5)
    assert plan.expected_units(plan.without) == pytest.approx(127, abs=0.5)
    table = plan.table()
    assert table["units"].tolist() == [64, 96, 128]
    assert table["rejects_without_effect"].sum() == pytest.approx(0.05, abs=1e-9)


def test_a_confidence_sequence_is_planned_at_its_own_pace():
    text = DESIGN.read_text().replace("at: [0.5, 0.75, 1] ", "every: 20 ")
    text = text.replace("spending: obrien_fleming ", "spending: always_valid ")
    (plan,) = plan_looks(parse_trial(text, DESIGN), n=200)
    assert len(plan.rule.times) == 10
    assert plan.without.power < 0.05
    assert 0.05 < plan.planned.power < plan.fixed_power


def test_power_of_a_trial_with_looks_is_refused_with_the_command_to_use():
    with pytest.raises(SpecError, match="causal-sae looks TRIAL"):
        plan_power(load_trial_file(DESIGN))


def test_looks_of_a_trial_without_looks_are_refused():
    with pytest.raises(SpecError, match="has one analysis, at its end"):
        plan_looks(DESIGN.with_name("two-arm.yaml"))


def test_simulated_trials_have_looks_and_stop_by_their_rule():
    looks = {"at": [0.5, 1], "spending": "pocock"}
    trial = load_trial_file(DESIGN).trial
    analysis = trial.analysis.model_copy(update={"looks": Looks.model_validate(looks)})
    kept = tuple(outcome for outcome in trial.outcomes if outcome.role == "primary")
    trial = trial.model_copy(update={"analysis": analysis, "outcomes": kept, "population": None})
    assumed = {"gap": Assumptions(effect=1.2, sd=1.0, rho=0.0, icc=0.0, active=1.0)}
    table = simulate(trial, NormalPopulation(trial, assumed), Roster(names(80)))
    assert table.groupby("look")["unit_id"].nunique().tolist() == [40, 40]
    row = estimate(trial, table).iloc[0]
    assert "stopped_early:1" in row["flags"]
    assert (row["n_treatment"], row["n_reference"]) == (20, 20)
