"""A real local Ray cluster of two workers, one of which is killed in the middle."""

from __future__ import annotations

import os
import signal
from importlib.util import find_spec
from types import SimpleNamespace

import pandas as pd
import pytest

from causal_sae.errors import ModelError, SpecError
from causal_sae.execution.backends import Resources, open_backend
from causal_sae.execution.backends.ray import _answers, _anywhere, _take
from causal_sae.execution.execute import texts_of
from causal_sae.randomization import assign
from causal_sae.spec.declared import trial_file
from causal_sae.spec.prompts import read_prompts
from causal_sae.unit_columns import unit_columns

OUTCOMES = [
    {"name": "drift", "role": "primary", "metric": "kl"},
    {"name": "own", "metric": "feature_activation", "feature": 3},
    {
        "name": "words",
        "metric": "keyword_rate",
        "keywords": ["sea"],
        "generate": {"max_new_tokens": 3, "temperature": 0.8},
    },
]


@pytest.fixture
def opened(trial_folder, monkeypatch):
    """``opened(backend, **resources)``: a backend and the plan of one trial."""
    monkeypatch.setattr("causal_sae.execution.plan.SHARD_ROWS", 8)
    declared = trial_file(trial_folder(outcomes=OUTCOMES))
    prompts = read_prompts(declared.trial, declared.folder)
    assignment = assign(declared.trial, prompts)

    def make(backend, **resources):
        given = Resources(memory=0.0005, **resources)
        engine = open_backend(backend, declared.trial, declared.folder, prompts, None, given)
        units = unit_columns(declared.trial, prompts, assignment)
        return engine, engine.plan(assignment, units)

    return make


@pytest.mark.skipif(find_spec("ray") is None, reason="the extra is not installed")
@pytest.mark.filterwarnings("ignore::Warning:ray.*")
def test_a_killed_workers_shards_run_again_and_nothing_changes(opened, tmp_path):
    local, plan = opened("local")
    assert len(plan.every_shard) >= 8
    expected = local.execute(plan, tmp_path / "local/observations", lambda _tokens: None)
    engine, same = opened("ray", workers=2)
    seen, killed = [], []

    def advance(tokens):
        seen.append(tokens)
        if tokens and not killed:
            killed.append(engine.processes[1])
            os.kill(killed[0], signal.SIGKILL)

    found = engine.execute(same, tmp_path / "ray/observations", advance)
    pd.testing.assert_frame_equal(found, expected, check_exact=True)
    assert killed
    assert killed[0] not in engine.processes  # another process took its place
    assert sum(seen) == same.tokens
    for folder in ("observations", "texts"):
        ours, theirs = (tmp_path / side / folder for side in ("local", "ray"))
        assert {p.name for p in ours.iterdir()} == {p.name for p in theirs.iterdir()}
    texts = [pd.read_parquet(p) for p in sorted(texts_of(tmp_path / "ray/observations").iterdir())]
    assert sum(map(len, texts)) > 0
    assert engine.describe()["execution"]["backend"] == "ray"
    # Nothing is missing: no worker is started.
    engine.processes = []
    engine.execute(same, tmp_path / "ray/observations", lambda _tokens: None)
    assert engine.processes == []


class Error(Exception):
    """As Ray's, without Ray."""


class Stub:
    """Enough of Ray: every call is done at once, the last first."""

    exceptions = SimpleNamespace(
        RayTaskError=type("RayTaskError", (Error,), {}),
        RayActorError=type("RayActorError", (Error,), {}),
    )

    def wait(self, references, num_returns):
        return references[-num_returns:], references[:-num_returns]

    def get(self, references):
        for reference in references:
            if isinstance(reference[1], Exception):
                raise reference[1]
        return [reference[1] for reference in references]


def worker(name, answer=lambda number: number * 10):
    call = SimpleNamespace(remote=lambda number: ((name, number), answer(number)))
    return SimpleNamespace(measure=call)


def test_every_shard_is_taken_once():
    done = dict(_take(Stub(), [worker("a"), worker("b"), worker("c")], range(11)))
    assert done == {number: number * 10 for number in range(11)}


def test_what_went_wrong_in_a_worker_is_said_as_it_was_there():
    wrong = Stub.exceptions.RayTaskError("in a worker")
    wrong.cause = ModelError("arm 'steer' makes the model give logits that are not finite")
    with pytest.raises(ModelError, match="arm 'steer'"):
        list(_take(Stub(), [worker("a", lambda _n: wrong)], [0]))
    dead = Stub.exceptions.RayActorError("the actor died")
    with pytest.raises(ModelError, match=r"a worker died 4 times.*--resume"):
        _answers(Stub(), [("a", dead)])


def test_without_the_extra_a_sentence_says_how_to_get_it(opened, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    with pytest.raises(SpecError, match=r"--backend: ray needs its extra: run `pip install"):
        opened("ray")


def test_options_of_ray_are_refused_elsewhere(opened):
    with pytest.raises(SpecError, match="--workers: is for `--backend ray`"):
        opened("local", workers=2)
    with pytest.raises(SpecError, match="--address: is for `--backend ray`"):
        opened("local", address="auto")


def test_a_workers_gpu_is_its_first(trial_folder):
    trial = trial_file(trial_folder(model={"source": {"path": "m"}, "device": "cuda:3"})).trial
    assert _anywhere(trial).model.device == "cuda"
    plain = trial_file(trial_folder()).trial
    assert _anywhere(plain) is plain
