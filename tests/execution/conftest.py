"""A trial on a small model, ready to run."""

from __future__ import annotations

import pytest

from causal_sae.execution.laboratory import assemble
from causal_sae.spec import Trial

ARMS = [
    {"name": "control", "intervention": {"kind": "none"}},
    {"name": "sham", "intervention": {"kind": "splice"}},
    {"name": "ablate", "intervention": {"kind": "ablate", "features": [3]}},
    {"name": "halve", "intervention": {"kind": "scale", "features": [3, 7], "factor": 0.5}},
    {"name": "clamp", "intervention": {"kind": "clamp", "features": [5], "dose": 4.0}},
    {"name": "steer", "intervention": {"kind": "add", "features": [5, 3, 9], "dose": 1.5}},
    {
        "name": "random",
        "intervention": {"kind": "random_direction", "norm_of": "clamp", "draws": 2},
    },
]
OUTCOMES = [
    {
        "name": "target_logprob",
        "role": "primary",
        "metric": "token_logprob",
        "target": {"column": "target"},
    },
    {
        "name": "gap",
        "metric": "logit_diff",
        "target": {"column": "target"},
        "foil": {"column": "foil"},
    },
    {"name": "drift", "metric": "kl"},
    {"name": "tail", "metric": "nll", "continuation": {"column": "tail"}},
]


def declare(**changes: object) -> Trial:
    """A crossover of every kind of edit, changed as asked."""
    whole = {
        "schema": 1,
        "name": "tiny",
        "question": "Does anything happen?",
        "seed": 11,
        "model": {"source": {"path": "model"}},
        "sae": {"source": {"path": "sae"}},
        "population": {"prompts": "prompts.csv", "unit": "id"},
        "assignment": {"method": "crossover"},
        "arms": ARMS,
        "outcomes": OUTCOMES,
    }
    return Trial.model_validate(whole | changes)


@pytest.fixture(name="declare", scope="session")
def declare_fixture():
    """:func:`declare`, for test modules: a conftest cannot be imported."""
    return declare


@pytest.fixture
def laboratory(tiny_model, tiny_sae, tmp_path):
    """``laboratory("llama", "blocks.1.hook_resid_post", **changes)``."""

    def make(family="llama", hook="blocks.1.hook_resid_post", architecture="jumprelu", **changes):
        trial = declare(**changes)
        return assemble(trial, tmp_path, tiny_model(family), tiny_sae(hook, architecture))

    return make
