"""Steering on a small model: what is shown is what plain PyTorch computes, what is saved runs."""

from __future__ import annotations

import math

import pandas as pd
import pytest
import torch
from rich.console import Console

from causal_sae.cli.steering import Desk, open_desk
from causal_sae.errors import DataError, SAEError, SpecError
from causal_sae.spec.loading import load_trial
from causal_sae.spec.outcomes import Generate
from causal_sae.spec.sources import ModelSpec, SAESpec
from causal_sae.steering import Setting, open_session, parse_dose, sweep
from causal_sae.steering.dose import dose_text, parse_how
from causal_sae.steering.save import SWEPT
from causal_sae.steering.session import openers
from causal_sae.steering.sweep import recommended

GENERATE = Generate(max_new_tokens=8, temperature=1.0)
PROMPT = "the whale was a great king"


@pytest.fixture(scope="module")
def session(weights_folder):
    return open_session(
        ModelSpec.model_validate({"source": {"path": "model"}}),
        SAESpec.model_validate({"source": {"path": "sae"}}),
        weights_folder,
        seed=5,
        console=Console(quiet=True),
    )


@pytest.mark.parametrize(
    ("text", "written"),
    [("4q99", "4q99"), (" 2 x max ", "2max"), ("12.5", "12.5"), ("-3", "-3"), (".5Q90", "0.5q90")],
)
def test_a_dose_is_read_as_it_is_written(text, written):
    assert dose_text(parse_dose(text)) == written
    assert parse_dose(written) == parse_dose(text)


@pytest.mark.parametrize("text", ["", "q99", "4q98", "four", "4 q99 5", "nan"])
def test_a_dose_that_is_none_is_refused(text):
    with pytest.raises(SpecError, match="such as 4q99"):
        parse_dose(text)


def test_a_factor_of_a_quantile_makes_no_sense(session):
    with pytest.raises(SpecError, match="plain number for `scale`"):
        session.treatment(Setting((3,), parse_dose("2q99"), "scale"))
    with pytest.raises(SpecError, match="clamp, add or scale"):
        parse_how("push")


def _last(session, setting, generate=GENERATE):
    return list(session.write(PROMPT, setting, generate))[-1]


def test_texts_stand_side_by_side_with_their_numbers(session):
    setting = Setting((3,), 6.0)
    done = _last(session, setting)
    again = _last(session, setting)
    assert done.untouched.text == again.untouched.text
    assert done.steered.text == again.steered.text
    assert done.steered.tokens != done.untouched.tokens
    network, sae = session.laboratory.model.network, session.laboratory.sae
    prompt = list(session.prompts([PROMPT])[0].tokens)
    tokens = done.steered.tokens
    ids = torch.tensor([prompt + tokens])

    def clamp(module, inputs, output):
        x = output[0]
        f = sae.encode(x)
        moved = (6.0 - f[:, 3])[:, None] * sae.direction([3])[0]
        moved[0] = 0
        return (x + moved)[None]

    with torch.no_grad():
        clean = network(ids).logits[0].log_softmax(-1)
        handle = network.model.layers[1].register_forward_hook(clamp)
        edited = network(ids).logits[0].log_softmax(-1)
        handle.remove()
    span = slice(len(prompt) - 1, len(prompt) - 1 + len(tokens))
    clean, edited = clean[span], edited[span]
    own = clean[range(len(tokens)), tokens]
    assert done.steered.perplexity == pytest.approx(math.exp(-float(own.mean())), rel=1e-4)
    gap = (clean.exp() * (clean - edited)).sum(-1).mean()
    assert done.steered.kl == pytest.approx(float(gap), rel=1e-3, abs=1e-5)
    assert done.untouched.kl == 0.0


def test_an_edit_that_changes_nothing_writes_the_same(session):
    done = _last(session, Setting((3,), 1.0, "scale"))
    assert done.steered.text == done.untouched.text
    assert done.steered.kl == pytest.approx(0.0, abs=1e-6)


