"""``causal-sae power``: what a user sees, and the sentences instead of numbers."""

from __future__ import annotations

import re

import pandas as pd
import pytest

PLAN = {"effect": 0.5}


def test_power_prints_a_table_and_writes_it_with_its_curve(call, trial_folder, tmp_path):
    said = call("power", trial_folder(power=PLAN), "--repetitions", 20)
    assert said.code == 0, said.err
    for part in ("clamp \u2212 control", "Formula", "Simulated", "60 units", "forward passes"):
        assert part in said.out
    folder = tmp_path / "here" / "power" / "tiny"
    written = {"power.csv", "power_curve.csv", "power.png", "power.svg"}
    assert {path.name for path in folder.iterdir()} == written
    table = pd.read_csv(folder / "power.csv")
    assert set(table["method"]) == {"closed_form", "simulation"}
    assert table["n_treatment"].iloc[0] == 20


def test_a_run_is_a_pilot_and_measures_the_minutes(call, trial_folder, finished, tmp_path):
    words = ("--pilot", finished.folder.path, "--repetitions", 0, "--out", tmp_path / "p")
    said = call("power", trial_folder(power=PLAN), *words)
    assert said.code == 0, said.err
    out = " ".join(said.out.split())
    assert "on cpu as measured in the pilot" in out
    assert "Pilot of 60 units, gap: sd" in out
    assert pd.read_csv(tmp_path / "p" / "power_curve.csv")["minutes"].notna().all()


def test_more_units_find_more(call, trial_folder, tmp_path):
    powers = []
    for n in (60, 240):
        out = tmp_path / str(n)
        said = call("power", trial_folder(power=PLAN), "--n", n, "--repetitions", 0, "--out", out)
        assert said.code == 0, said.err
        powers.append(pd.read_csv(out / "power.csv")["power"].iloc[0])
    assert powers[0] < powers[1]


@pytest.mark.parametrize(
    ("power", "place"),
    [
        (None, "power: the trial must say what it is planned to find"),
        ({"effect": 0}, "power.effect: must not be 0"),
        ({"effect": 0.5, "target": 1.2}, "power.target"),
        ({"effect": 0.5, "sd": -1}, "power.sd"),
        ({"effect": 0.5, "unit": "outcome"}, "power.sd: an effect in the outcome's units needs"),
        ({"effect": 0.5, "icc": 1.5}, "power.icc"),
        ({"effect": 0.5, "pilot": "nowhere"}, "there is no such run folder or table"),
    ],
)
def test_wrong_plans_get_a_sentence_with_their_place(call, trial_folder, tmp_path, power, place):
    said = call("power", trial_folder(power=power))
    assert said.code == 2
    assert place in " ".join(said.err.split())
    assert not re.search(r"\d\.\d{3}", said.out)
    assert not (tmp_path / "here" / "power").exists()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--n", 1), "--n: must be at least 2 units, got 1"),
        (("--repetitions", 5), "--repetitions: must be 0 (no simulation) or at least 20, got 5"),
        (("--pilot", "no.csv"), "there is no such run folder or table"),
        (("--alpha", 2), "No such option"),
    ],
)
def test_wrong_options_get_a_sentence(call, trial_folder, words, sentence):
    said = call("power", trial_folder(power=PLAN), *words)
    assert said.code == 2
    assert sentence in " ".join(said.err.split())


def test_a_wrong_alpha_gets_a_sentence(call, trial_folder):
    said = call("power", trial_folder(power=PLAN, analysis={"alpha": 1.5}))
    assert said.code == 2
    assert "analysis.alpha" in said.err
