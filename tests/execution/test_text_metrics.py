"""Every metric of generated text by hand, and a run of them on a small model."""

from __future__ import annotations

import json
import math
from importlib.metadata import EntryPoint

import numpy as np
import pandas as pd
import pytest
import torch

import causal_sae as cs
from causal_sae.errors import DataError, SpecError
from causal_sae.execution.generation import Text
from causal_sae.execution.metrics import custom
from causal_sae.execution.text_metrics import TEXT_METRICS
from causal_sae.execution.text_metrics.base import whole_words
from causal_sae.spec import Trial
from causal_sae.spec.rules import broken_rules

GENERATE = {"max_new_tokens": 6, "temperature": 1.0, "samples": 2}


def _text(text="", tokens=(), prompt=(0, 5), unit="u"):
    return Text(unit, None, 0, tuple(prompt), tuple(tokens), text, torch.zeros(1), {})


def _declared(**outcome):
    base = {"name": "o", "role": "primary", "generate": {"max_new_tokens": 6}}
    trial = Trial.model_validate(
        {
            "schema": 1,
            "name": "t",
            "question": "Does it?",
            "arms": [
                {"name": "control", "intervention": {"kind": "none"}},
                {"name": "clamp", "intervention": {"kind": "clamp", "features": [3], "dose": 5.0}},
            ],
            "outcomes": [{**base, **outcome}],
        }
    )
    return trial.outcomes[0]


class _Context:
    field = "outcomes[0]"

    def each_unit(self, text, name):
        return {"u": (text, None)}


def _score(texts, model=None, **outcome):
    declared = _declared(**outcome)
    return TEXT_METRICS[declared.metric](declared, _Context()).score(texts, model)


def test_keywords_are_whole_words_in_any_case():
    texts = [_text(t) for t in ("In PARIS, he", "comparison", "the Eiffel tower.", "")]
    found = _score(texts, metric="keyword_rate", keywords=["Paris", "eiffel Tower"])
    assert found == [1.0, 0.0, 1.0, 0.0]
    assert whole_words(["c++"]).search("I like C++ more")


def test_a_pattern_is_searched_anywhere_and_minds_case():
    texts = [_text("verily 12 ships"), _text("Verily")]
    assert _score(texts, metric="regex", pattern=r"verily \d+") == [1.0, 0.0]


def test_distinct_n_and_repetition():
    looped, short = _text(tokens=(1, 2, 3, 1, 2, 3, 4)), _text(tokens=(1,))
    distinct = _score([looped, short], metric="distinct_n", n=2)
    assert distinct[0] == pytest.approx(4 / 6)  # 12 23 31 12 23 34
    assert math.isnan(distinct[1])
    repeated = _score([looped, short, _text()], metric="repetition", n=3)
    assert repeated[:2] == [pytest.approx(3 / 7), 0.0]
    assert math.isnan(repeated[2])


def test_perplexity_is_that_of_the_text_after_its_prompt(tiny_model):
    model = tiny_model("llama")
    text = _text(tokens=(9, 41, 17), prompt=(0, 30, 12))
    with torch.no_grad():
        logits = model.network(torch.tensor([[0, 30, 12, 9, 41, 17]])).logits[0]
    each = [-float(logits[2 + i].log_softmax(0)[t]) for i, t in enumerate(text.tokens)]
    found = _score([text, _text()], model, metric="perplexity")
    assert found[0] == pytest.approx(math.exp(sum(each) / 3), rel=1e-5)
    assert math.isnan(found[1])


def test_sentiment_and_similarity():
    texts = [_text("a wonderful, happy day"), _text("a horrible, sad day"), _text("")]
    mood = _score(texts, metric="sentiment")
    assert mood[0] > 0.5 > 0 > mood[1]
    assert mood[2] == 0.0
    alike = _score(texts, metric="similarity", reference="a wonderful, happy day")
    assert alike[0] == pytest.approx(1.0)
    assert 0 < alike[1] < 1
    assert alike[2] == 0.0


def test_a_users_function_by_its_entry_point(monkeypatch, tiny_model):
    point = EntryPoint("shout", "unused:unused", custom.GROUP)
    monkeypatch.setattr(custom, "entry_points", lambda group: [point])
    monkeypatch.setattr(
        EntryPoint, "load", lambda self: lambda texts, prompts: [t.isupper() for t in texts]
    )
    model = tiny_model("llama")
    texts = [_text("AHA"), _text("aha")]
    assert _score(texts, model, metric="custom", function="shout") == [1.0, 0.0]
    with pytest.raises(SpecError, match=r"shuot.*did you mean 'shout'"):
        _score(texts, model, metric="custom", function="shuot")
    monkeypatch.setattr(EntryPoint, "load", lambda self: lambda texts, prompts: [1.0])
    with pytest.raises(DataError, match="gave 1 for 2"):
        _score(texts, model, metric="custom", function="shout")


