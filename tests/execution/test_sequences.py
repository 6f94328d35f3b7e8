"""Prompts as tokens: what stands in front, which positions are edited, what is refused."""

from __future__ import annotations

import copy

import numpy as np
import pandas as pd
import pytest

from causal_sae.errors import DataError, Place
from causal_sae.execution.model import LanguageModel
from causal_sae.execution.sequences import Prompt, Tokenizer, TokenSequence
from causal_sae.spec.design import Population, TextPositions

TEMPLATE = (
    "{% for m in messages %}<s>{{ m['role'] }} {{ m['content'] | trim }}</s>{% endfor %}"
    "{% if add_generation_prompt %}<s>king{% endif %}"
)


@pytest.fixture
def tokenizer(tiny_model):
    def make(positions="all", sae_prepends_bos=True, template=None, **population):
        own = tiny_model("llama")
        model = LanguageModel(own.network, copy.deepcopy(own.tokenizer), "tiny", "0")
        model.tokenizer.chat_template = template
        declared = Population.model_validate({"prompts": "prompts.csv", **population})
        return Tokenizer(model, declared, positions, sae_prepends_bos)

    return make


def prompts_of(made, *texts):
    units = [f"u{i}" for i in range(len(texts))]
    return made.prompts(pd.DataFrame({"unit_id": units, "text": texts}))


def words(made, ids):
    return [made.model.tokenizer.convert_ids_to_tokens(i).replace("\u0120", " ") for i in ids]


def edited(made, prompt: Prompt):
    return [w for w, e in zip(words(made, prompt.tokens), prompt.editable, strict=True) if e]


@pytest.mark.parametrize(
    ("bos", "trained_with", "first"),
    [
        ("auto", True, "<s>"),
        ("auto", False, "the"),
        ("auto", None, "the"),  # this tokenizer puts nothing in front by itself
        ("always", False, "<s>"),
        ("never", True, "the"),
    ],
)
def test_what_stands_in_front_follows_the_declared_policy(tokenizer, bos, trained_with, first):
    made = tokenizer(sae_prepends_bos=trained_with, bos=bos)
    (prompt,) = prompts_of(made, "the whale")
    assert words(made, prompt.tokens)[0] == first
    assert not prompt.editable[0]


def test_a_tokenizer_without_the_token_refuses_to_put_it_in_front(tokenizer):
    made = tokenizer()
    made.model.tokenizer.bos_token = None
    with pytest.raises(DataError, match=r"no beginning-of-sequence token; write `bos: never`"):
        Tokenizer(made.model, Population(prompts="p.csv", bos="always"), "all", True)


@pytest.mark.parametrize(
    ("positions", "expected"),
    [
        ("all", ["the", " white", " whale", " said"]),
        ("prompt", ["the", " white", " whale", " said"]),
        ("last", [" said"]),
        (TextPositions(regex="whale"), [" whale"]),
        (TextPositions(regex=r"hite w"), [" white", " whale"]),
        (TextPositions(regex=r"x*"), []),
    ],
)
def test_positions(tokenizer, positions, expected):
    made = tokenizer(positions)
    prompts = prompts_of(made, "the white whale said", "x")[:1] if expected else None
    if prompts is None:
        with pytest.raises(DataError, match="matches none of the 1 prompts"):
            prompts_of(made, "the white whale said")
        return
    assert edited(made, prompts[0]) == expected


def test_a_pattern_may_miss_some_prompts_but_not_all(tokenizer):
    made = tokenizer(TextPositions(regex="whale"))
    hit, miss = prompts_of(made, "the whale said", "the king said")
    assert hit.editable.any()
    assert not miss.editable.any()
    with pytest.raises(DataError, match="matches none of the 2 prompts") as caught:
        prompts_of(made, "the king", "the queen")
    assert caught.value.place.field == "positions.regex"


@pytest.mark.parametrize("text", ["the whale said", "  the whale said "])
def test_a_pattern_finds_its_words_inside_a_chat_template(tokenizer, text):
    """The template trims the prompt, and the system message holds the same words."""
    made = tokenizer(
        TextPositions(regex="whale"), template=TEMPLATE, format="chat", system="the whale said"
    )
    (prompt,) = prompts_of(made, text)
    places = np.flatnonzero(prompt.editable)
    whales = [i for i, w in enumerate(words(made, prompt.tokens)) if w == " whale"]
    assert len(whales) == 2
    assert places.tolist() == [whales[1]]


def test_a_template_that_rewrites_the_prompt_cannot_place_a_pattern(tokenizer):
    template = TEMPLATE.replace("| trim", "| replace('whale', 'sea')")
    made = tokenizer(TextPositions(regex="whale"), template=template, format="chat")
    with pytest.raises(DataError, match="rewrites the prompt of unit 'u0'"):
        prompts_of(made, "the whale")


@pytest.mark.parametrize(("bos", "count"), [("auto", 1), ("never", 0), ("always", 1)])
def test_the_template_brings_its_own_first_token_once(tokenizer, bos, count):
    template = "<s>{{ messages[0]['content'] }}"
    made = tokenizer(template=template, format="chat", bos=bos)
    (prompt,) = prompts_of(made, "the whale")
    assert words(made, prompt.tokens).count("<s>") == count


def test_a_template_without_it_gets_one_only_when_asked(tokenizer):
    for bos, count in (("auto", 0), ("always", 1)):
        made = tokenizer(template="{{ messages[0]['content'] }}", format="chat", bos=bos)
        assert words(made, prompts_of(made, "the whale")[0].tokens).count("<s>") == count


def test_chat_without_a_template_is_refused(tokenizer):
    with pytest.raises(DataError, match=r"no chat template; write `format: raw`"):
        tokenizer(format="chat")


def test_a_prompt_longer_than_the_context_names_its_unit(tokenizer):
    with pytest.raises(DataError, match=r"unit 'u1' has 81 tokens, and tiny takes 64") as caught:
        prompts_of(tokenizer(), "the whale", " whale" * 80)
    assert caught.value.place.field == "population.prompts"


def test_a_prompt_of_one_token_names_its_unit(tokenizer):
    with pytest.raises(DataError, match=r"unit 'u0' has 1 token\(s\).*at least 2"):
        prompts_of(tokenizer(bos="never"), "whale")


def test_one_token_or_its_pieces_and_a_hint(tokenizer):
    made, place = tokenizer(), Place(field="outcomes[0].target")
    assert words(made, [made.token(" whale", place)]) == [" whale"]
    with pytest.raises(DataError, match=r"which is 2: \[' whale', ' sea'\]") as caught:
        made.token(" whale sea", place)
    assert "is one token" not in str(caught.value)
    with pytest.raises(DataError, match=r"which is 2: \[' ', ' whale'\]; ' whale' is one token"):
        made.token("  whale", place)


def test_a_continuation_is_edited_only_where_all_positions_are(tokenizer):
    (prompt,) = prompts_of(tokenizer(), "the whale")
    tail = tokenizer().tokens(" said to")
    assert TokenSequence(prompt, tail, True).editable.tolist() == [False, True, True, True, True]
    assert TokenSequence(prompt, tail).editable.tolist() == [False, True, True, False, False]
    assert TokenSequence(prompt, tail).shape == (5, 3)
