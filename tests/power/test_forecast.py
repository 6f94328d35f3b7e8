"""The table of power: its rows, what they promise, and the sentences instead of numbers."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import causal_sae as cs
from causal_sae.errors import DataError, SpecError
from causal_sae.plan_tables import POWER, POWER_CURVE
from causal_sae.power import plan_power
from causal_sae.power.closed_form import two_sample
from causal_sae.power.cost import passes_of_unit, seconds_of_pass
from causal_sae.power.files import write_forecast
from causal_sae.power.repetitions import Repetitions, repeat
from causal_sae.power.table import Simulated, disagreements, widened

WELCH = {"estimator": "welch"}
"""Student's limits; those of `auto` allow for skewness."""


def test_the_caution_of_auto_costs_a_little_and_less_in_large_trials(declared):
    cost = []
    for n, effect in ((24, 1.2), (400, 0.28)):
        student, cautious = (
            plan_power(declared(power={"effect": effect}, analysis=a), n=n, repetitions=0)
            .table["power"]
            .iloc[0]
            for a in (WELCH, {})
        )
        cost.append(student - cautious)
    assert 0.005 < cost[0] < 0.05
    assert 0 <= cost[1] < 0.002


def test_two_arms_are_the_textbook_t_test(declared):
    row = plan_power(declared(analysis=WELCH), n=100, repetitions=0).table.iloc[0]
    assert (row["n_treatment"], row["n_reference"]) == (50, 50)
    assert row["power"] == pytest.approx(two_sample(0.5, 50, 50), abs=1e-12)
    assert row["n_required"] == 64  # pwr: 63.77
    assert two_sample(row["mde"], 50, 50) == pytest.approx(0.8, abs=1e-9)
    assert (row["power_low"], row["power_high"]) == (row["power"], row["power"])
    assert (row["sd"], row["effect"], row["alpha"], row["alpha_adjusted"]) == (1, 0.5, 0.05, 0.05)


def test_the_table_has_its_columns_whatever_is_asked(declared):
    for repetitions in (0, 20):
        found = plan_power(declared(), n=40, repetitions=repetitions)
        assert list(found.table) == list(POWER.columns)
        assert list(found.curve) == list(POWER_CURVE.columns)
        assert "<table" in found._repr_html_()


def test_a_plan_without_prompts_takes_the_size_that_its_target_needs(declared):
    found = plan_power(declared(analysis=WELCH), repetitions=0)
    assert found.units == 128
    assert found.table["power"].iloc[0] == pytest.approx(0.8, abs=0.005)
    assert any("128 units" in note for note in found.notes)


def test_the_required_number_has_the_target_and_one_less_has_not(case):
    plan = case.plan
    for at in range(len(plan.questions)):
        n = plan.n_required(at)
        assert plan.power(at, n, n) == pytest.approx(0.8, abs=1e-6)
        assert plan.power(at, 0.98 * n, 0.98 * n) < 0.8


def test_the_smallest_effect_has_the_target_power(case):
    plan = case.plan
    for at, question in enumerate(plan.questions):
        share = question.estimand / (question.difference * question.assumed.effect)
        effect = plan.mde(at) / share
        again = plan.with_assumptions(
            {
                name: type(case.assumed)(**{**vars(case.assumed), "effect": effect})
                for name in plan.assumed
            }
        )
        assert again.power(at) == pytest.approx(0.8, abs=1e-5)


def test_corrections_leave_each_test_its_level(declared, cases):
    arms = [arm.model_dump() for arm in cases["ancova of doses"].trial.arms]
    levels = {}
    for method in ("none", "bonferroni", "holm", "by", "fixed_sequence", "dunnett"):
        trial = declared(arms=arms, analysis={"multiplicity": {"method": method}})
        levels[method] = plan_power(trial, n=150, repetitions=0).table["alpha_adjusted"].iloc[0]
    assert levels["none"] == levels["fixed_sequence"] == 0.05
    assert levels["bonferroni"] == levels["holm"] == 0.025
    assert levels["by"] == pytest.approx(0.025 / 1.5)
    assert 0.025 < levels["dunnett"] < 0.03


def test_dunnetts_level_is_that_of_its_table(declared, cases):
    """Dunnett (1964): two-sided 5%, df 20, two treatments: 2.378."""
    from scipy import stats

    arms = [arm.model_dump() for arm in cases["ancova of doses"].trial.arms]
    trial = declared(arms=arms, analysis={"multiplicity": {"method": "dunnett"}})
    row = plan_power(trial, n=33, repetitions=0).table.iloc[0]
    assert stats.t.isf(row["alpha_adjusted"] / 2, 20) == pytest.approx(2.378, abs=1e-3)


def test_tests_of_other_outcomes_count_in_a_family_of_all(declared):
    outcomes = [
        {"name": "gap", "role": "primary", "metric": "entropy"},
        {"name": "extra", "role": "secondary", "metric": "entropy"},
    ]
    family = {"multiplicity": {"method": "bonferroni", "family": "all"}, **WELCH}
    trial = declared(outcomes=outcomes, analysis=family)
    rows = plan_power(trial, n=100, repetitions=100).table.set_index("method")
    assert rows["alpha_adjusted"].to_list() == [0.025, 0.025]
    exact = two_sample(0.5, 50, 50, 0.025)
    assert rows.loc["closed_form", "power"] == pytest.approx(exact, abs=1e-9)
    assert rows.loc["simulation", "power"] == pytest.approx(exact, abs=0.16)


