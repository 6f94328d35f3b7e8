"""The command ``screen``, as a user types it."""

from __future__ import annotations

ARMS = [
    {"name": "control", "intervention": {"kind": "none"}},
    {"name": "ablate", "intervention": {"kind": "ablate", "features": "all"}},
]
GAP = {
    "name": "gap",
    "role": "primary",
    "metric": "logit_diff",
    "target": {"column": "target"},
    "foil": {"column": "foil"},
}


def test_a_screen_says_its_cost_its_hits_and_what_the_hits_would_take(call, trial_folder, tmp_path):
    trial = trial_folder(
        assignment={"method": "crossover"},
        arms=ARMS,
        outcomes=[GAP],
        analysis={"alpha": 0.3, "multiplicity": {"method": "none"}},
    )
    out, confirm = tmp_path / "screen", tmp_path / "confirm.yaml"
    said = call("screen", trial, "--out", out, "--confirm", confirm)
    assert said.code == 0, said.err
    assert "forward passes" in said.err
    assert "rejected (none)" in said.out
    assert "rank correlation" in said.out
    assert "prompts for 0.8" in said.out
    assert (out / "figures/volcano-gap.png").stat().st_size > 10_000
    checked = call("validate", confirm)
    assert checked.code == 0, checked.err
    again = call("screen", trial, "--out", out)
    assert again.code == 2
    assert "--resume" in again.err


def test_a_trial_that_is_no_screen_is_told_what_to_write(call, trial_folder, tmp_path):
    said = call("screen", trial_folder(), "--out", tmp_path / "screen")
    assert said.code == 2
    line = " ".join(said.err.split())
    assert "features: all" in line
    assert "write `method: crossover`" in line
    assert "not 'kl'" in line
    assert not (tmp_path / "screen").exists()
