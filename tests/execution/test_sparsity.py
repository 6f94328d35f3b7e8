"""Edits that cannot change a unit are not run, and nothing but the time changes."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
import pytest
import torch

from causal_sae.errors import GateError
from causal_sae.execution.batches import Job
from causal_sae.execution.execute import _idle, check, execute
from causal_sae.execution.forward import run_batch
from causal_sae.execution.host import Host
from causal_sae.execution.plan import plan
from causal_sae.execution.treatments import deal_draws, treatments
from causal_sae.manifest import rows_of

ARMS = [
    {"name": "control", "intervention": {"kind": "none"}},
    {"name": "sham", "intervention": {"kind": "splice"}},
    {"name": "ablate", "intervention": {"kind": "ablate", "features": [3]}},
    {"name": "halve", "intervention": {"kind": "scale", "features": [3, 7], "factor": 0.5}},
    {"name": "off", "intervention": {"kind": "clamp", "features": [7], "dose": 0.0}},
    {"name": "clamp", "intervention": {"kind": "clamp", "features": [3], "dose": 4.0}},
    {"name": "push", "intervention": {"kind": "random_direction", "norm_of": "ablate"}},
]
WORDS = ["whale", "sea", "ship", "king", "queen", "road", "tree", "stone", "bird", "song"]
TEXTS = [f"{a} the {b}" for a in WORDS[:4] for b in WORDS]


def planned(lab):
    table = pd.DataFrame({"unit_id": [f"u{i:02d}" for i in range(len(TEXTS))], "text": TEXTS})
    table["target"], table["foil"], table["tail"] = " whale", " sea", " the king"
    prompts = lab.tokenizer.prompts(table)
    made = treatments(lab.trial, lab.sae, pd.DataFrame())
    every = [(p.unit_id, arm) for p in prompts for arm in made]
    dealt = deal_draws(lab.trial, pd.DataFrame(every, columns=["unit_id", "arm"]), made)
    return plan(lab, prompts, lab.metrics(table), dealt, (3,), {p.unit_id: {} for p in prompts})


@pytest.fixture
def quiet(laboratory):
    """Features that fire on some of the prompts' last tokens only."""
    return laboratory(arms=ARMS, positions="last")


def counted(monkeypatch):
    rows = []
    resume = Host.resume

    def counting(self, at, activation, *rest, **more):
        rows.append(len(activation))
        return resume(self, at, activation, *rest, **more)

    monkeypatch.setattr(Host, "resume", counting)
    return rows


def test_observations_are_the_same_and_fewer_rows_run(quiet, tmp_path, monkeypatch):
    run = planned(quiet)
    rows = counted(monkeypatch)
    with_all = execute(replace(run, bench=replace(run.bench, sparse=False)), tmp_path / "all")
    every, rows[:] = sum(rows), []
    without = execute(run, tmp_path / "few")
    assert sum(rows) < 0.8 * every
    assert not with_all["not_run"].any()
    spared = without["not_run"]
    assert 0.2 < spared.mean() < 0.9
    same = [c for c in with_all if c not in ("value", "not_run")]
    pd.testing.assert_frame_equal(with_all[same], without[same], rtol=1e-5, atol=1e-6)
    pd.testing.assert_series_equal(with_all["value"], without["value"], rtol=1e-5, atol=2e-6)
    # To the last bit the untouched model's outcome of the same batch.
    taken = without[spared]
    assert (taken["value"] == taken["clean_outcome"]).all()
    assert set(taken["arm"]) == {"ablate", "halve", "off", "push"}
    assert not taken["received"].any()
    assert rows_of(without)["taken over from the untouched model"] == len(
        taken.drop_duplicates(["unit_id", "arm"])
    )


def test_only_edits_of_features_that_are_exactly_zero_are_spared(quiet):
    run = planned(quiet)
    for batch in (b for shard in run.shards for b in shard):
        done = run_batch(run.bench, batch)
        for row, job in enumerate(done.jobs):
            at = quiet.host.read(torch.tensor([job.sequence.tokens]))
            editable = torch.from_numpy(job.sequence.editable)
            features = quiet.sae.encode(at.activation)[0][editable]
            for treatment in done.idle[row]:
                shape = treatment.push_like or treatment
                assert done.treatments[row] is None
                assert not features[:, list(shape.features)].any()
                assert not any(shape.bias)
            own = done.treatments[row]
            if own is not None and own.arm in ("ablate", "halve", "off", "push"):
                assert features[:, list((own.push_like or own).features)].any()


def test_an_activation_that_is_no_number_is_not_taken_for_zero(quiet, monkeypatch):
    run = planned(quiet)
    batch = run.shards[0][0]
    encode = type(quiet.sae).encode
    monkeypatch.setattr(type(quiet.sae), "encode", lambda self, x: encode(self, x) * torch.nan)
    done = run_batch(run.bench, (Job(batch[0].sequence, batch[0].treatments[:0]),))
    assert not any(done.idle)
    with pytest.raises(Exception, match="not finite"):
        run_batch(run.bench, batch)


def test_the_gate_runs_what_the_trial_leaves_out(quiet, monkeypatch):
    run = planned(quiet)
    gate = next(g for g in check(run, quiet.limit) if g.check == "exact sparsity")
    assert gate.status == "pass"
    assert gate.value < 1e-5
    assert "left the untouched outcomes" in gate.sentence
    monkeypatch.setattr("causal_sae.execution.gates.BATCH_TOLERANCE", {torch.float32: -1.0})
    with pytest.raises(GateError, match="features that do not fire moves the outcomes"):
        _idle(replace(run.bench, sparse=False), run.jobs, quiet.limit)
