"""Outcomes of the next token and of a continuation are read from one pass."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
import pytest
import torch

from causal_sae.execution.batches import Job
from causal_sae.execution.execute import execute
from causal_sae.execution.forward import run_batch
from causal_sae.execution.plan import plan
from causal_sae.execution.sequences import TokenSequence
from causal_sae.execution.treatments import deal_draws, treatments

TEXTS = ["whale sea ship boat", "old man said to", "storm night day king the"]
OUTCOMES = [
    {"name": "gap", "metric": "logit_diff", "target": " whale", "foil": " sea"},
    {"name": "drift", "metric": "kl"},
    {"name": "own", "metric": "feature_activation", "feature": 5},
    {"name": "tail", "metric": "nll", "continuation": {"column": "tail"}},
    {"name": "other", "metric": "nll", "continuation": " the sea"},
]


@pytest.fixture
def planned(laboratory):
    """``planned(positions)``: the plan of a crossover, and its laboratory."""

    def make(positions, outcomes=OUTCOMES):
        lab = laboratory("llama", positions=positions, outcomes=outcomes)
        table = pd.DataFrame({"unit_id": ["a", "b", "c"], "text": TEXTS})
        table["tail"] = [" the king", " a river bird", " the sea"]
        prompts = lab.tokenizer.prompts(table)
        made = treatments(lab.trial, lab.sae, pd.DataFrame())
        every = [(p.unit_id, arm) for p in prompts for arm in made]
        dealt = deal_draws(lab.trial, pd.DataFrame(every, columns=["unit_id", "arm"]), made)
        units = {p.unit_id: {} for p in prompts}
        return plan(lab, prompts, lab.metrics(table), dealt, (3, 5), units)

    return make


def apart(run):
    """The same plan with the prompts alone for outcomes of the next token, as a second pass."""
    shards = []
    for shard in run.shards:
        for batch in shard:
            shards.append(tuple(_only(job) for job in batch if job.sequence.continuation))
            shards += [(_alone(job),) for job in batch if job.sequence.next_too]
    return replace(run, shards=tuple((batch,) for batch in shards if batch), breaks=())


def _only(job):
    return Job(replace(job.sequence, next_too=False), job.treatments)


def _alone(job):
    return Job(TokenSequence(job.sequence.prompt), job.treatments)


@pytest.mark.parametrize("positions", ["all", "last", "prompt", "generated"])
def test_one_pass_gives_what_two_give(planned, positions, tmp_path):
    run = planned(positions)
    once = execute(run, tmp_path / "once")
    twice = execute(apart(run), tmp_path / "twice")
    assert len(once) == len(twice)
    assert not once.duplicated(["unit_id", "arm", "outcome"]).any()
    # An edit of what follows is run although what it precedes cannot change.
    same = [column for column in once if column != "not_run"]
    pd.testing.assert_frame_equal(once[same], twice[same], rtol=1e-4, atol=2e-6)
    counts = once.groupby("outcome")["positions"].max()
    if positions == "all":
        assert counts["tail"] > counts["gap"]
    if positions == "generated":
        assert counts["gap"] == 0


def test_a_unit_with_continuations_runs_no_sequence_of_its_own(planned):
    run = planned("all")
    sequences = [job.sequence for job in run.jobs]
    assert all(s.continuation for s in sequences)
    # Two outcomes score a continuation; the unit whose two are the same runs one sequence.
    assert sorted(s.unit_id for s in sequences) == ["a", "a", "b", "b", "c"]
    assert sorted(s.unit_id for s in sequences if s.next_too) == ["a", "b", "c"]
    alone = planned("all", OUTCOMES[:2])
    assert all(job.sequence.continuation == () for job in alone.jobs)
    scored = planned("all", OUTCOMES[3:])
    assert not any(job.sequence.next_too for job in scored.jobs)


def test_what_follows_does_not_reach_back(planned):
    """The distribution after the prompt is the same whichever continuation follows it."""
    run = planned("all")
    found = {}
    for batch in (b for shard in run.shards for b in shard):
        done = run_batch(replace(run.bench, sparse=False), batch)
        for row, (job, treatment) in enumerate(zip(done.jobs, done.treatments, strict=True)):
            key = (job.sequence.unit_id, treatment.arm if treatment else "", repr(treatment))
            found.setdefault(key, []).append(done.reading.last[row])
    several = [each for each in found.values() if len(each) > 1]
    assert several
    for first, second in several:
        torch.testing.assert_close(first, second, atol=2e-6, rtol=1e-5)
