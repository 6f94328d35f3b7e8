"""A run that looks before its end: it stops by its rule, resumes to the last bit, and says so."""

from __future__ import annotations

import pandas as pd
import pytest

import causal_sae as cs
from causal_sae.errors import InputError

STRONG = {"kind": "clamp", "features": [3], "dose": {"multiple": 60, "of": "max"}}
ARMS = [
    {"name": "control", "intervention": {"kind": "none"}},
    {"name": "clamp", "intervention": STRONG},
]
ENTROPY = [
    {"name": "spread", "role": "primary", "metric": "entropy"},
    {"name": "drift", "role": "guardrail", "metric": "kl", "margin": 0.1},
]
LOOKS = {"at": [0.4, 0.7, 1], "spending": "pocock"}


@pytest.fixture
def declared(trial_folder):
    """A trial whose effect shows at once: the dose is 60 times the largest activation."""

    def make(**changes):
        whole = {"arms": ARMS, "outcomes": ENTROPY, "analysis": {"looks": LOOKS}} | changes
        return trial_folder(**whole)

    return make


def test_a_run_stops_where_its_boundary_is_crossed(declared, tmp_path):
    run = cs.run_trial(declared(), out=tmp_path / "out")
    looks = run.tables["looks"]
    assert looks["decision"].tolist() == ["continue", "reject"]
    assert looks["information"].tolist() == pytest.approx([0.4, 0.7])
    assert run.observations["unit_id"].nunique() == 42  # of 60
    assert run.folder.manifest["looks"] == {
        "planned": 3,
        "made": 2,
        "units_planned": 60,
        "units_run": 42,
    }
    primary, guardrail = run.effects["flags"]
    assert "stage_wise" in primary
    assert "stopped_early:2" in primary
    assert "repeated_interval:2" in guardrail
    assert bool(run.effects["reject"][0])
    page = run.report.read_text()
    assert "Looks before the end" in page
    assert "stopped at look 2 of 3" in page
    assert (run.folder.figures / "looks.png").exists()
    flow = run.record().flow
    assert sum(arm.missing.get("not run: the trial had stopped", 0) for arm in flow.arms) == 18


@pytest.mark.usefixtures("no_page")
def test_a_killed_sequential_run_resumes_to_the_same_effects(declared, tmp_path, monkeypatch):
    import causal_sae.execution.shards as shards

    monkeypatch.setattr("causal_sae.execution.plan.SHARD_ROWS", 6)
    monkeypatch.setattr("causal_sae.execution.laboratory.MAX_TOKENS", 40)
    small = {"kind": "scale", "features": [3], "factor": 0.9}
    arms = [ARMS[0], {"name": "clamp", "intervention": small}]
    path = declared(arms=arms)
    whole = cs.run_trial(path, out=tmp_path / "whole")
    assert len(whole.tables["looks"]) == 3
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
    for name in ("effects.csv", "tables/looks.csv"):
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "killed" / name).read_bytes()


@pytest.mark.usefixtures("no_page")
def test_generated_text_is_written_look_by_look_too(declared, tmp_path):
    outcome = {
        "name": "said",
        "role": "primary",
        "metric": "distinct_n",
        "n": 1,
        "generate": {"max_new_tokens": 4},
    }
    run = cs.run_trial(
        declared(outcomes=[outcome, ENTROPY[0] | {"role": "secondary"}]), out=tmp_path / "out"
    )
    made = run.folder.manifest["looks"]["made"]
    known = set(run.observations["unit_id"])
    assert set(run.texts["unit_id"]) == known
    assert set(run.observations["look"]) == set(range(1, made + 1))


def test_a_first_look_at_too_few_units_is_refused(declared, tmp_path):
    path = declared(analysis={"looks": {"at": [0.02, 1]}})
    with pytest.raises(InputError, match="at the first look every arm must have at least 2 units"):
        cs.run_trial(path, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()
