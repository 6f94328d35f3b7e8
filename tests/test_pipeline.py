"""The whole path on a small model: from a trial file to a run folder."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

import causal_sae as cs
from causal_sae.errors import InputError
from causal_sae.tables import EFFECTS, OBSERVATIONS

CROSSOVER = {"assignment": {"method": "crossover"}}


def test_a_run_folder_holds_what_the_contract_says(trial_folder, tmp_path):
    run = cs.run_trial(trial_folder(), out=tmp_path / "out")
    held = {p.relative_to(tmp_path / "out").as_posix() for p in (tmp_path / "out").rglob("*")}
    assert {
        "trial.yaml",
        "manifest.json",
        "assignment.parquet",
        "effects.parquet",
        "effects.csv",
        "diagnostics.csv",
        "report.html",
        "figures/forest.png",
        "figures/forest.svg",
    } <= held
    assert not [name for name in held if "partial" in name]
    assert list(run.effects.columns) == list(EFFECTS.columns)
    csv = pd.read_csv(tmp_path / "out" / "effects.csv")
    assert list(csv.columns) == list(EFFECTS.columns)
    assert set(OBSERVATIONS.columns) <= set(run.observations.columns)
    assert json.loads((tmp_path / "out" / "manifest.json").read_text())["status"] == "done"


def test_identical_arms_differ_by_exactly_zero(trial_folder, tmp_path):
    same = {"kind": "clamp", "features": [3], "dose": 2.0}
    arms = [
        {"name": "control", "intervention": {"kind": "none"}},
        {"name": "again", "intervention": {"kind": "none"}},
        {"name": "a", "intervention": same},
        {"name": "b", "intervention": same},
        {"name": "null", "intervention": {"kind": "scale", "features": [3], "factor": 1.0}},
    ]
    contrasts = {"contrasts": [["again", "control"], ["b", "a"], ["null", "control"]]}
    path = trial_folder(arms=arms, analysis=contrasts, **CROSSOVER)
    observations = cs.run_trial(path, out=tmp_path / "out").observations
    wide = observations.pivot(index=["unit_id", "outcome"], columns="arm", values="value")
    assert (wide["again"] == wide["control"]).all()
    assert (wide["a"] == wide["b"]).all()
    assert (wide["null"] - wide["control"]).abs().max() < 1e-6
    assert (wide["a"] - wide["control"]).abs().max() > 1e-3


def test_effects_do_not_depend_on_the_prompts_order_or_the_batch(
    trial_folder, tmp_path, prompts_file, monkeypatch
):
    first = cs.run_trial(trial_folder(), out=tmp_path / "one")
    header, *rows = prompts_file.read_text().splitlines()
    prompts_file.write_text("\n".join([header, *rows[::-1]]) + "\n")
    monkeypatch.setattr("causal_sae.execution.laboratory.MAX_TOKENS", 40)
    second = cs.run_trial(trial_folder(), out=tmp_path / "two")
    pd.testing.assert_frame_equal(first.assignment, second.assignment)
    columns = ["estimate", "conf_low", "conf_high"]
    np.testing.assert_allclose(
        first.effects[columns], second.effects[columns], rtol=1e-4, atol=1e-6
    )


def test_a_killed_run_resumes_to_the_same_effects(trial_folder, tmp_path, monkeypatch):
    monkeypatch.setattr("causal_sae.execution.execute.SHARD_ROWS", 20)
    monkeypatch.setattr("causal_sae.execution.laboratory.MAX_TOKENS", 60)
    path = trial_folder()
    whole = cs.run_trial(path, out=tmp_path / "whole")
    import causal_sae.execution.execute as execute

    run_batch, done = execute.run_batch, []

    def dies(bench, batch):
        if len(done) > 8:
            raise KeyboardInterrupt
        done.append(batch)
        return run_batch(bench, batch)

    monkeypatch.setattr(execute, "run_batch", dies)
    with pytest.raises(KeyboardInterrupt):
        cs.run_trial(path, out=tmp_path / "killed")
    monkeypatch.setattr(execute, "run_batch", run_batch)
    kept = len(list((tmp_path / "killed" / "observations").glob("*.parquet")))
    assert 0 < kept < len(list((tmp_path / "whole" / "observations").glob("*.parquet")))
    resumed = cs.run_trial(path, out=tmp_path / "killed", resume=True)
    pd.testing.assert_frame_equal(whole.effects, resumed.effects, check_exact=True)
    assert (tmp_path / "whole/effects.csv").read_bytes() == (
        tmp_path / "killed/effects.csv"
    ).read_bytes()


def test_resuming_another_trial_is_refused(trial_folder, tmp_path):
    cs.run_trial(trial_folder(), out=tmp_path / "out")
    with pytest.raises(InputError, match="run of something else: its trial differs"):
        cs.run_trial(trial_folder(seed=6), out=tmp_path / "out", resume=True)


def test_a_taken_folder_is_refused(trial_folder, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "note.txt").write_text("mine")
    with pytest.raises(InputError, match=r"not empty; add --resume"):
        cs.run_trial(trial_folder(), out=tmp_path / "out")


def test_estimating_again_changes_nothing(trial_folder, tmp_path):
    run = cs.run_trial(trial_folder(), out=tmp_path / "out")
    before = (tmp_path / "out" / "effects.csv").read_bytes()
    from causal_sae.pipeline import estimate_run

    estimate_run(run.folder)
    assert (tmp_path / "out" / "effects.csv").read_bytes() == before


def test_foreign_observations_are_estimated_alike(trial_folder, tmp_path):
    path = trial_folder()
    own = cs.run_trial(path, out=tmp_path / "out")
    table = own.observations[["unit_id", "arm", "outcome", "value"]].sample(frac=1, random_state=0)
    foreign = cs.estimate_observations(path, table, tmp_path / "foreign")
    columns = ["outcome", "treatment", "estimate", "std_error", "p_value", "conf_low"]
    pd.testing.assert_frame_equal(own.effects[columns], foreign.effects[columns])
    assert (tmp_path / "foreign" / "report.html").exists()


def test_a_trial_made_in_python_runs_from_its_folder(trial_folder, tmp_path):
    trial = cs.load_trial(trial_folder())
    run = cs.run_trial(trial, out=tmp_path / "out")
    assert run.trial == trial.within(tmp_path / "out")
    assert "gap" in run._repr_html_()


def test_placebo_draws_are_dealt_evenly_and_never_the_feature_itself(trial_folder, tmp_path):
    run = cs.run_trial(trial_folder(), out=tmp_path / "out")
    placebo = run.observations.query("arm == 'placebo' and outcome == 'gap'")
    counts = placebo["draw"].value_counts()
    assert set(counts.index) == {0, 1, 2}
    assert counts.max() - counts.min() <= 1


def test_exposure_and_delivery_stand_on_every_row(trial_folder, tmp_path):
    observations = cs.run_trial(trial_folder(), out=tmp_path / "out").observations
    clamp = observations[observations["arm"] == "clamp"]
    assert clamp["received"].all()
    assert (clamp["dose"] > 0).all()
    assert (clamp["norm_ratio"] > 0).all()
    assert observations["exposed"].notna().all()
    control = observations[observations["arm"] == "control"]
    assert not control["received"].any()
    assert (control["value"] == control["clean_outcome"]).all()
