"""``causal-sae new``: a folder whole or not at all."""

from __future__ import annotations

import pytest

from causal_sae.spec.loading import load_trial


def test_a_design_becomes_a_commented_trial(call, tmp_path):
    said = call("new", "trials/paris", "--design", "crossover")
    assert said.code == 0, said.err
    folder = tmp_path / "here" / "trials" / "paris"
    assert {p.name for p in folder.iterdir()} == {"trial.yaml", "prompts.example.csv"}
    text = (folder / "trial.yaml").read_text(encoding="utf-8")
    assert "name: paris\n" in text
    assert "# change" in text
    assert "# When: " in text
    assert "To use: copy" not in text
    trial = load_trial(folder)
    assert trial.assignment.method == "crossover"
    assert trial.sae is not None
    assert (folder / trial.sae.source.path).is_dir()
    for part in ("made", "id, text, target, foil", "causal-sae validate trials/paris"):
        assert part in said.out


@pytest.mark.parametrize("given", ["two-arm", "two-arm.yaml", "designs/two-arm.yaml"])
def test_a_design_is_found_by_name_or_path(call, tmp_path, given):
    assert call("new", "one", "--design", given).code == 0
    assert load_trial(tmp_path / "here" / "one").name == "one"


def test_a_design_of_ones_own(call, tmp_path, trial_folder):
    said = call("new", "mine", "--design", trial_folder())
    assert said.code == 0, said.err
    assert load_trial(tmp_path / "here" / "mine").name == "mine"


def test_an_unknown_design_lists_those_there_are(call, tmp_path):
    said = call("new", "x", "--design", "crosover")
    assert said.code == 2
    assert "did you mean 'crossover'?" in said.err
    for name in ("two-arm", "latin-square", "non-inferiority", "model-comparison"):
        assert f"\n  {name}" in said.err
    assert not (tmp_path / "here" / "x").exists()


def test_nothing_is_overwritten(call, tmp_path):
    (tmp_path / "here" / "there").mkdir()
    said = call("new", "there")
    assert said.code == 2
    assert "exists already" in said.err
    assert list((tmp_path / "here" / "there").iterdir()) == []


@pytest.mark.parametrize("name", ["Paris", "two_words", "a" * 65])
def test_a_name_that_no_trial_can_have(call, tmp_path, name):
    said = call("new", name)
    assert said.code == 2
    assert "is no name for a trial" in " ".join(said.err.split())
    assert list((tmp_path / "here").iterdir()) == []


def test_a_failure_half_way_leaves_nothing(call, tmp_path, monkeypatch):
    def fail(*_: object) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr("pathlib.Path.rename", fail)
    said = call("new", "x")
    assert said.code == 1
    assert list((tmp_path / "here").iterdir()) == []
