"""A pilot: its prompts stay out of the trial, and its table holds nothing of an effect."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import causal_sae as cs
from causal_sae.errors import DataError, SpecError
from causal_sae.pilot import run_pilot
from causal_sae.piloting import blinded, choose, held_out, list_path, mask, unmasked, unused
from causal_sae.power.pilot import read_pilot
from causal_sae.power.spread import spread_table
from causal_sae.spec.loading import load_trial_file
from causal_sae.spec.prompts import read_prompts

PLAN = {"effect": 0.5}
ARMS = [  # without quantile doses and placebos, which follow from the prompts that are read
    {"name": "control", "intervention": {"kind": "none"}},
    {"name": "clamp", "intervention": {"kind": "clamp", "features": [3], "dose": 4.0}},
    {"name": "ablate", "intervention": {"kind": "ablate", "features": [3]}},
]
CROSSED = {"assignment": {"method": "crossover"}, "power": PLAN, "arms": ARMS}


@pytest.fixture
def piloted(trial_folder, tmp_path, no_page):
    declared = load_trial_file(trial_folder(**CROSSED))
    return declared, run_pilot(declared, n=20, out=tmp_path / "pilot")


def test_the_trial_never_uses_a_prompt_of_its_pilot(piloted, tmp_path):
    declared, pilot = piloted
    used = set(pilot.observations["unit_id"])
    assert len(used) == pilot.units == 20
    run = cs.run_trial(declared, out=tmp_path / "run")
    assert not used & set(run.observations["unit_id"].astype(str))
    assert run.observations["unit_id"].nunique() == 40
    assert run.folder.manifest["excluded"] == {"been in the pilot": 20}


def test_power_counts_the_prompts_that_are_left_and_takes_the_pilot(piloted):
    declared, pilot = piloted
    forecast = cs.plan_power(declared, pilot=pilot.folder.path, repetitions=50)
    assert forecast.units == 40
    assert forecast.device == "cpu"
    assert forecast.minutes > 0
    assert any("20 prompts were in the pilot" in note for note in forecast.notes)
    assert any(note.startswith("Pilot of 20 units, gap: sd") for note in forecast.notes)


def test_the_spread_is_that_of_the_unblinded_outcomes(piloted, tmp_path, trial_folder):
    """The same prompts run openly: the same standard deviation and correlation."""
    declared, pilot = piloted
    prompts = read_prompts(declared.trial, declared.folder)
    chosen = prompts[prompts["unit_id"].isin(set(pilot.observations["unit_id"]))]
    chosen.drop(columns="unit_id").to_csv(tmp_path / "same.csv", index=False)
    population = {"prompts": "same.csv", "unit": "id"}
    again = trial_folder("open.yaml", **CROSSED, population=population)
    run = cs.run_trial(again, out=tmp_path / "open")
    blind, seen = (
        spread_table(declared.trial, table).set_index("outcome").loc["gap"]
        for table in (pilot.observations, run.observations)
    )
    # Not to the last digit: silent units stay where they are when the others' effect is taken off.
    for name in ("sd", "skewness", "rho"):
        assert blind[name] == pytest.approx(seen[name], rel=0.02), name


def test_nothing_of_an_effect_is_in_the_table(piloted):
    declared, pilot = piloted
    table = pilot.observations
    assert not set(table["arm"]) & {arm.name for arm in declared.trial.arms}
    assert not {"dose", "received", "activation_asked", "draw", "norm_ratio"} & set(table)
    change = table["value"] - table["clean_outcome"]
    means = change.groupby([table["outcome"], table["arm"]]).mean()
    assert np.abs(means).max() < 1e-9
    again = pd.read_parquet(pilot.folder.path / "pilot.parquet")
    pd.testing.assert_frame_equal(again, table)
    assert not (pilot.folder.path / "observations").exists()


def test_a_second_pilot_takes_other_prompts(piloted, tmp_path):
    declared, first = piloted
    second = run_pilot(declared, n=20, out=tmp_path / "second")
    units = [set(one.observations["unit_id"]) for one in (first, second)]
    assert not units[0] & units[1]
    prompts = read_prompts(declared.trial, declared.folder)
    assert set(held_out(declared, prompts)) == units[0] | units[1]


def test_new_names_and_a_new_order_bring_no_prompt_back(piloted):
    declared, pilot = piloted
    prompts = read_prompts(declared.trial, declared.folder)
    renamed = prompts.sample(frac=1, random_state=1).assign(
        unit_id=[f"other {i}" for i in range(len(prompts))]
    )
    text = declared.trial.population.text
    used = set(prompts.loc[prompts["unit_id"].isin(set(pilot.observations["unit_id"])), text])
    assert not used & set(unused(declared, renamed)[text])


def test_clusters_are_taken_whole_and_order_does_not_matter(trial_folder):
    declared = load_trial_file(
        trial_folder(assignment={"method": "cluster", "cluster_by": "template"})
    )
    prompts = read_prompts(declared.trial, declared.folder)
    chosen = choose(declared.trial, prompts, 18)
    assert len(chosen) == 20  # five prompts a template
    assert chosen["template"].value_counts().eq(5).all()
    shuffled = choose(declared.trial, prompts.sample(frac=1, random_state=3), 18)
    assert set(shuffled["unit_id"]) == set(chosen["unit_id"])


def test_masks_are_resolved_by_the_trial_alone(trial_folder):
    trial = load_trial_file(trial_folder()).trial
    masked = pd.Series([mask(trial, arm.name) for arm in trial.arms])
    assert masked.is_unique
    assert unmasked(trial, masked).tolist() == [arm.name for arm in trial.arms]
    other = trial.model_copy(update={"name": "another"})
    assert unmasked(other, masked).tolist() == masked.tolist()


def test_a_sparse_effect_leaves_no_trace_on_units_that_it_does_not_reach(trial_folder):
    """Were the whole arm centred, silent units would show minus the mean effect."""
    trial = load_trial_file(trial_folder()).trial
    clean = np.arange(10.0)
    reached = np.arange(10) < 4
    rows = pd.DataFrame(
        {
            "unit_id": [str(i) for i in range(10)],
            "arm": "clamp",
            "outcome": "gap",
            "clean_outcome": clean,
            "value": clean + np.where(reached, 5.0 + np.arange(10), 0.0),
            "received": reached,
        }
    )
    found = blinded(trial, rows).sort_values("unit_id")
    change = found["value"].to_numpy() - clean
    assert np.array_equal(change[~reached], np.zeros(6))
    assert change[reached] == pytest.approx([-1.5, -0.5, 0.5, 1.5])


def test_a_table_of_other_prompts(trial_folder, tmp_path):
    declared = load_trial_file(trial_folder(**CROSSED))
    rows = pd.read_csv(tmp_path / "prompts.csv")
    rows.iloc[:12].assign(
        text=rows["text"].iloc[:12] + " sea", id=[f"x{i}" for i in range(12)]
    ).to_csv(tmp_path / "other.csv", index=False)
    pilot = run_pilot(declared, n=12, prompts=tmp_path / "other.csv", out=tmp_path / "pilot")
    assert pilot.units == 12
    prompts = read_prompts(declared.trial, declared.folder)
    assert len(unused(declared, prompts)) == 60
    with pytest.raises(DataError, match="60 of its prompts are in the trial as well"):
        run_pilot(declared, prompts=tmp_path / "prompts.csv", out=tmp_path / "again")
    with pytest.raises(DataError, match="there is no such table of prompts"):
        run_pilot(declared, prompts=tmp_path / "none.csv", out=tmp_path / "again")
    assert not (tmp_path / "again").exists()


@pytest.mark.parametrize(
    ("changes", "n", "sentence"),
    [
        ({}, 3, "--n: must be at least 8 prompts, got 3"),
        ({}, 58, "would leave the trial too few"),
        (
            {"population": {"prompts": "prompts.csv", "enrich": {"feature": 3, "exposed": 9}}},
            20,
            "a pilot of an enriched trial is not available",
        ),
    ],
)
def test_what_cannot_be_piloted_is_refused_and_uses_no_prompt(
    trial_folder, tmp_path, changes, n, sentence
):
    declared = load_trial_file(trial_folder(**changes))
    with pytest.raises((DataError, SpecError), match=sentence):
        run_pilot(declared, n=n, out=tmp_path / "pilot")
    assert not list_path(declared).exists()
    assert not (tmp_path / "pilot").exists()


def test_a_registered_trial_is_not_piloted(trial_folder, tmp_path):
    declared = load_trial_file(trial_folder(**CROSSED))
    cs.pipeline.register_trial(declared)
    with pytest.raises(DataError, match="a pilot comes before the registration"):
        run_pilot(declared, n=20, out=tmp_path / "pilot")


def test_a_list_that_cannot_be_read_stops_the_trial(trial_folder):
    declared = load_trial_file(trial_folder())
    list_path(declared).write_text("what is this\n")
    with pytest.raises(DataError, match="must be the list of the pilot's prompts"):
        held_out(declared, read_prompts(declared.trial, declared.folder))


def test_masked_arms_of_a_changed_trial_are_still_a_pilot(piloted):
    declared, pilot = piloted
    renamed = declared.trial.model_copy(update={"name": "renamed"})
    assert len(read_pilot(renamed, pilot.observations)) == 20
