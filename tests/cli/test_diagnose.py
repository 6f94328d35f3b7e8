"""``causal-sae diagnose``: what a user sees."""

from __future__ import annotations

import pandas as pd

from causal_sae import plan_tables

PLAN = {"effect": 0.5, "rho": 0.8}


def test_designs_are_shown_beside_each_other_and_written(call, trial_folder, tmp_path):
    words = ("--assignment", "parallel,crossover", "--repetitions", 50)
    said = call("diagnose", trial_folder(power=PLAN), *words)
    assert said.code == 0, said.err
    out = " ".join(said.out.split())
    for part in ("clamp \u2212 control", "tiny (crossover)", "Cover.", "Type M", "FWER", "Monte-"):
        assert part in out
    assert "the cheapest design is tiny (crossover)" in out
    folder = tmp_path / "here" / "diagnosis" / "tiny"
    assert {p.name for p in folder.iterdir()} == {
        *("diagnosis.csv", "diagnosis.png", "diagnosis.svg")
    }
    table = pd.read_csv(folder / "diagnosis.csv")
    assert list(table) == list(plan_tables.DIAGNOSIS.columns)
    assert set(table["design"]) == {"tiny", "tiny (crossover)"}


def test_several_files_and_a_pilot(call, trial_folder, finished):
    folder = trial_folder(power=PLAN)
    words = ("--pilot", finished.folder.path, "--repetitions", 50)
    said = call("diagnose", folder, folder, *words)
    assert said.code == 0, said.err
    out = " ".join(said.out.split())
    assert "tiny 2" in out
    assert "Time" in out
    assert "Pilot of 60 units" in out


def test_what_cannot_be_diagnosed_gets_a_sentence_and_no_files(call, trial_folder, tmp_path):
    said = call("diagnose", trial_folder(power=PLAN), "--draws", "many")
    assert said.code == 2
    assert "--draws: must be whole numbers" in " ".join(said.err.split())
    said = call("diagnose", trial_folder())
    assert said.code == 2
    assert "must say what it is planned to find" in " ".join(said.err.split())
    assert not (tmp_path / "here" / "diagnosis").exists()
