"""The power of trials whose units are drawn from a pool by whether the feature fires."""

from __future__ import annotations

import numpy as np
import pytest

from causal_sae.diagnosis import diagnose
from causal_sae.errors import SpecError
from causal_sae.estimation import estimate
from causal_sae.power import plan_power
from causal_sae.power.repetitions import repeat
from causal_sae.simulation import Assumptions, FromPool, NormalPopulation, simulate

ENRICH = {"feature": 3, "exposed": 40, "unexposed": 20}
CROSSED = {"method": "crossover"}


def pool_of(**enrich):
    return {"prompts": "pool.csv", "enrich": {**ENRICH, **enrich}}


def drawn_from(trial, assumed, size=2000, active=0.05):
    return FromPool(trial, NormalPopulation(trial, {"gap": assumed}), size, active)


@pytest.mark.parametrize("design", [{"assignment": CROSSED}, {}])
def test_silent_prompts_that_cannot_change_leave_the_power_of_the_exposed(
    declared, make_units, design
):
    """To the last bit: the same test of the same units."""
    enriched = declared(population=pool_of(unexposed=0), **design)
    population = drawn_from(enriched, Assumptions(0.5))
    found = repeat(enriched, population, make_units(40).enriched(40), 15)
    alone = declared(**design)
    plain = NormalPopulation(alone, {"gap": Assumptions(0.5)})
    expected = repeat(alone, plain, make_units(40), 15)
    assert found.p_values[:, 0] == pytest.approx(expected.p_values[:, 0], rel=1e-9)
    shares = found.estimates / expected.estimates
    assert shares.mean() == pytest.approx(0.05, abs=0.004)  # of the pool, which is a sample too
    assert shares.std() > 0.001


@pytest.mark.parametrize("kind", ["ablate", "clamp"])
def test_the_short_way_is_what_estimate_makes_of_the_observations(declared, make_units, kind):
    edit = {"kind": kind, "features": [3]} | ({"dose": 1.0} if kind == "clamp" else {})
    arms = [
        {"name": "control", "intervention": {"kind": "none"}},
        {"name": "edit", "intervention": edit},
    ]
    for assignment in (CROSSED, {"method": "complete"}):
        trial = declared(arms=arms, assignment=assignment, population=pool_of())
        population = drawn_from(trial, Assumptions(0.6, rho=0.5))
        roster = make_units(60).enriched(40)
        done = repeat(trial, population, roster, 2)
        for repetition in range(2):
            effects = estimate(trial, simulate(trial, population, roster, repetition))
            assert effects["estimator"].to_list() == ["enriched"]
            assert effects["p_value"].to_list() == done.p_values[repetition].tolist()
            assert effects["estimate"].to_list() == done.estimates[repetition].tolist()


def test_a_plan_speaks_of_the_whole_pool(declared, monkeypatch):
    monkeypatch.setattr("causal_sae.power.table.SEARCH", 40)
    trial = declared(
        assignment=CROSSED,
        population=pool_of(),
        power={"effect": 0.5, "rho": 0.5, "active": 0.05},
    )
    found = plan_power(trial, repetitions=100)
    row = found.table.iloc[0]
    assert (found.units, row["n_treatment"], row["method"]) == (60, 60, "simulation")
    assert row["effect"] == pytest.approx(0.05 * 0.5)
    alone = declared(assignment=CROSSED, power={"effect": 0.5, "rho": 0.5})
    exact = plan_power(alone, n=40, repetitions=0).table.iloc[0]["power"]
    assert row["power"] == pytest.approx(exact, abs=0.13)
    # A third of the units drawn can only stay as they are.
    assert row["n_required"] == pytest.approx(60 * 33 / 40, rel=0.25)
    assert any("whole pool" in note for note in found.notes)
    assert not found.curve.empty


def test_an_enriched_design_is_unbiased_for_the_pool_and_covers(declared):
    trial = declared(
        assignment=CROSSED,
        population=pool_of(),
        power={"effect": 0.6, "rho": 0.5, "active": 0.1},
    )
    row = diagnose(trial, repetitions=100).table.iloc[0]
    assert row["effect"] == pytest.approx(0.06)
    assert abs(row["bias"]) < 4 * row["bias_mcse"]
    assert row["coverage"] > 0.95 - 4 * 0.022


def test_a_roster_keeps_its_exposed_share_at_every_size(make_units):
    roster = make_units(60, blocks=3).enriched(40)
    assert roster.exposed.sum() == 40
    for n in (30, 90):
        again = roster.resized(n)
        assert again.exposed.sum() == 2 * n // 3
        of_block = [again.exposed[again.block == b].sum() for b in np.unique(again.block)]
        assert np.ptp(of_block) <= 1


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"power": {"effect": 0.5}}, r"power\.active: .* their share, such as 0\.03"),
        ({"population": {**pool_of(), "claim": "finite"}}, "claim: superpopulation"),
        ({"analysis": {"estimator": "cace"}}, "as a trial of these alone"),
        (
            {"population": None, "analysis": {"estimator": "enriched"}},
            "say how with `enrich",
        ),
    ],
)
def test_what_is_not_declared_gets_a_sentence(declared, changes, sentence):
    common = {"population": pool_of(), "power": {"effect": 0.5, "active": 0.05}}
    with pytest.raises(SpecError, match=sentence):
        plan_power(declared(**{**common, **changes}), n=60, repetitions=0)
