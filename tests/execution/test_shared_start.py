"""Arms share what stands before the first edited token, and no outcome is another."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from causal_sae.execution.batches import Job
from causal_sae.execution.forward import first_edited, run_batch, shares
from causal_sae.execution.gates import check_late
from causal_sae.execution.host import Finish, Host
from causal_sae.execution.sequences import Prompt, TokenSequence
from causal_sae.execution.treatments import treatments

FAMILIES = ["llama", "gpt2", "gpt_neox", "bloom", "opt", "falcon", "gptj", "phi3", "olmo2"]
TEXTS = ["whale sea ship boat king queen", "storm sea ship boat king queen"]


def jobs_of(lab, tail=()):
    table = pd.DataFrame({"unit_id": ["a", "b"], "text": TEXTS})
    made = treatments(lab.trial, lab.sae, pd.DataFrame())
    chosen = tuple(t for choices in made.values() for t in choices)
    prompts = lab.tokenizer.prompts(table)
    edit = lab.trial.positions in ("all", "generated")
    return tuple(Job(TokenSequence(prompt, tail, edit), chosen) for prompt in prompts)


def both(lab, batch, monkeypatch):
    """The same batch by whole sequences, and with what is before the edit shared."""
    bench = lab.bench({})
    whole = run_batch(bench, batch)
    taken, late = [], Host.resume_late

    def watched(self, *given, **named):
        taken.append(given[-1])
        return late(self, *given, **named)

    monkeypatch.setattr(Host, "resume_late", watched)
    return whole, run_batch(replace(bench, late=True), batch), taken


@pytest.mark.parametrize("family", FAMILIES)
def test_every_edit_of_the_last_token_is_the_same(laboratory, family, monkeypatch):
    lab = laboratory(family, positions="last")
    batch = jobs_of(lab)
    whole, shared, taken = both(lab, batch, monkeypatch)
    assert taken == [len(batch[0].sequence.tokens) - 1]
    torch.testing.assert_close(
        shared.reading.logprobs, whole.reading.logprobs, atol=2e-5, rtol=1e-5
    )
    moved = (whole.reading.logprobs - whole.reading.logprobs[whole.untouched]).abs().amax((1, 2))
    arms = [t.arm if t else "" for t in whole.treatments]
    assert all(bool(m > 1e-3) for m, arm in zip(moved, arms, strict=True) if arm == "clamp")
    for name in vars(whole.delivery):
        one, other = getattr(whole.delivery, name), getattr(shared.delivery, name)
        torch.testing.assert_close(one, other, equal_nan=True)


@pytest.mark.parametrize(
    "hook", ["hook_resid_pre", "hook_resid_mid", "hook_mlp_out", "attn.hook_z"]
)
@pytest.mark.parametrize("family", ["llama", "falcon_sequential"])
def test_at_every_site_and_before_a_continuation(laboratory, family, hook, monkeypatch):
    lab = laboratory(family, f"blocks.2.{hook}", positions="last")
    whole, shared, taken = both(lab, jobs_of(lab, (43, 50)), monkeypatch)
    assert len(taken) == 1
    assert shared.reading.logprobs.shape[1] == 3
    torch.testing.assert_close(
        shared.reading.logprobs, whole.reading.logprobs, atol=2e-5, rtol=1e-5
    )


def test_where_only_the_continuation_is_edited(laboratory, monkeypatch):
    lab = laboratory("llama", positions="generated")
    batch = jobs_of(lab, (43, 50, 44))
    whole, shared, taken = both(lab, batch, monkeypatch)
    assert taken == [len(batch[0].sequence.prompt.tokens) - 1]
    torch.testing.assert_close(
        shared.reading.logprobs, whole.reading.logprobs, atol=2e-5, rtol=1e-5
    )


@pytest.mark.parametrize("layer", [0, 2])
def test_a_sliding_window_that_forgot_the_start_is_not_shared(laboratory, monkeypatch, layer):
    # Its window is 8 tokens.
    lab = laboratory("gemma2", f"blocks.{layer}.hook_resid_pre", positions="last")
    long = tuple(int(n) for n in np.arange(43, 57))
    batch = tuple(
        replace(j, sequence=replace(j.sequence, prompt=Prompt("a", long, np.arange(14) == 13)))
        for j in jobs_of(lab)
    )
    whole, shared, taken = both(lab, batch, monkeypatch)
    assert not taken
    torch.testing.assert_close(shared.reading.logprobs, whole.reading.logprobs)


def test_the_start_is_the_first_position_that_any_row_may_edit():
    def job(*edited, tail=()):
        mask = np.array([i in edited for i in range(6)])
        return Job(TokenSequence(Prompt("u", tuple(range(6)), mask), tail), ())

    assert first_edited((job(4), job(2, 5))) == 2
    assert first_edited((job(),)) == 5  # where outcomes are read
    tail = TokenSequence(Prompt("u", tuple(range(6)), np.zeros(6, dtype=bool)), (1, 2), True)
    assert first_edited((Job(tail, ()),)) == 5


def test_nothing_is_shared_where_it_saves_nothing(laboratory):
    lab = laboratory("llama", positions="last")
    below = lab.host.memory()
    lab.host.read(torch.tensor([[0, 43, 44, 45]]), below)
    shape = torch.Size([1, 4])
    assert shares(below, shape, 9, 3)
    assert not shares(below, shape, 1, 3)  # one arm: the prompt alone is as long
    assert not shares(below, shape, 9, 1)


def test_the_gate_finds_models_that_cannot_share(laboratory, monkeypatch):
    lab = laboratory("llama", positions="last")
    prompts = [job.sequence.prompt for job in jobs_of(lab)]
    ready, (gate,) = lab.choose_start(prompts)
    assert (ready.late, gate.status) == (True, "pass")
    assert ready.bench({}).late
    assert laboratory("llama").choose_start(prompts)[1] == []
    late = Host.resume_late

    def drifting(self, *given):
        return Finish(late(self, *given).logits + 0.01)

    monkeypatch.setattr(Host, "resume_late", drifting)
    ready, (gate,) = lab.choose_start(prompts)
    assert (ready.late, gate.status) == (False, "warn")

    def broken(self, *given):
        raise RuntimeError("no memory of this kind")

    monkeypatch.setattr(Host, "resume_late", broken)
    assert check_late(lab.host, torch.tensor([[0, 43, 44]])).status == "warn"
