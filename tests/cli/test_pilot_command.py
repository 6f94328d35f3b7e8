"""``causal-sae pilot``: what a user sees, and what must not be seen."""

from __future__ import annotations


def test_the_spread_is_shown_and_the_next_command(call, trial_folder, tmp_path):
    trial = trial_folder(power={"effect": 0.5}, assignment={"method": "crossover"})
    said = call("pilot", trial, "--n", 20)
    assert said.code == 0, said.err
    out = " ".join(said.out.split())
    for part in ("Outcome", "SD", "Skewness", "rho", "gap", "20 prompts, listed in", "--pilot"):
        assert part in out
    for arm in ("clamp", "placebo"):
        assert f" {arm} " not in out
    folder = tmp_path / "here" / "pilots" / "tiny"
    assert {p.name for p in folder.iterdir()} == {"pilot.parquet", "manifest.json", "trial.yaml"}
    planned = call("power", trial, "--pilot", folder, "--repetitions", 0)
    assert planned.code == 0, planned.err
    assert "Pilot of 20 units" in " ".join(planned.out.split())
    checked = call("validate", trial)
    assert checked.code == 0
    assert "in the pilot 20" in " ".join(checked.out.split())
    again = call("pilot", trial, "--n", 20)
    assert again.code == 2
    assert "is not empty" in " ".join(again.err.split())
