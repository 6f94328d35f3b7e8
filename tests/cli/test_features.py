"""The commands on features, as a user types them."""

from __future__ import annotations

import json
import shlex

import pytest


@pytest.fixture
def corpus(tmp_path):
    lines = [
        json.dumps({"text": f"the {a} whale saw {b} ship of storm", "kind": "a" if n % 2 else "b"})
        for n, (a, b) in enumerate([("old", "a"), ("white", "the"), ("great", "his")] * 5)
    ]
    path = tmp_path / "texts.jsonl"
    path.write_text("\n".join(lines))
    return path


def test_from_a_corpus_to_a_card(call, trial_folder, corpus, tmp_path):
    trial, out = trial_folder(), tmp_path / "store"
    made = call("features", "extract", trial, corpus, "--label", "kind", "--out", out)
    assert made.code == 0, made.err
    assert "15 documents" in made.out
    listing = call("features", "list", out, "--sort", "sharpness", "-n", 3)
    assert listing.code == 0, listing.err
    assert "of 2" in listing.out
    card = call("features", "show", out, 3)
    assert card.code == 0, card.err
    assert "Feature 3" in card.out
    page = tmp_path / "card.html"
    assert call("features", "show", out, 3, 4, "--html", page).code == 0
    assert "Feature 4" in page.read_text()
    assert call("features", "find", out, "whale").code == 0
    found = call("features", "find", out, "--model", trial, "--prompt", "the old whale")
    assert found.code == 0, found.err
    assert call("features", "match", out, 3, "--draws", 2).code == 0
    again = call("features", "extract", trial, corpus, "--out", out)
    assert again.code == 2
    assert "--replace" in again.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("extract", "TRIAL", "nowhere.txt"), "there is no file or folder"),
        (("extract", "TRIAL", "CORPUS", "--text", "txt"), "did you mean 'text'"),
        (
            ("extract", "TRIAL", "CORPUS", "--context", "4000"),
            "--context: must be from 2 to the 64",
        ),
        (("extract", "MODEL", "CORPUS"), "--sae: must be given"),
        (("list", "nowhere"), "there is no folder"),
        (("show", "STORE", "99"), "the store has the features 0 to 2; got 99"),
        (("list", "STORE", "--sort", "densty"), "did you mean 'density'"),
        (("find", "STORE"), "give words"),
        (("find", "STORE", "--positive", "x.txt"), "give words"),
    ],
)
def test_mistakes_are_told_in_a_sentence(call, trial_folder, corpus, tmp_path, words, said):
    import pandas as pd

    from causal_sae.feature_tables import write_features

    trial = trial_folder()
    folder = tmp_path / "made"
    folder.mkdir()
    plain = {"density": 0.1, "mean_activation": 1.0, "decoder_norm": 1.0}
    write_features(pd.DataFrame([{"feature": i} | plain for i in range(3)]), folder)
    places = {"TRIAL": trial, "CORPUS": corpus, "STORE": folder, "MODEL": tmp_path / "model"}
    done = call("features", *(places.get(word, word) for word in words))
    assert done.code == 2, done.err + done.out
    assert said in " ".join(done.err.split())
    assert not list((tmp_path / "here").iterdir())


def test_the_group_says_what_it_has(call):
    said = call("features", "--help")
    assert said.code == 0
    for name in ("extract", "list", "show", "find", "match"):
        assert name in said.out


def test_a_pass_that_is_stopped_says_how_to_go_on(
    call, trial_folder, corpus, tmp_path, monkeypatch
):
    from causal_sae.execution import harvest

    trial, out = trial_folder(), tmp_path / "a store"
    read, done = harvest._read, []

    def stopped(*arguments):
        if done:
            raise KeyboardInterrupt
        done.append(1)
        return read(*arguments)

    monkeypatch.setattr(harvest, "SEQUENCES", 4)
    monkeypatch.setattr(harvest, "_read", stopped)
    words = ["features", "extract", trial, corpus, "--context", 12]
    said = call(*words, "--out", out)
    assert said.code == 130
    monkeypatch.setattr(harvest, "_read", read)
    command = said.err.strip().splitlines()[-1]
    again = shlex.split(command)
    assert again == ["causal-sae", *map(str, words), "--out", str(out), "--resume"]
    assert call(*again[1:]).code == 0
