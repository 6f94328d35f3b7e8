"""The remote path, run by nnsight's own simulation: serialised, with this package hidden."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
import pytest
import torch

from causal_sae.errors import ModelError, SAEError, SpecError
from causal_sae.execution import remote_host
from causal_sae.execution.backends import Resources, open_backend
from causal_sae.randomization import assign
from causal_sae.spec.declared import trial_file
from causal_sae.spec.prompts import read_prompts
from causal_sae.unit_columns import unit_columns

GAP = {
    "name": "gap",
    "metric": "logit_diff",
    "target": {"column": "target"},
    "foil": {"column": "foil"},
}
DRIFT = {"name": "drift", "role": "primary", "metric": "kl"}
TAIL = {"name": "tail", "metric": "nll", "continuation": {"column": "tail"}}
OWN = {"name": "own", "metric": "feature_activation", "feature": 3}


@pytest.fixture
def opened(trial_folder):
    """``opened(backend, outcomes, **resources)``: a backend and the plan of one trial."""

    def make(backend, outcomes=(DRIFT,), changes=None, **resources):
        declared = trial_file(trial_folder(outcomes=list(outcomes), **(changes or {})))
        prompts = read_prompts(declared.trial, declared.folder).head(12)
        assignment = assign(declared.trial, prompts)
        given = Resources(**resources)
        engine = open_backend(backend, declared.trial, declared.folder, prompts, None, given)
        units = unit_columns(declared.trial, prompts, assignment)
        return engine, engine.plan(assignment, units)

    return make


@pytest.mark.parametrize(
    "outcomes", [[DRIFT, TAIL, OWN], [GAP | {"role": "primary"}]], ids=["all", "few"]
)
def test_observations_are_those_of_the_local_backend(opened, tmp_path, outcomes):
    local, plan = opened("local", outcomes)
    engine, same = opened("ndif", outcomes, address="local")
    assert next(engine.laboratory.host._tree._module.parameters()).numel() > 0
    gates = engine.check(same)
    assert {gate.status for gate in gates} <= {"pass", "warn"}
    assert "null edit" in [gate.check for gate in gates]
    expected = local.execute(plan, tmp_path / "local/observations", lambda _tokens: None)
    found = engine.execute(same, tmp_path / "ndif/observations", lambda _tokens: None)
    pd.testing.assert_frame_equal(found, expected, atol=1e-5, rtol=1e-4)
    assert engine.describe()["execution"]["backend"] == "ndif"


def test_no_weight_is_read_here(opened, monkeypatch):
    """Against the service, nothing is loaded; its answers stand in here for the real ones."""
    seen = []

    def asked(trace, tree, *given):
        seen.append((trace.__name__, next(tree._module.parameters()).device.type))
        raise ModelError("enough")

    monkeypatch.setattr(remote_host, "_answer", asked)
    with pytest.raises(ModelError, match="enough"):
        opened("ndif", address="local")
    assert seen == [("_read", "meta")]


def test_what_is_shipped_holds_nothing_of_this_package():
    for trace in (remote_host._plain, remote_host._read, remote_host._resume):
        used = set(trace.__code__.co_names)
        assert used & set(vars(remote_host)) <= {"torch"}


def test_what_is_not_run_remotely_is_refused(opened):
    words = {
        "name": "words",
        "metric": "keyword_rate",
        "keywords": ["sea"],
        "generate": {"max_new_tokens": 3},
    }
    with pytest.raises(SpecError, match=r"outcomes\[1\]\.generate: is not run by `--backend ndif`"):
        opened("ndif", [DRIFT, words], address="local")
    with pytest.raises(SpecError, match=r"model\.source: must be a hub name for `--backend ndif`"):
        opened("ndif")
    with pytest.raises(SpecError, match="--workers: is for `--backend ray`"):
        opened("ndif", address="local", workers=2)
    mlp = {"sae": {"source": {"path": "sae"}, "hook": "blocks.1.hook_mlp_out"}}
    with pytest.raises(SAEError, match=r"sae\.hook: must read the residual stream"):
        opened("ndif", changes=mlp, address="local")


def test_a_service_that_does_not_answer_is_told_in_a_sentence(opened):
    from nnsight.intervention.backends.remote import RemoteError

    def fails(*_given):
        raise RemoteError("401: no key")

    with pytest.raises(ModelError, match=r"did not do it: 401: no key - check the network"):
        remote_host._answer(fails)


@pytest.mark.parametrize("side", ["hook_resid_pre", "hook_resid_post"])
def test_both_sides_of_a_block(opened, side):
    engine, _ = opened(
        "ndif",
        changes={"sae": {"source": {"path": "sae"}, "hook": f"blocks.2.{side}"}},
        address="local",
    )
    host = engine.laboratory.host
    ids = torch.tensor([[5, 6, 7, 8], [9, 6, 7, 8]])
    at = host.read(ids)
    torch.testing.assert_close(host.resume(at, at.written, 1).logits, host.plain(ids, 1))
    moved = host.resume(at, at.written * 1.5, 1).logits
    assert float((moved - host.plain(ids, 1)).abs().max()) > 1e-3
    with pytest.raises(ModelError, match="no keys and values"):
        host.read(ids, object())
    assert replace(at).activation.shape == (2, 4, 32)
