"""Exposure counts and pools against counting one prompt at a time."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from causal_sae.errors import ModelError
from causal_sae.execution.batches import Limit
from causal_sae.execution.edits import attention_sinks
from causal_sae.execution.host import Halfway, Host
from causal_sae.execution.laboratory import exclusions
from causal_sae.execution.scan import scan
from causal_sae.spec.design import Active, Eligibility

TEXTS = ["whale sea ship", "old man said to the king", "storm night day", "the sea of stone bird"]
FEATURES = (3, 7, 11)


@pytest.fixture
def prompts(laboratory):
    table = pd.DataFrame({"unit_id": ["d", "a", "c", "b"], "text": TEXTS})
    return laboratory().tokenizer.prompts(table)


def counted(lab, prompt):
    """Activations ``[positions, d_sae]`` of one prompt, first position and sinks left out."""
    with torch.no_grad():
        out = lab.model.network(input_ids=torch.tensor([prompt.tokens]), output_hidden_states=True)
    x = out.hidden_states[2]
    keep = ~attention_sinks(x)[0]
    keep[0] = False
    return lab.sae.encode(x[0])[keep]


@pytest.mark.parametrize("tokens", [8, 1000])
def test_counts_and_pools_equal_counting_one_by_one(laboratory, prompts, tokens):
    lab = laboratory()
    found = scan(lab.host, lab.sae, prompts, FEATURES, Limit(tokens))
    each = {p.unit_id: counted(lab, p) for p in prompts}
    assert found.active.index.tolist() == ["a", "b", "c", "d"]
    for unit, f in each.items():
        for j in FEATURES:
            assert found.active.at[unit, j] == int((f[:, j] > 0).sum())
    together = torch.cat([each[u] for u in "abcd"])
    for j in FEATURES:
        np.testing.assert_allclose(found.pool[j], together[:, j].numpy(), atol=1e-5)
    density = (together > 0).double().mean(dim=0).numpy()
    np.testing.assert_allclose(found.statistics["density"], density, atol=1e-12)
    largest = together.amax(dim=0).numpy()
    alive = density > 0
    np.testing.assert_allclose(
        found.statistics["max_activation"].to_numpy()[alive], largest[alive], rtol=1e-5
    )


def test_no_features_are_wanted_but_all_are_counted(laboratory, prompts):
    lab = laboratory()
    found = scan(lab.host, lab.sae, prompts, (), Limit(1000))
    assert found.active.shape == (4, 0)
    assert len(found.statistics) == 24


def test_eligibility_by_activity_and_length(laboratory, prompts):
    lab = laboratory()
    active = scan(lab.host, lab.sae, prompts, (3,), Limit(1000)).active
    rules = Eligibility(min_tokens=5, active=Active(feature=3, min_tokens=2))
    why = exclusions(prompts, rules, active)
    for prompt in prompts:
        count = int((counted(lab, prompt)[:, 3] > 0).sum())
        if len(prompt.tokens) < 5:
            assert why[prompt.unit_id] == "fewer than 5 tokens"
        elif count < 2:
            assert why[prompt.unit_id] == "feature 3 not active"
        else:
            assert prompt.unit_id not in why


def test_an_activation_that_is_not_finite_names_its_unit(laboratory, prompts, monkeypatch):
    lab = laboratory()
    read = Host.read

    def broken(self, ids):
        at = read(self, ids)
        activation = at.activation.clone()
        activation[0, 1, 0] = torch.inf
        return Halfway(ids, activation, at.stream)

    monkeypatch.setattr(Host, "read", broken)
    with pytest.raises(ModelError, match=r"not finite on unit '[a-d]'"):
        scan(lab.host, lab.sae, prompts, FEATURES, Limit(1))