def test_any_and_all_of_independent_tests_are_products(declared):
    outcomes = [{"name": n, "role": "primary", "metric": "entropy"} for n in ("a", "b")]
    trial = declared(outcomes=outcomes, analysis={"multiplicity": {"method": "none"}, **WELCH})
    table = plan_power(trial, n=80, repetitions=0).table.set_index("treatment")
    one = two_sample(0.5, 40, 40)
    assert table.loc["any", "power"] == pytest.approx(1 - (1 - one) ** 2, abs=2e-3)
    assert table.loc["all", "power"] == pytest.approx(one**2, abs=2e-3)
    assert table.loc["any", "outcome"] == "primary"


def test_a_contrast_without_an_effect_has_no_power_but_a_smallest_effect(declared, cases):
    arms = [arm.model_dump() for arm in cases["crossover"].trial.arms]
    contrasts = {"contrasts": [["ablate", "control"], ["placebo", "control"]]}
    table = plan_power(declared(arms=arms, analysis=contrasts), n=90, repetitions=20).table
    idle = table[table["treatment"] == "placebo"]
    assert idle["power"].isna().all()
    assert idle["n_required"].isna().all()
    assert idle["effect"].eq(0).all()
    assert idle["mde"].iloc[0] > 0
    assert set(table["treatment"]) == {"ablate", "placebo"}  # one effect: neither any nor all


def test_an_equivalence_claim_is_planned_against_its_margin(declared):
    outcome = {
        "name": "gap",
        "role": "primary",
        "metric": "entropy",
        "harm": "either",
        "margin": 0.6,
    }
    welch = {"estimator": "welch"}  # `auto` allows for skewness, and has less
    rows = plan_power(declared(outcomes=[outcome], analysis=welch), n=100, repetitions=200).table
    rows = rows.set_index("method")
    exact = 2 * two_sample(0.6, 50, 50, 0.05, sides=1) - 1
    assert rows.loc["closed_form", "power"] == pytest.approx(exact, abs=1e-9)
    assert rows.loc["simulation", "power"] == pytest.approx(exact, abs=0.1)


def test_what_has_no_formula_is_searched_by_simulation(declared, monkeypatch):
    monkeypatch.setattr("causal_sae.power.table.SEARCH", 20)
    monkeypatch.setattr("causal_sae.power.table.STEPS", 2)
    trial = declared(analysis={"estimator": "randomization"}, power={"effect": 2.0})
    found = plan_power(trial, n=8, repetitions=20)
    assert set(found.table["method"]) == {"simulation"}
    assert found.curve["units"].is_monotonic_increasing
    planned = found.curve.loc[found.curve["units"] == 8, "power"]
    assert planned.to_list() == found.table["power"].to_list()
    assert plan_power(trial, n=8, repetitions=0).curve.empty
    assert found.table["n_required"].iloc[0] >= 2
    assert found.table["mde"].iloc[0] > 0
    with pytest.raises(DataError, match="--n"):
        plan_power(trial, n=1)
    with pytest.raises(SpecError, match="say how many units are planned with --n"):
        plan_power(trial)


def test_the_same_plan_gives_the_same_table_to_the_last_bit(declared):
    first, second = (plan_power(declared(), n=40, repetitions=30).table for _ in range(2))
    pd.testing.assert_frame_equal(first, second, check_exact=True)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"power": None}, "power: the trial must say what it is planned to find"),
        (
            {"power": {"effect": 0.5, "unit": "outcome"}},
            r"power\.sd: an effect in the outcome's units needs its standard deviation",
        ),
        (
            {"assignment": {"method": "cluster", "cluster_by": "t"}},
            r"power\.icc: whole clusters are assigned",
        ),
        (
            {
                "assignment": {"method": "cluster", "cluster_by": "t"},
                "power": {"effect": 0.5, "icc": 0.1},
            },
            r"power\.cluster_size: units come in clusters",
        ),
        (
            {"analysis": {"estimator": "logistic"}},
            r"power\.baseline: the power of the estimator 'logistic' depends on the share of ones",
        ),
        (
            {
                "analysis": {"estimator": "logistic"},
                "power": {"effect": 0.4, "unit": "outcome", "baseline": 0.7},
            },
            r"power\.effect: would move the share of ones from 0\.7 to 1\.1, which cannot be",
        ),
        (
            {"analysis": {"estimator": "logistic"}, "power": {"effect": 0.4, "baseline": 3}},
            r"power\.baseline: must be a share between 0 and 1, got 3",
        ),
        (
            {
                "analysis": {"estimator": "logistic"},
                "power": {"effect": 0.4, "baseline": 0.3, "sd": 0.5},
            },
            r"power\.sd: of outcomes of 0 and 1 follows from `baseline`",
        ),
        (
            {
                "analysis": {"estimator": "poisson"},
                "power": {"effect": 0.4, "baseline": 4, "sd": 1.0},
            },
            r"power\.sd: of counts with the mean 4 is at least 2, got 1",
        ),
        (
            {"analysis": {"estimator": "poisson"}},
            r"power\.baseline: the power of the estimator 'poisson' depends on the mean count",
        ),
        (
            {"outcomes": [{"name": "gap", "metric": "entropy"}]},
            "outcomes: power is that of the contrasts of primary outcomes",
        ),
        (
            {
                "assignment": {"method": "crossover"},
                "population": {"prompts": "p.csv", "claim": "finite"},
            },
            r"population\.claim: every unit is in every arm",
        ),
    ],
)
def test_what_cannot_be_planned_gets_a_sentence(declared, changes, sentence):
    with pytest.raises(SpecError, match=sentence):
        plan_power(declared(**changes), repetitions=0)


