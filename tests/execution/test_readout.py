"""Logits of the outcomes' own tokens alone give the outcomes of the whole vocabulary."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
import pytest
import torch

from causal_sae.execution.batches import Job
from causal_sae.execution.forward import run_batch
from causal_sae.execution.gates import check_readout
from causal_sae.execution.host import Finish, Host
from causal_sae.execution.metrics.base import tokens_read
from causal_sae.execution.treatments import treatments

TABLE = pd.DataFrame(
    {
        "unit_id": ["a", "b"],
        "text": ["whale sea ship boat", "storm sea ship boat"],
        "target": [" king", " sea"],
        "foil": [" city", " road"],
        "tail": [" the king", " a river"],
    }
)
GAP = {
    "name": "gap",
    "metric": "logit_diff",
    "target": {"column": "target"},
    "foil": {"column": "foil"},
}
OWN = {"name": "own", "metric": "feature_activation", "feature": 5}
DRIFT = {"name": "drift", "metric": "kl"}
TAIL = {"name": "tail", "metric": "nll", "continuation": {"column": "tail"}}
# Gemma 2 caps its logits, Cohere scales them, Phi's and GPT-J's heads have a bias.
FAMILIES = ["llama", "gpt2", "gemma2", "cohere", "phi", "gptj", "bloom", "opt"]


def ready(lab):
    """Its outcomes, and a batch of two prompts under all arms."""
    metrics = lab.metrics(TABLE)
    chosen = tuple(t for e in treatments(lab.trial, lab.sae, pd.DataFrame()).values() for t in e)
    sequences = lab.sequences(lab.tokenizer.prompts(TABLE), metrics)
    return metrics, tuple(Job(sequence, chosen) for sequence in sequences.values())


@pytest.mark.parametrize("positions", ["all", "last"])
@pytest.mark.parametrize("family", FAMILIES)
def test_outcomes_are_those_of_the_whole_vocabulary(laboratory, family, positions):
    lab = laboratory(family, outcomes=[GAP, OWN], positions=positions)
    metrics, batch = ready(lab)
    lab, gates = lab.choose_readout(lab.tokenizer.prompts(TABLE), metrics)
    assert [gate.status for gate in gates] == ["pass"]
    bench = replace(lab.bench(metrics), late=positions == "last")
    few, whole = run_batch(bench, batch), run_batch(replace(bench, readers=None), batch)
    assert few.reading.logprobs.shape[-1] == 4
    assert whole.reading.logprobs.shape[-1] == lab.model.text_config.vocab_size
    for metric in metrics.values():
        torch.testing.assert_close(
            metric.measure(few.reading), metric.measure(whole.reading), atol=2e-5, rtol=1e-5
        )
    values = metrics["gap"].measure(few.reading)
    assert float((values - values[few.untouched]).abs().max()) > 1e-3


@pytest.mark.parametrize("other", [DRIFT, TAIL])
def test_probabilities_need_every_token(laboratory, other):
    lab = laboratory(outcomes=[GAP, other])
    metrics, _ = ready(lab)
    assert tokens_read(metrics.values(), ["a", "b"]) is None
    chosen, gates = lab.choose_readout(lab.tokenizer.prompts(TABLE), metrics)
    assert (chosen.narrow, gates) == (False, [])


def test_a_column_is_found_by_its_token(laboratory):
    """The tokens of other units of the batch stand between a unit's own."""
    lab = laboratory(outcomes=[GAP])
    metrics, _ = ready(lab)
    tokens = tokens_read(metrics.values(), ["a", "b"])
    own = {token for of in (metrics["gap"].targets, metrics["gap"].foils) for token in of.values()}
    assert tokens == tuple(sorted(own))
    assert set(tokens_read(metrics.values(), ["a"])) < own


def test_a_model_that_mixes_its_logits_falls_back_and_says_so(laboratory):
    class Mixing(Host):
        def resume(self, at, activation, keep, watch=(), tokens=None):
            logits = super().resume(at, activation, keep, watch, tokens).logits
            return Finish(logits.softmax(dim=-1))

    lab = laboratory(outcomes=[GAP])
    ids = torch.tensor([[5, 6, 7, 8], [9, 6, 7, 8]])
    host = Mixing(lab.model, lab.hook)
    gate = check_readout(host, ids, torch.tensor([3, 9]))
    assert gate.status == "warn"
    assert "does not let logits of a few tokens be computed alone" in gate.sentence
