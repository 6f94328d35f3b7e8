"""Batches fit a stated budget, and what does not fit after all runs in halves."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import causal_sae as cs
from causal_sae.errors import ModelError
from causal_sae.execution.batches import Job
from causal_sae.execution.host import Host
from causal_sae.execution.laboratory import assemble
from causal_sae.execution.memory import (
    GIBIBYTE,
    Memory,
    halves,
    limit_of,
    ran_out,
    score_bytes,
    token_bytes,
)
from causal_sae.execution.sequences import Prompt, TokenSequence
from causal_sae.execution.treatments import Treatment


def job(unit: str, length: int, edits: int) -> Job:
    prompt = Prompt(unit, tuple(range(length)), np.ones(length, dtype=bool))
    treatments = tuple(Treatment(f"arm{n}", None, (n,), (0.0,), (1.0,)) for n in range(edits))
    return Job(TokenSequence(prompt), treatments)


def pairs(batch):
    return [(j.sequence.unit_id, t.arm) for j in batch for t in j.treatments]


@given(
    jobs=st.integers(1, 7),
    edits=st.integers(1, 6),
    length=st.integers(2, 9),
    room=st.integers(1, 200),
)
def test_every_edit_of_every_prompt_runs_once_within_what_there_is(jobs, edits, length, room):
    batch = tuple(job(f"u{n}", length, edits) for n in range(jobs))
    memory, done, tried = Memory(), [], []

    def work(part):
        tokens = sum(j.tokens for j in part)
        tried.append(tokens)
        if tokens > room:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
        return pairs(part)

    if 2 * length > room:  # the untouched row and one edit
        with pytest.raises(ModelError, match="one prompt with one edit"):
            list(memory.run(work, batch))
        return
    for part in memory.run(work, batch):
        done += part
    assert sorted(done) == sorted(pairs(batch))
    failures = [tokens for tokens in tried if tokens > room]
    assert len(failures) <= np.ceil(np.log2(max(1, jobs * edits))) + 1  # it does not try again


def test_a_part_keeps_the_untouched_row_of_its_prompt():
    one = job("a", 5, 4)
    first, second = halves((one,))
    assert [t.arm for t in first[0].treatments] == ["arm0", "arm1"]
    assert first[0].rows == second[0].rows == 3
    assert halves((replace(one, treatments=one.treatments[:1]),)) == (
        (replace(one, treatments=one.treatments[:1]),),
    )


@pytest.mark.parametrize(
    ("error", "memory"),
    [
        (torch.OutOfMemoryError("CUDA out of memory"), True),
        (RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory"),
         True),
        (RuntimeError("MPS backend out of memory (MPS allocated: 9 GB)"), True),
        (MemoryError(), True),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
        (ValueError("out of memory"), False),
    ],
)  # fmt: skip
def test_which_errors_are_about_memory(error, memory):
    assert ran_out(error) is memory


def test_other_errors_are_not_swallowed():
    def work(_batch):
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="shapes"):
        list(Memory().run(work, (job("a", 4, 2),)))


def test_a_budget_bounds_tokens_and_distributions(tiny_model, tiny_sae, declare, tmp_path):
    model, sae = tiny_model("llama"), tiny_sae("blocks.1.hook_resid_post")
    budget = 10_000_000
    limit = limit_of(model, sae, budget)
    assert limit.tokens * token_bytes(model, sae) <= budget / 2
    assert limit.scores * score_bytes(model) <= budget / 2
    double = limit_of(model, sae, 2 * budget)
    assert double.tokens == pytest.approx(2 * limit.tokens, rel=0.01)
    lab = assemble(declare(), tmp_path, model, sae, budget / GIBIBYTE)
    assert lab.limit.scores == limit.scores
    with pytest.raises(ModelError, match=r"must leave room for a token of tiny-llama: at least"):
        limit_of(model, sae, 100)


def test_a_run_that_runs_out_of_memory_ends_with_the_same_effects(
    trial_folder, tmp_path, monkeypatch, no_page
):
    generate = {"max_new_tokens": 3}
    outcomes = [
        {"name": "gap", "role": "primary", "metric": "logit_diff",
         "target": {"column": "target"}, "foil": {"column": "foil"}},
        {"name": "words", "metric": "keyword_rate", "keywords": ["sea"], "generate": generate},
    ]  # fmt: skip
    path = trial_folder(assignment={"method": "crossover"}, outcomes=outcomes)
    whole = cs.run_trial(path, out=tmp_path / "whole")
    names = {part.name for part in (tmp_path / "whole/observations").glob("*.parquet")}
    resume, prefill, refused = Host.resume, Host.prefill, []

    def small(method):
        def run(self, at, *rest, **more):
            if len(at.ids) > 9:
                refused.append(len(at.ids))
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
            return method(self, at, *rest, **more)

        return run

    monkeypatch.setattr(Host, "resume", small(resume))
    monkeypatch.setattr(Host, "prefill", small(prefill))
    halved = cs.run_trial(path, out=tmp_path / "halved")
    assert refused
    assert {p.name for p in (tmp_path / "halved/observations").glob("*.parquet")} == names
    keys = ["unit_id", "arm", "outcome"]
    pd.testing.assert_frame_equal(
        whole.observations.sort_values(keys),
        halved.observations.sort_values(keys),
        rtol=1e-4,
        atol=1e-6,
    )
    pd.testing.assert_frame_equal(whole.effects, halved.effects, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("kind", [torch.OutOfMemoryError, MemoryError])
def test_memory_that_ends_inside_a_traced_pass_is_seen_and_the_model_goes_on(laboratory, kind):
    lab = laboratory()
    ids = torch.tensor([[0, 43, 44, 45, 46]])
    at = lab.host.read(ids)
    norm = lab.model.network.model.norm

    def ends(*_given):
        raise kind("out of memory")

    handle = norm.register_forward_pre_hook(ends)
    with pytest.raises(kind) as caught:
        lab.host.resume(at, at.activation, 1)
    handle.remove()
    assert ran_out(caught.value)
    assert torch.equal(lab.host.resume(at, at.activation, 1).logits, lab.host.plain(ids, 1))