def test_forward_passes_are_counted_as_the_run_makes_them(declared, cases):
    assert passes_of_unit(declared()) == 1.5  # the untouched model, and half of the units again
    assert passes_of_unit(cases["crossover"].trial) == 3  # placebos are dealt one to a unit
    tail = {"name": "nll", "metric": "nll", "continuation": {"column": "tail"}}
    primary = {"name": "gap", "role": "primary", "metric": "entropy"}
    assert passes_of_unit(declared(outcomes=[primary, tail])) == 3  # with and without the tail
    manifest = {"timings": {"run": 30.0}}
    assert seconds_of_pass(declared(), manifest, 100) == pytest.approx(0.2)
    assert np.isnan(seconds_of_pass(declared(), {}, 100))


def test_the_curve_passes_through_the_plan_and_grows(declared):
    found = plan_power(declared(), n=100, repetitions=0)
    curve = found.curve.set_index("units")
    assert curve.loc[100, "power"] == pytest.approx(found.table["power"].iloc[0], abs=1e-12)
    assert curve["power"].is_monotonic_increasing
    assert curve.loc[100, "forward_passes"] == 150
    assert curve["minutes"].isna().all()


def test_the_files_that_are_written(declared, tmp_path):
    found = plan_power(declared(), n=100, repetitions=20)
    names = {path.name for path in write_forecast(found, tmp_path)}
    assert names == {"power.csv", "power_curve.csv", "power.png", "power.svg"}
    back = pd.read_csv(tmp_path / "power.csv")
    assert back["power"].to_list() == found.table["power"].to_list()
    drawn = (tmp_path / "power.svg").read_text()
    for part in ("ablate \u2212 control", "planned: 100", "target 0.8", 'id="planned-power"'):
        assert part in drawn


def test_a_pilots_uncertainty_widens_a_simulated_interval():
    alone = widened((0.7, 0.65, 0.75), (0.7, 0.7))
    assert alone == pytest.approx((0.65, 0.75), abs=1e-9)
    both = widened((0.7, 0.65, 0.75), (0.5, 0.85))
    assert both[0] < 0.55
    assert both[1] > 0.83


def test_a_simulation_that_the_formula_does_not_explain_is_told(cases):
    plan, shape = cases["welch"].plan, (200, 1)

    def told(rate):
        p = np.where(np.arange(200) < 200 * rate, 0.01, 0.9)[:, None]
        found = np.zeros(shape)
        done = Repetitions((), found, p, p < 0.05, found, found, found, found)
        return disagreements(plan, Simulated(done, lambda *_: done, cases["welch"].roster))

    assert told(plan.power(0)) == []
    assert told(plan.power(0) + 0.08) == []
    (sentence,) = told(plan.power(0) - 0.2)
    assert sentence.startswith("gap, ablate")
    assert "go by the simulation" in sentence


def test_cs_plans_power(declared):
    assert cs.plan_power is plan_power
    assert repeat.__module__ == "causal_sae.power.repetitions"


def test_effects_of_several_arms_share_the_level(declared):
    """Two factors: three contrasts, and three factorial effects beside them in the family."""
    cells = {"neither": (0, 0), "first": (1, 0), "second": (0, 1), "both": (1, 1)}
    arms = [
        {
            "name": name,
            "intervention": {
                "kind": "ablate",
                "features": [f for f, on in zip((3, 5), cell, strict=True) if on],
            }
            if any(cell)
            else {"kind": "none"},
            "levels": {"a": cell[0], "b": cell[1]},
        }
        for name, cell in cells.items()
    ]
    design = {"arms": arms, "assignment": {"method": "factorial"}}
    reference = {"reference": "neither"}
    plain = declared(analysis=reference, **design)
    crossed = declared(analysis={**reference, "factorial": "two_way"}, **design)
    levels = [
        plan_power(one, n=200, repetitions=0).table["alpha_adjusted"].iloc[0]
        for one in (plain, crossed)
    ]
    assert levels == pytest.approx([0.05 / 3, 0.05 / 6])
    every = [
        plan_power(one, n=200, repetitions=0).table.set_index("treatment").loc["all", "power"]
        for one in (plain, crossed)
    ]
    assert every[1] < every[0]
