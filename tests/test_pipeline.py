"""The whole path on a small model: from a trial file to a run folder."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pandas as pd
import pytest

import causal_sae as cs
from causal_sae.errors import InputError
from causal_sae.pipeline import estimate_run
from causal_sae.run_folder import RunFolder
from causal_sae.spec.declared import trial_file
from causal_sae.spec.loading import load_trial_file, parse_trial
from causal_sae.tables import EFFECTS, OBSERVATIONS

CROSSOVER = {"assignment": {"method": "crossover"}}


def test_a_run_folder_holds_what_the_contract_says(finished):
    out = finished.folder.path
    held = {p.relative_to(out).as_posix() for p in out.rglob("*")}
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
    assert list(finished.effects.columns) == list(EFFECTS.columns)
    assert list(pd.read_csv(out / "effects.csv").columns) == list(EFFECTS.columns)
    assert set(OBSERVATIONS.columns) <= set(finished.observations.columns)
    assert json.loads((out / "manifest.json").read_text())["status"] == "done"


@pytest.mark.usefixtures("no_page")
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


@pytest.mark.usefixtures("no_page")
def test_effects_do_not_depend_on_the_prompts_order_or_the_batch(
    finished, trial_folder, tmp_path, prompts_file, monkeypatch
):
    first = finished
    header, *rows = prompts_file.read_text().splitlines()
    prompts_file.write_text("\n".join([header, *rows[::-1]]) + "\n")
    monkeypatch.setattr("causal_sae.execution.laboratory.MAX_TOKENS", 40)
    second = cs.run_trial(trial_folder(), out=tmp_path / "two")
    pd.testing.assert_frame_equal(first.assignment, second.assignment)
    columns = ["estimate", "conf_low", "conf_high"]
    np.testing.assert_allclose(
        first.effects[columns], second.effects[columns], rtol=1e-4, atol=1e-6
    )


@pytest.mark.usefixtures("no_page")
def test_a_killed_run_resumes_to_the_same_effects(trial_folder, tmp_path, monkeypatch):
    monkeypatch.setattr("causal_sae.execution.plan.SHARD_ROWS", 20)
    monkeypatch.setattr("causal_sae.execution.laboratory.MAX_TOKENS", 60)
    path = trial_folder()
    whole = cs.run_trial(path, out=tmp_path / "whole")
    import causal_sae.execution.shards as shards

    run_batch, done = shards.run_batch, []

    def dies(bench, batch):
        if len(done) > 8:
            raise KeyboardInterrupt
        done.append(batch)
        return run_batch(bench, batch)

    monkeypatch.setattr(shards, "run_batch", dies)
    with pytest.raises(KeyboardInterrupt):
        cs.run_trial(path, out=tmp_path / "killed")
    monkeypatch.setattr(shards, "run_batch", run_batch)
    kept = len(list((tmp_path / "killed" / "observations").glob("*.parquet")))
    assert 0 < kept < len(list((tmp_path / "whole" / "observations").glob("*.parquet")))
    resumed = cs.run_trial(path, out=tmp_path / "killed", resume=True)
    pd.testing.assert_frame_equal(whole.effects, resumed.effects, check_exact=True)
    assert (tmp_path / "whole/effects.csv").read_bytes() == (
        tmp_path / "killed/effects.csv"
    ).read_bytes()


def test_resuming_another_trial_is_refused(finished, trial_folder):
    with pytest.raises(InputError, match="run of something else: its trial differs"):
        cs.run_trial(trial_folder(seed=6), out=finished.folder.path, resume=True)


def test_resuming_what_is_no_run_is_refused_before_anything_is_loaded(trial_folder, tmp_path):
    path = trial_folder(model={"source": {"path": "nowhere"}})
    with pytest.raises(InputError, match="holds no run that could go on"):
        cs.run_trial(path, out=tmp_path / "out", resume=True)


def test_a_taken_folder_is_refused(trial_folder, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "note.txt").write_text("mine")
    with pytest.raises(InputError, match=r"not empty; add --resume"):
        cs.run_trial(trial_folder(), out=tmp_path / "out")


def test_estimating_again_changes_nothing(finished, tmp_path):
    copy = RunFolder(shutil.copytree(finished.folder.path, tmp_path / "copy"))
    before = (copy.path / "effects.csv").read_bytes()
    (copy.path / "effects.csv").unlink()
    estimate_run(copy)
    assert (copy.path / "effects.csv").read_bytes() == before


def test_a_run_that_was_stopped_halfway_is_not_estimated(finished, tmp_path):
    copy = RunFolder(shutil.copytree(finished.folder.path, tmp_path / "copy"))
    copy.write_manifest({**copy.manifest, "status": "running"})
    with pytest.raises(InputError, match="stopped before all its observations"):
        estimate_run(copy)


def test_foreign_observations_are_estimated_alike(finished, tmp_path):
    columns = ["unit_id", "arm", "outcome", "value"]
    table = finished.observations[columns].sample(frac=1, random_state=0)
    trial = finished.folder.trial_file
    foreign = cs.estimate_observations(trial, table, tmp_path / "foreign")
    columns = ["outcome", "treatment", "estimate", "std_error", "p_value", "conf_low"]
    pd.testing.assert_frame_equal(finished.effects[columns], foreign.effects[columns])
    assert (tmp_path / "foreign" / "report.html").exists()


def test_a_trial_made_in_python_is_the_trial_of_its_file(finished, trial_folder):
    path = trial_folder()
    made = trial_file(cs.load_trial(path))
    assert made.folder == path.parent
    assert parse_trial(made.text, path).trial == load_trial_file(path).trial
    assert "gap" in finished._repr_html_()


def test_placebo_draws_are_dealt_evenly_and_never_the_feature_itself(finished):
    placebo = finished.observations.query("arm == 'placebo' and outcome == 'gap'")
    counts = placebo["draw"].value_counts()
    assert set(counts.index) == {0, 1, 2}
    assert counts.max() - counts.min() <= 1


def test_exposure_and_delivery_stand_on_every_row(finished):
    observations = finished.observations
    clamp = observations[observations["arm"] == "clamp"]
    assert clamp["received"].all()
    assert (clamp["dose"] > 0).all()
    assert (clamp["norm_ratio"] > 0).all()
    assert observations["exposed"].notna().all()
    control = observations[observations["arm"] == "control"]
    assert not control["received"].any()
    assert (control["value"] == control["clean_outcome"]).all()


def test_a_covariate_named_like_a_recorded_column_is_refused(trial_folder, prompts_file):
    prompts_file.write_text(prompts_file.read_text().replace(",topic,", ",positions,", 1))
    with pytest.raises(InputError, match=r"records a column 'positions'") as caught:
        cs.run_trial(trial_folder(analysis={"covariates": ["positions"]}))
    assert caught.value.place.field == "analysis.covariates[0]"
    assert caught.value.place.line is not None


# --- several continuations, positions that match nothing -----------------------------------------


@pytest.fixture(scope="module")
def crossed(tmp_path_factory, trial_maker):
    """Every unit in every arm; outcomes read after the prompt and along two continuations."""
    folder = tmp_path_factory.mktemp("crossed")
    arms = [
        {"name": "control", "intervention": {"kind": "none"}},
        {"name": "ablate", "intervention": {"kind": "ablate", "features": [3, 4]}},
        {
            "name": "resample",
            "intervention": {"kind": "ablate", "features": [3, 4], "to": "resample"},
        },
        {"name": "push", "intervention": {"kind": "random_direction", "norm_of": "ablate"}},
    ]
    column = {"column": "tail"}
    outcomes = [
        {"name": "next", "role": "primary", "metric": "token_logprob", "target": " whale"},
        {"name": "tail", "metric": "nll", "continuation": column},
        {"name": "same", "metric": "token_logprob", "target": column, "sequence": True},
        {"name": "other", "metric": "nll", "continuation": " the sea of"},
        {"name": "rank", "metric": "rank", "target": " whale"},
    ]
    path = trial_maker(folder)(
        arms=arms,
        outcomes=outcomes,
        positions={"regex": "whale|king|queen|city|river"},
        analysis={"refuters": []},
        **CROSSOVER,
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("causal_sae.pipeline.report_run", lambda folder: None)
        return cs.run_trial(path, out=folder / "out")


def test_every_unit_has_every_arm_and_outcome_once(crossed):
    counts = crossed.observations.groupby(["unit_id", "arm", "outcome"]).size()
    assert len(counts) == 60 * 4 * 5
    assert (counts == 1).all()


def test_clean_outcomes_are_the_control_arms_own(crossed):
    table = crossed.observations.set_index(["unit_id", "outcome"])
    control = table.loc[table["arm"] == "control", "value"]
    assert (table["clean_outcome"] == control.reindex(table.index)).all()


def test_two_outcomes_of_one_continuation_agree(crossed):
    wide = crossed.observations.pivot(
        index=["unit_id", "arm"], columns="outcome", values=["value", "positions", "dose"]
    )
    lengths = 2  # every tail is two words of one token each
    np.testing.assert_allclose(wide["value"]["same"], -lengths * wide["value"]["tail"], rtol=1e-9)
    assert (wide["positions"]["same"] == wide["positions"]["tail"]).all()


def test_a_units_sequences_get_the_same_edit(crossed):
    """The pattern lies in the prompt: what follows it must not change what is delivered."""
    table = crossed.observations
    doses = table[table["arm"] != "push"].pivot(
        index=["unit_id", "arm"], columns="outcome", values="dose"
    )
    spread = doses.max(axis=1) - doses.min(axis=1)
    assert doses.loc[(slice(None), "resample"), :].max().max() > 0.01
    assert spread.max() < 1e-5


def test_units_without_a_match_stay_in_and_receive_nothing(crossed):
    table = crossed.observations
    untouched = table[table["positions"] == 0]
    assert 0 < untouched["unit_id"].nunique() < 60
    assert not untouched["received"].any()
    assert (untouched["status"] == "ok").all()
    assert (untouched["value"] - untouched["clean_outcome"]).abs().max() < 1e-5
    assert (untouched["dose"].dropna() == 0).all()
    assert untouched["activation_found"].isna().all()
    assert not untouched["exposed"].any()


@pytest.mark.usefixtures("no_page")
def test_shards_of_another_plan_are_not_counted_in(crossed, tmp_path):
    path = crossed.folder.trial_file
    stale = sorted(crossed.folder.observations.glob("*.parquet"))[0]
    copied = stale.with_name("part-00009-000000000000.parquet")
    shutil.copy(stale, copied)
    text = path.read_text()
    home = path.parent.parent / "trial.yaml"
    assert home.read_text() == text
    before = len(crossed.effects)
    again = cs.run_trial(home, out=crossed.folder.path, resume=True)
    assert not copied.exists()
    assert len(again.observations) == 60 * 4 * 5
    assert len(again.effects) == before
    assert again.folder.manifest["resumed"]


def test_numbers_are_numbers_in_every_shard(crossed):
    for part in crossed.folder.observations.glob("*.parquet"):
        types = pd.read_parquet(part).dtypes
        for column in ("dose", "activation_found", "norm_ratio", "value"):
            assert types[column] == "float64"


def test_progress_moves_with_every_batch_and_ends_at_the_whole(trial_folder, tmp_path, monkeypatch):
    from contextlib import contextmanager

    steps, totals = [], []

    @contextmanager
    def counted(_console, _label, total):
        totals.append(total)
        yield steps.append

    monkeypatch.setattr("causal_sae.pipeline.bar", counted)
    monkeypatch.setattr("causal_sae.execution.laboratory.MAX_TOKENS", 60)
    cs.run_trial(trial_folder(), out=tmp_path / "out")
    shards = list((tmp_path / "out" / "observations").glob("*.parquet"))
    assert totals == [sum(steps)]
    assert len(steps) > len(shards)


@pytest.mark.usefixtures("no_page")
def test_observations_say_at_which_place_an_arm_was_run(trial_folder, tmp_path):
    run = cs.run_trial(trial_folder(assignment={"method": "latin_square"}), out=tmp_path / "out")
    key = ["unit_id", "arm"]
    dealt = run.assignment.set_index(key)["run_order"].rename("dealt")
    recorded = run.observations.join(dealt, on=key)
    assert recorded["run_order"].notna().all()
    assert (recorded["run_order"] == recorded["dealt"]).all()
    assert recorded.groupby("arm")["run_order"].nunique().min() > 1