def test_a_feature_that_is_not_there_is_refused(session):
    with pytest.raises(SAEError, match="between 0 and 23"):
        session.treatment(Setting((24,), 1.0))


def test_a_sweep_scores_every_dose_against_the_untouched_model(session):
    found = sweep(
        session,
        Setting((3,), 1.0),
        ["the whale", "a great ship", "the old man"],
        GENERATE,
        ["sea", "king"],
        ladder=(1.0, 4.0),
    )
    assert list(found.table["text"]) == ["untouched", "1q99", "4q99"]
    assert (found.table["texts"] == 3).all()
    assert len(found.texts) == 9
    assert found.table["keywords"].between(0, 1).all()
    assert found.table["surprise"].gt(0).all()
    assert found.sentence


def test_the_recommended_dose_carries_most_among_those_that_stay_fluent():
    table = pd.DataFrame(
        {
            "text": ["untouched", "1q99", "2q99", "4q99"],
            "concept": [0.1, 0.3, 0.6, 0.9],
            "surprise": [2.0, 2.1, 3.45, 4.5],
            "repetition": [0.1, 0.1, 0.2, 0.2],
        }
    )
    assert recommended(table) == "2q99"
    assert recommended(table.assign(repetition=[0.1, 0.2, 0.6, 0.2])) == "1q99"
    assert recommended(table.assign(surprise=[2.0, 4.0, 4.0, 4.0])) is None
    assert recommended(table.assign(concept=[0.9, 0.3, 0.6, 0.8])) is None


@pytest.fixture
def desk(session):
    return Desk(Console(record=True, width=100), session, Setting((3,), 4.0), GENERATE)


def test_what_is_saved_is_a_trial_on_fresh_prompts(desk, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    desk.prompts = ("My neighbour has a small garden behind the house",)
    desk.keywords = ("sea", "whale", "Sea")  # one of them twice
    desk._obey(f"/save {tmp_path / 'golden'}")
    trial = load_trial(tmp_path / "golden")
    assert trial.contrasts == (("steer", "control"), ("steer", "placebo"), ("steer", "random"))
    assert trial.arm("steer").intervention == desk.setting.intervention
    assert trial.outcome("concept").keywords == ("sea", "whale")
    prompts = pd.read_csv(tmp_path / "golden" / "prompts.csv")
    assert len(prompts) == 36  # the prompts of a sweep are left to it
    assert not set(openers()[:SWEPT]) & set(prompts["text"])
    assert desk.prompts[0] not in set(prompts["text"])
    root = trial.folder / trial.model.source.path
    assert root.resolve() == (desk.session.laboratory.base / "model").resolve()
    with pytest.raises(DataError, match="exists already"):
        desk._obey(f"/save {tmp_path / 'golden'}")


def test_commands_change_what_is_set_and_errors_change_nothing(desk):
    for line in ("/dose 7", "/feature 2, 5", "/how add", "/tokens 3", "/temperature 0"):
        desk._obey(line)
    assert desk.setting == Setting((2, 5), 7.0, "add")
    assert (desk.generate.max_new_tokens, desk.generate.temperature) == (3, 0.0)
    before = desk.setting, desk.generate
    wrong = ("/dose x", "/feature 99", "/feature", "/how push", "/tokens 0", "/temperature -1",
             "/fly", "/save")  # fmt: skip
    for line in wrong:
        with pytest.raises((SpecError, SAEError)):
            desk._obey(line)
    assert (desk.setting, desk.generate) == before


def test_a_dialogue_goes_on_after_an_error(desk, monkeypatch):
    lines = iter(["/fly", PROMPT, "/help", "/quit"])
    monkeypatch.setattr(desk.console, "input", lambda prompt: next(lines))
    desk.talk()
    said = desk.console.export_text()
    assert "there is no command /fly" in said
    assert "perplexity" in said
    assert "/sweep" in said


def test_a_model_without_an_sae_is_refused(weights_folder):
    with pytest.raises(SpecError, match="unless MODEL is a trial"):
        open_desk(str(weights_folder / "model"), None, None, False, 0, Console(quiet=True))
