"""A registration survives layout, notices every change of meaning, and cannot be edited quietly."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

import causal_sae as cs
from causal_sae.errors import SpecError
from causal_sae.estimation import estimate
from causal_sae.flags import split
from causal_sae.pipeline import register_trial
from causal_sae.registration import Lock, deviations, plan_of, read_lock, write_lock
from causal_sae.reporting.protocol import protocol
from causal_sae.spec import Trial
from causal_sae.spec.loading import fingerprint, load_trial, parse_trial

HASHES = {"trial": "a" * 64, "prompts": "b" * 64, "model": "c" * 64}
DECLARED = {
    "schema": 1,
    "name": "test",
    "question": "Does it?",
    "arms": [
        {"name": "control", "intervention": {"kind": "none"}},
        {"name": "ablate", "intervention": {"kind": "ablate", "features": [3]}},
    ],
    "outcomes": [{"name": "gap", "role": "primary", "metric": "entropy"}],
}


def _lock(**changes):
    trial = Trial.model_validate({**DECLARED, **changes})
    return Lock("2026-01-02T03:04:05+00:00", plan_of(trial), HASHES, {"torch": "2.13.0"})


def _differences(**changes):
    trial = Trial.model_validate({**DECLARED, **changes})
    return deviations(_lock(), trial, HASHES, {"torch": "2.13.0"})


def test_the_same_trial_has_no_deviations():
    assert _differences() == []


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"analysis": {"alpha": 0.1}},
            "analysis.alpha: registered 0.05, run with 0.1",
        ),
        ({"seed": 8}, "seed: registered 0, run with 8"),
        (
            {
                "arms": [
                    DECLARED["arms"][0],
                    {"name": "ablate", "intervention": {"kind": "ablate", "features": [4]}},
                ]
            },
            "arms[ablate].intervention.features: registered [3], run with [4]",
        ),
        (
            {
                "arms": [
                    DECLARED["arms"][0],
                    {"name": "more", "intervention": {"kind": "scale", "features": [3]}},
                    DECLARED["arms"][1],
                ]
            },
            "arms[more]: registered nothing, run with 'more'",
        ),
        (
            # The arms are dealt in their order, so another order is another assignment.
            {"arms": DECLARED["arms"][::-1]},
            "arms (order): registered ['control', 'ablate'], run with ['ablate', 'control']",
        ),
        (
            {"analysis": {"looks": {"at": [0.5, 1]}}},
            "analysis.looks: registered nothing, run with {'at': [0.5, 1.0], 'every': None, "
            "'futility': None, 'spending': 'obrien_fleming'}",
        ),
        (
            {"assignment": {"method": "complete", "rerandomize": {"on": ["length"]}}},
            "assignment.rerandomize: registered nothing, run with {'on': ['length'], 'until': "
            "{'distance': None, 'probability': 0.01}}",
        ),
        (
            {"outcomes": [{**DECLARED["outcomes"][0], "role": "secondary"}]},
            "outcomes[gap].role: registered 'primary', run with 'secondary'",
        ),
    ],
)
def test_each_change_of_meaning_is_one_sentence(changes, sentence):
    if "arms" in changes and len(changes["arms"]) == 3:
        changes["arms"][1]["intervention"]["factor"] = 2.0
    assert _differences(**changes) == [sentence]


def test_files_and_software_that_changed_are_named():
    trial = Trial.model_validate(DECLARED)
    found = deviations(_lock(), trial, {**HASHES, "model": "d" * 64}, {"torch": "2.14.0"})
    assert found == [
        "the model's weights: registered with SHA-256 cccccccccccc, run with dddddddddddd",
        "software torch: registered with 2.13.0, run with 2.14.0",
    ]


def test_a_lock_reads_back_as_it_was_written(tmp_path):
    path = tmp_path / "trial.lock"
    write_lock(_lock(), path)
    assert read_lock(path) == _lock()
    assert read_lock(tmp_path / "none.lock") is None


def _leaves(value, path=()):
    if isinstance(value, dict):
        for key, below in value.items():
            yield from _leaves(below, (*path, key))
    elif isinstance(value, list) and value:
        for i, below in enumerate(value):
            yield from _leaves(below, (*path, i))
    else:
        yield path


@given(st.data())
def test_an_edit_by_hand_is_detected_wherever_it_is_made(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("lock") / "trial.lock"
    write_lock(_lock(), path)
    content = json.loads(path.read_text())
    leaf = data.draw(st.sampled_from([p for p in _leaves(content) if p != ("lock",)]))
    place = content
    for key in leaf[:-1]:
        place = place[key]
    place[leaf[-1]] = data.draw(
        st.sampled_from(["edited", 17, None]).filter(lambda value: value != place[leaf[-1]])
    )
    path.write_text(json.dumps(content))
    with pytest.raises(SpecError, match=r"seal|must be a lock"):
        read_lock(path)


def test_what_is_no_lock_is_refused_with_the_remedy(tmp_path):
    (tmp_path / "trial.lock").write_text("registered: yes")
    with pytest.raises(SpecError, match=r"trial\.lock.*--amend"):
        read_lock(tmp_path / "trial.lock")


@pytest.fixture
def registered(trial_folder):
    """A registered trial of a small model."""
    path = trial_folder()
    lock, protocol = register_trial(path)
    return path, lock, protocol


def test_the_protocol_names_what_a_reader_must_know(registered):
    path, _, protocol = registered
    text = protocol.read_text()
    trial = load_trial(path)
    for title in ("Hypotheses", "Statistical analysis", "Inference criteria", "SHA-256"):
        assert f"{title}\n{'-' * len(title)}\n" in text
    for name in [arm.name for arm in trial.arms] + list(trial.roles()):
        assert name in text
    assert max(len(line) for line in text.splitlines()) <= 100


@pytest.mark.usefixtures("no_page")
def test_a_run_as_registered_says_so_and_comments_do_not_matter(registered, tmp_path):
    path, lock, _ = registered
    path.write_text("# a comment\n" + path.read_text().replace("\n", "\n\n"))
    run = cs.run_trial(path, out=tmp_path / "run")
    manifest = run.folder.manifest
    assert manifest["registered"] == read_lock(lock).registered
    assert manifest["deviations"] == []
    assert read_lock(run.folder.lock) == read_lock(lock)
    assert not any("post_hoc" in split(flags) for flags in run.effects["flags"])


@pytest.mark.usefixtures("no_page")
def test_a_run_that_deviates_lists_it_and_marks_the_effects(registered, tmp_path):
    path, _, _ = registered
    declared = yaml.safe_load(path.read_text())
    declared.setdefault("analysis", {})["alpha"] = 0.01
    path.write_text(yaml.safe_dump(declared))
    run = cs.run_trial(path, out=tmp_path / "run")
    deviation = "analysis.alpha: registered 0.05, run with 0.01"
    assert run.folder.manifest["deviations"] == [deviation]
    assert all("post_hoc" in split(flags) for flags in run.effects["flags"])


def _shuffled(value, rng):
    """The same declaration with the keys of every mapping in another order."""
    if isinstance(value, dict):
        keys = rng.permutation(list(value))
        return {str(key): _shuffled(value[str(key)], rng) for key in keys}
    return [_shuffled(item, rng) for item in value] if isinstance(value, list) else value


@given(st.integers(0, 2**32 - 1))
def test_neither_the_order_of_keys_nor_the_layout_matters(seed):
    declared = {**DECLARED, "analysis": {"alpha": 0.01, "looks": {"at": [0.5, 1], "futility": 0.1}}}
    trial, other = (
        parse_trial(text, Path("trial.yaml")).trial
        for text in (
            yaml.safe_dump(declared, sort_keys=False),
            "# another layout\n"
            + yaml.safe_dump(
                _shuffled(declared, np.random.default_rng(seed)),
                sort_keys=False,
                default_flow_style=seed % 2 == 0,
                indent=4,
            ),
        )
    )
    assert plan_of(trial) == plan_of(other)
    assert fingerprint(trial) == fingerprint(other)


def test_the_protocol_tells_looks_and_assignments_drawn_again():
    looks = {"at": [0.5, 1], "spending": "pocock", "futility": 0.1}
    trial = Trial.model_validate({**DECLARED, "analysis": {"looks": looks}})
    text = " ".join(protocol(trial, "today", HASHES, {}).split())
    assert "Looks at the primary contrasts at 50% and 100% of the prompts" in text
    assert "Pocock" in text
    assert "below 0.1 (binding)" in text
    assert "stage-wise ordering" in text
    rule = {"method": "complete", "rerandomize": {"on": ["length"], "until": {"distance": 2}}}
    again = Trial.model_validate({**DECLARED, "assignment": rule})
    text = " ".join(protocol(again, "today", HASHES, {}).split())
    assert "drawn again until alike on length: Mahalanobis distance at most 2" in text


def test_a_rule_of_stopping_that_was_not_registered_is_post_hoc():
    rng = np.random.default_rng(1)
    rows = [
        (f"{arm}{i}", arm, "gap", rng.normal(), 1 + i % 2)
        for arm in ("control", "ablate")
        for i in range(40)
    ]
    table = pd.DataFrame(rows, columns=["unit_id", "arm", "outcome", "value", "look"])
    plain = Trial.model_validate(DECLARED)
    looked = Trial.model_validate({**DECLARED, "analysis": {"looks": {"at": [0.5, 1]}}})
    for trial, registered, late in ((looked, plain, True), (looked, looked, False)):
        flags = estimate(trial, table, registered)["flags"][0]
        assert ("post_hoc" in split(flags)) == late


@pytest.mark.usefixtures("no_page")
def test_a_tampered_lock_stops_the_run_before_anything_is_written(registered, tmp_path):
    path, lock, _ = registered
    lock.write_text(lock.read_text().replace('"alpha": 0.05', '"alpha": 0.2'))
    with pytest.raises(SpecError, match="changed after it was registered"):
        cs.run_trial(path, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_registering_again_needs_an_amendment_that_records_the_change(registered):
    path, lock, _ = registered
    first = read_lock(lock)
    with pytest.raises(SpecError, match="--amend"):
        register_trial(path)
    declared = yaml.safe_load(path.read_text())
    declared["seed"] = 99
    path.write_text(yaml.safe_dump(declared))
    register_trial(path, amend=True)
    second = read_lock(lock)
    assert [a.seal for a in second.amendments] == [first.seal]
    assert len(second.amendments[0].changes) == 1
    assert second.amendments[0].changes[0].startswith("seed: registered")
    assert replace(second, amendments=()).seal != first.seal
