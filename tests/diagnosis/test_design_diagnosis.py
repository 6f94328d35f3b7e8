"""Declared trials repeated: what is known of a design is what its diagnosis says."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats

import causal_sae as cs
from causal_sae.diagnosis import diagnose
from causal_sae.diagnosis.designs import designs_of
from causal_sae.errors import DataError, SpecError
from causal_sae.spec import Trial
from causal_sae.spec.declared import trial_file

CONTROL = {"name": "control", "intervention": {"kind": "none"}}
ABLATE = {"name": "ablate", "intervention": {"kind": "ablate", "features": [3]}}
PLACEBO = {
    "name": "placebo",
    "intervention": {"kind": "ablate", "features": {"placebo_for": [3], "draws": 4}},
}


def declare(**changes: Any) -> Trial:
    declared: dict[str, Any] = {
        "schema": 1,
        "name": "planned",
        "question": "Does it?",
        "seed": 5,
        "arms": [CONTROL, ABLATE],
        "outcomes": [{"name": "gap", "role": "primary", "metric": "entropy"}],
        "power": {"effect": 0.5},
    }
    return Trial.model_validate({**declared, **changes})


def near(value: float, expected: float, error: float, slack: float = 0.0) -> bool:
    return abs(value - expected) <= 3.5 * error + slack


def test_a_two_arm_trial_is_worth_what_formulas_say():
    found = diagnose(declare(), n=60, repetitions=600).table.iloc[0]
    std_error = np.sqrt(2 / 30)
    assert found["effect"] == 0.5
    assert near(found["bias"], 0, found["bias_mcse"])
    assert near(found["rmse"], std_error, found["rmse_mcse"])
    power = cs.plan_power(declare(), n=60, repetitions=0).table["power"].iloc[0]
    assert near(found["power"], power, found["power_mcse"])
    assert near(found["coverage"], 0.95, found["coverage_mcse"])
    assert near(found["fwer"], 0.05, found["fwer_mcse"])
    # What is called an effect, of a normal estimate: its mean beyond the limit.
    limit = stats.t.isf(0.025, 58) * std_error
    above = stats.norm.sf(limit, 0.5, std_error)
    mean = 0.5 + std_error * stats.norm.pdf((limit - 0.5) / std_error) / above
    assert near(found["type_m"], mean / 0.5, found["type_m_mcse"], slack=0.03)
    assert (found["units"], found["n_treatment"], found["repetitions"]) == (60, 30, 600)
    assert found["estimator"] == "hall"  # what `auto` becomes
    assert found["tested"] == 1


def test_the_errors_of_a_family_are_held_together_or_not():
    arms = [CONTROL, *({**ABLATE, "name": f"a{i}"} for i in range(5))]
    rates = {}
    for method in ("none", "bonferroni"):
        trial = declare(arms=arms, analysis={"multiplicity": {"method": method}})
        table = diagnose(trial, n=72, repetitions=300).table
        rates[method] = table["fwer"].iloc[0], table["fwer_mcse"].iloc[0]
    assert rates["none"][0] > 0.1
    assert rates["bonferroni"][0] < 0.05 + 3.5 * rates["bonferroni"][1]
    rows = table.set_index("treatment")
    assert rows.loc["all", "power"] <= rows.loc["a0", "power"] <= rows.loc["any", "power"]


def test_few_draws_that_differ_make_intervals_too_short():
    """Four placebos with effects of sd 0.4: their mean has an sd of 0.2 that no test sees."""
    trial = declare(
        arms=[CONTROL, ABLATE, PLACEBO],
        assignment={"method": "crossover"},
        analysis={"contrasts": [["ablate", "placebo"], ["placebo", "control"]]},
        power={"effect": 0.5, "rho": 0.8, "placebo_sd": 0.4},
    )
    found = diagnose(trial, draws=[40], n=160, repetitions=200)
    assert any(s.startswith("planned is too sure of gap: ablate") for s in found.verdict)
    table = found.table.set_index(["design", "treatment"])
    few, many = table.loc[("planned", "ablate")], table.loc[("planned (40 draws)", "ablate")]
    reported = np.sqrt((0.4 + 0.16 * 3 / 4) / 160)
    total = np.hypot(reported, 0.2)
    expected = 1 - 2 * stats.norm.sf(1.96 * reported / total)
    assert near(few["coverage"], expected, few["coverage_mcse"], slack=0.02)
    assert near(few["rmse"], total, few["rmse_mcse"])
    assert few["passes_same_precision"] == few["forward_passes"]
    assert many["coverage"] > few["coverage"] + 0.1
    assert table.loc[("planned", "placebo"), "type_i"] > 0.3


def test_the_rank_test_against_placebos_holds_its_level_where_the_t_test_does_not():
    trial = declare(
        arms=[ABLATE, {**PLACEBO, "intervention": {**PLACEBO["intervention"]}}],
        analysis={"contrasts": [["ablate", "placebo"]], "estimator": "placebo_draws"},
        power={"effect": 3.0, "placebo_sd": 0.5},
        assignment={"method": "crossover"},
    )
    table = diagnose(trial, draws=[25], n=100, repetitions=60).table.set_index("design")
    assert table.loc["planned", "power"] == 0  # of 5 ranks none is below 0.05
    assert table.loc["planned (25 draws)", "power"] > 0.9
    assert table["fwer"].max() < 0.05


def test_within_units_is_cheaper_by_the_correlation():
    trial = declare(power={"effect": 0.5, "rho": 0.8})
    found = diagnose(trial, assignments=["parallel", "crossover"], n=100, repetitions=300)
    assert list(found.table["design"]) == ["planned", "planned (crossover)"]
    parallel, crossed = found.table["passes_same_precision"]
    assert parallel == found.table["forward_passes"].iloc[0] == 150
    # Variances 4 / n and 2 (1 - rho) / n; 1.5 and 2 passes a unit.
    assert crossed == pytest.approx(100 * 0.1 * 2, rel=0.3)
    assert "the cheapest design is planned (crossover)" in found.verdict[0]


def test_blocks_gain_what_lies_between_them():
    blocked = declare(
        assignment={"method": "block", "block_by": ["topic"]}, power={"effect": 0.5, "icc": 0.5}
    )
    found = diagnose(blocked, assignments=["parallel"], n=80, repetitions=300)
    ratio = np.divide(*found.table["rmse"])
    assert ratio == pytest.approx(np.sqrt(0.5), rel=0.15)


def test_a_claim_about_these_units_is_held_against_their_effect():
    """Half the units have the effect: which, varies; a finite claim does not answer for that."""
    power = {"effect": 3.0, "active": 0.5}
    population = {"prompts": "none.csv", "claim": "finite"}
    trials = [declare(power=power), declare(power=power, population=population, name="finite")]
    table = diagnose(trials, n=60, repetitions=200).table.set_index("design")
    assert table.loc["finite", "rmse"] < table.loc["planned", "rmse"]
    assert table.loc["finite", "coverage"] > 0.95
    assert table.loc["finite", "effect"] == pytest.approx(1.5, abs=0.1)


@pytest.mark.parametrize("estimator", ["wald", "anderson_rubin", "cace"])
def test_the_effect_among_exposed_units_is_estimated_without_bias(estimator):
    trial = declare(analysis={"estimator": estimator}, power={"effect": 1.0, "active": 0.6})
    found = diagnose(trial, n=120, repetitions=150).table.iloc[0]
    assert found["effect"] == 1.0
    assert near(found["bias"], 0, found["bias_mcse"], slack=0.02)
    assert near(found["coverage"], 0.95, found["coverage_mcse"], slack=0.01)


def test_a_margin_is_planned_for_the_case_that_nothing_changes():
    outcome = {"name": "drift", "role": "primary", "metric": "entropy", "harm": "either"}
    trial = declare(outcomes=[{**outcome, "margin": 0.9}])
    found = diagnose(trial, n=80, repetitions=100).table.iloc[0]
    assert found["effect"] == 0
    assert found["power"] > 0.8
    assert np.isnan(found["fwer"])
    assert found["conf_level"] == pytest.approx(0.90)


def test_the_same_seed_gives_the_same_table():
    one, other = (diagnose(declare(), n=40, repetitions=50).table for _ in range(2))
    assert one.equals(other)


def test_designs_without_a_common_effect_are_not_compared():
    other = declare(name="other", outcomes=[{"name": "p", "role": "primary", "metric": "entropy"}])
    found = diagnose([declare(), other], n=40, repetitions=50)
    assert found.verdict == (
        "The designs share no contrast with an effect, so their costs do not compare.",
    )
    assert found.table["passes_same_precision"].isna().all()


def test_notes_of_some_designs_name_them():
    found = diagnose(
        [declare(), declare(name="wide", power={"effect": 1.0, "sd": 2.0})], n=40, repetitions=50
    )
    assert any(note.startswith("planned: Effects are in standard") for note in found.notes)


def test_names_are_unique_and_what_is_the_same_is_not_simulated_twice():
    files = [trial_file(declare()), trial_file(declare())]
    assert [d.name for d in designs_of(files, ["complete"])] == ["planned", "planned 2"]


@pytest.mark.parametrize(
    ("changes", "assignments", "draws", "sentence"),
    [
        ({}, ["blok"], [], "--assignment: must be a way to deal arms, got 'blok'; did you mean"),
        ({}, ["block"], [], "declares no `block_by`"),
        ({}, ["cluster"], [], "declares no `cluster_by`"),
        ({}, [], [5], "has no arm with placebo features"),
        ({"arms": [CONTROL, PLACEBO]}, [], [0], "--draws: must be at least 1, got 0"),
        (
            {"analysis": {"estimator": "wald"}},
            ["crossover"],
            [],
            "'planned (crossover)' is no valid",
        ),
        ({"arms": [CONTROL, {**ABLATE, "share": 2}]}, ["crossover"], [], "is no valid trial: arms"),
    ],
)
def test_variants_that_cannot_be_made_are_refused(changes, assignments, draws, sentence):
    with pytest.raises(SpecError) as refused:
        designs_of([trial_file(declare(**changes))], assignments, draws)
    assert sentence in str(refused.value)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"n": 1}, "--n: must be at least 2 units"),
        ({"repetitions": 10}, "--repetitions: must be at least 50, got 10"),
    ],
)
def test_numbers_that_say_nothing_are_refused(options, sentence):
    with pytest.raises(DataError, match=sentence):
        diagnose(declare(), **options)


def test_a_trial_that_declares_no_effect_is_sent_to_declare_one():
    with pytest.raises(SpecError, match="must say what it is planned to find"):
        diagnose(declare(power=None))
    with pytest.raises(SpecError, match="add `placebo_sd:`"):
        diagnose(
            declare(
                arms=[ABLATE, PLACEBO],
                analysis={"contrasts": [["ablate", "placebo"]], "estimator": "placebo_draws"},
            ),
            n=40,
        )
