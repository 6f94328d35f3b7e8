"""The simulated trial: what it assumes holds, and the short way is the long way."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from causal_sae.errors import SpecError
from causal_sae.estimation import estimate
from causal_sae.estimation.choice import structure
from causal_sae.power.joint import PROCEDURES
from causal_sae.power.repetitions import corrected, repeat
from causal_sae.randomization import assign
from causal_sae.simulation import Assumptions, NormalPopulation, assumed_effects, deal, simulate
from causal_sae.simulation.observations import seed_of


def test_the_short_way_gives_what_estimate_gives_to_the_last_bit(case):
    done = repeat(case.trial, case.population, case.roster, 2)
    for repetition in range(2):
        table = simulate(case.trial, case.population, case.roster, repetition)
        effects = estimate(case.trial, table)
        assert effects["estimate"].to_list() == done.estimates[repetition].tolist()
        assert effects["p_value"].to_list() == done.p_values[repetition].tolist()
        assert effects["reject"].to_list() == done.rejected[repetition].tolist()


WITHIN = {"assignment": {"method": "crossover"}}


@pytest.mark.parametrize(
    ("estimator", "design"),
    [
        *(("crossover", WITHIN), ("mixed", WITHIN), ("wilcoxon", WITHIN)),
        *(("wald", {}), ("anderson_rubin", {}), ("mann_whitney", {}), ("randomization", {})),
    ],
)
def test_the_short_way_holds_without_a_formula(declared, make_units, estimator, design):
    trial = declared(analysis={"estimator": estimator}, **design)
    population = NormalPopulation(trial, {"gap": Assumptions(0.8, rho=0.5, active=0.7)})
    done = repeat(trial, population, make_units(30), 1)
    effects = estimate(trial, simulate(trial, population, make_units(30)))
    assert effects["p_value"].to_list() == done.p_values[0].tolist()
    assert effects["estimator"].to_list() == [estimator]


def test_draws_and_robust_errors_are_those_of_the_trial(declared, make_units):
    from causal_sae.simulation import WithDraws

    arms = [
        {"name": "ablate", "intervention": {"kind": "ablate", "features": [3]}},
        {"name": "push", "intervention": {"kind": "random_direction", "norm_of": "ablate"}},
    ]
    for analysis in ({"estimator": "placebo_draws"}, {"se_type": "HC3", "estimator": "lin"}):
        if analysis["estimator"] == "lin":
            analysis["covariates"] = ["clean_outcome"]
        trial = declared(arms=arms, analysis={**analysis, "contrasts": [["ablate", "push"]]})
        base = NormalPopulation(trial, {"gap": Assumptions(1.0, rho=0.5)})
        population = WithDraws(trial, base, {"gap": 0.5})
        done = repeat(trial, population, make_units(60), 2)
        for repetition in range(2):
            effects = estimate(trial, simulate(trial, population, make_units(60), repetition))
            assert effects["estimator"].to_list() == [analysis["estimator"]]
            assert effects["p_value"].to_list() == done.p_values[repetition].tolist()
            assert effects["std_error"].to_list() == done.std_errors[repetition].tolist()


def test_draws_are_dealt_evenly_and_are_all_that_an_arm_gains(declared, make_units):
    from causal_sae.simulation import WithDraws

    arms = [
        {"name": "control", "intervention": {"kind": "none"}},
        {
            "name": "placebo",
            "intervention": {"kind": "ablate", "features": {"placebo_for": [3], "draws": 5}},
        },
    ]
    trial = declared(arms=arms)
    base = NormalPopulation(trial, {"gap": Assumptions(0.0)})
    found = WithDraws(trial, base, {"gap": 2.0}).draw(make_units(103), 0)
    assert sorted(np.bincount(found.draw[:, 1])) == [20, 20, 21, 21, 21]
    assert np.all(found.draw[:, 0] == -1)
    plain = base.draw(make_units(103), 0)
    assert np.array_equal(found.potential["gap"][:, 0], plain.potential["gap"][:, 0])
    added = found.potential["gap"][:, 1] - plain.potential["gap"][:, 1]
    assert len(np.unique(added.round(9))) == 5


def test_corrections_that_need_more_go_the_long_way(declared, make_units, cases):
    arms = cases["ancova of doses"].trial.arms
    trial = declared(
        arms=[arm.model_dump() for arm in arms], analysis={"multiplicity": {"method": "dunnett"}}
    )
    population = NormalPopulation(trial, {"gap": Assumptions(0.8)})
    done = repeat(trial, population, make_units(90), 3)
    table = estimate(trial, simulate(trial, population, make_units(90), 2))
    assert done.rejected[2].tolist() == table["reject"].to_list()
    assert done.p_values[2].tolist() == table["p_value"].to_list()


@pytest.mark.parametrize("method", [*PROCEDURES, "hommel"])
def test_corrections_of_many_trials_at_once_are_those_of_each(declared, method):
    outcomes = [{"name": f"y{i}", "role": "primary", "metric": "entropy"} for i in range(4)]
    trial = declared(outcomes=outcomes, analysis={"multiplicity": {"method": method}})
    p = np.random.default_rng(1).beta(0.4, 3, size=(12, 4))
    together = corrected(trial, p)
    from causal_sae.estimation.multiplicity import adjust

    frame = {"outcome": "y", "role": "primary", "flags": ""}
    for row, decided in zip(p, together, strict=True):
        table = adjust(pd.DataFrame({**frame, "p_value": row}), trial.analysis.multiplicity, 0.05)
        assert table["reject"].to_list() == decided.tolist()
    assert together.any()
    assert not together.all()


def test_missing_tests_never_reject_and_leave_the_others_more(declared):
    trial = declared(outcomes=[{"name": n, "role": "primary", "metric": "entropy"} for n in "ab"])
    assert corrected(trial, np.array([[0.04, np.nan]])).tolist() == [[True, False]]
    assert corrected(trial, np.array([[0.04, 0.9]])).tolist() == [[False, False]]
    assert corrected(trial, np.array([[0.02, 0.9]]), unplanned={"primary": 1}).tolist() == [
        [False, False]
    ]


@pytest.mark.parametrize("method", [*PROCEDURES, "hommel", "tsbh"])
def test_a_missing_p_value_leaves_its_neighbours_as_without_it(declared, method):
    names = [{"name": f"y{i}", "role": "primary", "metric": "entropy"} for i in range(3)]
    trial = declared(outcomes=names, analysis={"multiplicity": {"method": method}})
    shorter = declared(outcomes=names[:2], analysis={"multiplicity": {"method": method}})
    p = np.random.default_rng(2).beta(0.4, 3, size=(20, 2))
    holed = corrected(trial, np.column_stack([p, np.full(20, np.nan)]))
    assert not holed[:, 2].any()
    assert holed[:, :2].tolist() == corrected(shorter, p).tolist()
    assert holed.any()


def test_arms_are_dealt_as_assign_deals_them(case):
    trial = case.trial.model_copy(update={"seed": seed_of(case.trial, 5)})
    frame = pd.DataFrame({"unit_id": case.roster.name})
    for column, labels in (("topic", case.roster.block), ("template", case.roster.cluster)):
        if labels is not None:
            frame[column] = labels
    table = assign(trial, frame)
    names = np.array([arm.name for arm in trial.arms])
    assert table["arm"].to_list() == names[deal(case.trial, case.roster, 5)].ravel().tolist()


def drawn(trial, assumed, roster, repetitions=40):
    population = NormalPopulation(trial, {"gap": assumed})
    return [population.draw(roster, r) for r in range(repetitions)]


def test_outcomes_have_the_spread_and_correlation_that_are_assumed(declared, make_units, cases):
    trial = cases["crossover"].trial
    found = drawn(trial, Assumptions(0.0, sd=3.0, rho=0.6), make_units(200))
    values = np.vstack([d.potential["gap"] for d in found])
    clean = np.concatenate([d.clean["gap"] for d in found])
    assert values.std() == pytest.approx(3.0, rel=0.03)
    assert np.corrcoef(values.T)[np.triu_indices(3, 1)] == pytest.approx([0.6] * 3, abs=0.03)
    assert np.array_equal(values[:, 0], clean)


def test_units_of_a_cluster_are_alike_by_icc(make_units, cases):
    from causal_sae.power.pilot import intraclass

    trial, roster = cases["clusters"].trial, make_units(300, clusters=30)
    group = np.unique(roster.cluster, return_inverse=True)[1]
    found = drawn(trial, Assumptions(0.0, icc=0.25, rho=0.5), roster)
    of_outcome = [intraclass(d.potential["gap"][:, 1], group) for d in found]
    of_change = [intraclass(d.potential["gap"][:, 1] - d.clean["gap"], group) for d in found]
    assert np.mean(of_outcome) == pytest.approx(0.25, abs=0.03)
    assert np.mean(of_change) == pytest.approx(0.25, abs=0.03)


def test_blocks_share_the_same_in_every_arm(make_units, cases):
    trial, roster = cases["blocks"].trial, make_units(300, blocks=6)
    block = np.unique(roster.block, return_inverse=True)[1]
    one = drawn(trial, Assumptions(0.0, icc=0.9999, rho=0.9999), roster, 1)[0]
    values = one.potential["gap"]
    assert np.abs(values[:, 0] - values[:, 1]).max() < 0.2
    means = np.bincount(block, values[:, 1]) / np.bincount(block)
    assert np.abs(values[:, 1] - means[block]).max() < 0.2


def test_silent_units_are_untouched_to_the_last_bit_and_others_are_not(make_units, cases):
    trial = cases["crossover"].trial  # control, ablate, placebo
    one = drawn(trial, Assumptions(0.5, active=0.3), make_units(400), 1)[0]
    values, clean = one.potential["gap"], one.clean["gap"]
    assert 0.2 < one.exposed.mean() < 0.4
    assert np.array_equal(values[~one.exposed, 1], clean[~one.exposed])
    assert np.all(values[one.exposed, 1] != clean[one.exposed])
    assert np.all(values[:, 2] != clean)


def test_the_effect_is_where_the_claim_says(declared, cases):
    assert assumed_effects(cases["crossover"].trial) == {"control": 0, "ablate": 1, "placebo": 0}
    arms = [
        {"name": "control", "intervention": {"kind": "none"}},
        {"name": "sham", "intervention": {"kind": "splice"}},
    ]
    assert assumed_effects(declared(arms=arms)) == {"control": 0, "sham": 1}


def test_a_larger_trial_begins_like_a_smaller_one(declared, make_units):
    trial = declared()
    population = NormalPopulation(trial, {"gap": Assumptions(0.5)})
    few, many = (population.draw(make_units(n), 3).potential["gap"] for n in (10, 50))
    assert np.array_equal(many[:10], few)
    assert not np.array_equal(population.draw(make_units(10), 4).potential["gap"], few)


def test_correlations_that_cannot_be_are_refused(declared, make_units):
    trial = declared()
    population = NormalPopulation(trial, {"gap": Assumptions(0.5, rho=-0.6)})
    with pytest.raises(SpecError, match=r"power\.rho: .* must be above -0\.500"):
        population.draw(make_units(10), 0)


def test_without_an_effect_the_test_holds_its_level(cases):
    case = cases["welch"]
    rate, low, high = repeat(case.trial, case.population, case.roster, 400, scale=0.0).rate([0])
    assert low <= 0.05 <= high
    assert rate < 0.1


def test_resized_rosters_keep_blocks_and_clusters(make_units):
    blocked = make_units(90, blocks=3).resized(30)
    assert len(blocked) == 30
    assert np.unique(blocked.block, return_counts=True)[1].tolist() == [10, 10, 10]
    for n in (40, 300):
        clustered = make_units(120, clusters=12).resized(n)
        sizes = np.unique(clustered.cluster, return_counts=True)[1]
        assert set(sizes) == {10}
        assert len(clustered) == n


def test_every_structure_has_a_case(cases):
    assert {structure(case.trial) for case in cases.values()} == {
        *("plain", "blocked", "clustered", "within-unit"),
    }
