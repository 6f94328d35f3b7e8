"""Texts on the page are chosen by the seed, and set in type as text."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
import pytest

from causal_sae.reporting.page import render
from causal_sae.reporting.texts import LONGEST, OF_AN_ARM, PROMPTS, shown

EVIL = "<script>alert('x')</script>"


@pytest.fixture
def table(crossover):
    arms = [arm.name for arm in crossover.trial.arms]
    rows = [
        (f"u{n:02d}", arm, sample, f"prompt {n}", f"{arm} {n} {sample} {EVIL}")
        for n in range(20)
        for arm in arms
        for sample in (0, 1)
    ]
    return pd.DataFrame(rows, columns=["unit_id", "arm", "sample", "prompt", "text"])


def test_a_few_prompts_in_every_arm(crossover, table):
    found = shown(crossover.trial, table)
    arms = [arm.name for arm in crossover.trial.arms]
    assert [one.arm for one in found] == arms * PROMPTS
    assert len({one.prompt for one in found}) == PROMPTS
    assert all(f" 0 {EVIL}" in one.text for one in found)  # the first sample
    assert found == shown(crossover.trial, table.sample(frac=1, random_state=1))


def test_the_seed_chooses_and_not_the_content(crossover, table):
    first = {one.prompt for one in shown(crossover.trial, table)}
    longer = shown(crossover.trial, table.assign(text="x" * (LONGEST + 5)))
    assert {one.prompt for one in longer} == first
    assert all(len(one.text) == LONGEST + 1 for one in longer)
    others = [
        {one.prompt for one in shown(crossover.trial.model_copy(update={"seed": seed}), table)}
        for seed in range(5)
    ]
    assert any(chosen != first for chosen in others)


def test_prompts_of_each_arm_where_they_differ(record, table):
    arms = [arm.name for arm in record.trial.arms]
    each = table[table["unit_id"].str[1:].astype(int) % len(arms) == 0].assign(arm=arms[0])
    found = shown(record.trial, each)
    assert not record.trial.within_unit
    assert [one.arm for one in found] == [arms[0]] * OF_AN_ARM


def test_the_page_shows_them_as_text(crossover, table, ladder_figures):
    page = render(replace(crossover, texts=table), ladder_figures)
    assert 'id="texts"' in page
    assert EVIL not in page
    assert "&lt;script&gt;" in page
    assert 'id="texts"' not in render(crossover, ladder_figures)
    assert 'id="texts"' not in render(replace(crossover, texts=table[:0]), ladder_figures)