OUTCOMES = [
    {"name": "gap", "role": "primary", "metric": "entropy"},
    {"name": "sea", "metric": "keyword_rate", "keywords": ["sea", "king"], "generate": GENERATE},
    {"name": "variety", "metric": "distinct_n", "n": 2, "generate": GENERATE},
    {"name": "odd", "metric": "perplexity", "generate": {"max_new_tokens": 4}},
]
ARMS = [
    {"name": "control", "intervention": {"kind": "none"}},
    {"name": "again", "intervention": {"kind": "none"}},
    {"name": "clamp", "intervention": {"kind": "clamp", "features": [3], "dose": 5.0}},
    {"name": "push", "intervention": {"kind": "random_direction", "norm_of": "clamp", "draws": 2}},
]


@pytest.fixture
def declared(trial_folder):
    return {
        "arms": ARMS,
        "outcomes": OUTCOMES,
        "analysis": {"contrasts": [["again", "control"], ["clamp", "control"]]},
        "assignment": {"method": "crossover"},
    }


@pytest.mark.usefixtures("no_page")
def test_a_trial_of_generated_text_runs_and_its_texts_are_kept(declared, trial_folder, tmp_path):
    run = cs.run_trial(trial_folder(**declared), out=tmp_path / "run")
    table = run.observations
    units = table["unit_id"].nunique()
    rows = table[table["outcome"] == "sea"]
    assert len(rows) == units * len(ARMS) * GENERATE["samples"]
    assert set(rows["sample"]) == {0, 1}
    assert table.loc[table["outcome"] == "odd", "sample"].isna().all()
    wide = rows.pivot(index=["unit_id", "sample"], columns="arm", values="value")
    assert (wide["again"] == wide["control"]).all()
    texts = run.texts
    assert len(texts) == units * len(ARMS) * (GENERATE["samples"] + 1)
    again = run.effects.query("outcome != 'gap' and treatment == 'again'")
    assert (again["estimate"] == 0).all()
    one = texts.merge(rows, on=["unit_id", "arm", "sample"])
    found = one["text"].str.contains(r"\b(?:sea|king)\b", case=False)
    short = one["tokens"] <= GENERATE["max_new_tokens"]
    assert short.all()
    assert len(one) == 2 * len(rows) or (found.astype(float) == one["value"]).any()
    clamp = rows.query("arm == 'clamp'")
    assert clamp["received"].all()
    assert np.allclose(clamp["activation_asked"], 5.0)


@pytest.mark.usefixtures("no_page")
def test_a_killed_run_of_texts_resumes_to_the_same_effects(
    declared, trial_folder, tmp_path, monkeypatch
):
    import causal_sae.execution.shards as shards

    monkeypatch.setattr("causal_sae.execution.plan.SHARD_ROWS", 12)
    path = trial_folder(**declared)
    whole = cs.run_trial(path, out=tmp_path / "whole")
    write, done = shards.written, []

    def dies(run, batch):
        if len(done) > 2:
            raise KeyboardInterrupt
        done.append(batch)
        return write(run, batch)

    monkeypatch.setattr(shards, "written", dies)
    with pytest.raises(KeyboardInterrupt):
        cs.run_trial(path, out=tmp_path / "killed")
    monkeypatch.setattr(shards, "written", write)
    resumed = cs.run_trial(path, out=tmp_path / "killed", resume=True)
    pd.testing.assert_frame_equal(whole.effects, resumed.effects, check_exact=True)
    pd.testing.assert_frame_equal(whole.texts, resumed.texts)
    assert json.loads((tmp_path / "killed/manifest.json").read_text())["status"] == "done"


@pytest.mark.usefixtures("no_page")
def test_only_generated_tokens_are_edited_where_the_trial_says_so(declared, trial_folder, tmp_path):
    changed = {**declared, "positions": "generated", "outcomes": OUTCOMES[1:]}
    path = trial_folder(**changed)
    run = cs.run_trial(path, out=tmp_path / "run")
    clamp = run.observations.query("arm == 'clamp' and outcome == 'sea'")
    # Of the tokens written, the last one is never read by the model.
    assert clamp["positions"].max() == GENERATE["max_new_tokens"] - 1
    assert (clamp["received"] == (clamp["positions"] > 0)).all()


def test_next_token_outcomes_cannot_see_edits_of_generated_tokens(declared):
    trial = Trial.model_validate(
        {"schema": 1, "name": "t", "question": "Does it?", **declared, "positions": "generated"}
    )
    problems = [p for p in broken_rules(trial) if p.path[0] == "outcomes"]
    assert [p.path for p in problems] == [("outcomes", 0, "metric")]
