"""Looks that make no sense, or that nothing here could keep honest, are refused at their line."""

from __future__ import annotations

from pathlib import Path

import pytest

from causal_sae.errors import SpecError
from causal_sae.spec.loading import parse_trial
from causal_sae.spec.rules.looks import share_of_alpha

BASE = """\
schema: 1
name: looks
question: Is it refused?
population: {prompts: p.csv}
assignment: {method: complete}
arms:
  - {name: control, intervention: {kind: none}}
  - {name: ablate, intervention: {kind: ablate, features: [1]}}
outcomes:
  - {name: gap, role: primary, metric: logit_diff, target: " a", foil: " b"}
  - {name: drift, role: guardrail, metric: kl, margin: 0.1}
analysis:
  multiplicity: {method: holm}
  looks: {at: [0.5, 1]}
"""


def refused(*changes: tuple[str, str]) -> str:
    text = BASE
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new, 1)
    with pytest.raises(SpecError) as caught:
        parse_trial(text, Path("t.yaml"))
    return str(caught.value)


@pytest.mark.parametrize(
    ("looks", "expected"),
    [
        ("{at: [0.5]}", "the last look must be at 1, when all units are in, not at 0.5; add 1"),
        ("{at: [0.7, 0.5, 1]}", "shares must rise; 0.5 follows 0.7"),
        ("{at: [0.5, 0.5, 1]}", "shares must rise; 0.5 follows 0.5"),
        ("{at: [0, 1]}", "must be greater than 0"),
        ("{at: []}", "at least 1 item"),
        ("{spending: pocock}", "'pocock' needs to know when the looks are; add `at:`"),
        ("{every: 50}", "needs to know when the looks are"),
        ("{spending: always_valid}", "say when to look: `every: 50` units"),
        ("{spending: always_valid, every: 50, at: [1]}", "either `at` shares or `every` n"),
        ("{spending: pocock, at: [1], every: 20}", "either `at` shares or `every` n"),
        ("{spending: always_valid, every: 50, futility: 0.1}", "has no last look"),
        ("{at: [0.5, 1], futility: 0.9}", "must be at most 0.5"),
        ("{at: [0.5, 1], spending: pococ}", "did you mean 'pocock'"),
    ],
)
def test_looks_that_make_no_sense_are_refused(looks, expected):
    message = refused(("{at: [0.5, 1]}", looks))
    assert expected in message
    assert "t.yaml:14" in message


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ([("{method: holm}", "{method: holm, family: all}")], "mixes primary tests"),
        ([("{method: holm}", "{method: dunnett}")], "takes no account of looks"),
        (
            [
                (
                    "metric: kl, margin: 0.1}",
                    "metric: kl, margin: 0.1}\n  - {name: two, role: primary, metric: entropy}",
                )
            ],
            "2 primary tests are looked at, and what 'holm' would do",
        ),
        ([("role: primary, ", "")], "looks are at primary outcomes, but there is none"),
        ([("  looks", "  estimator: mann_whitney\n  looks")], "has no distribution that is known"),
        ([("prompts: p.csv", "prompts: p.csv, enrich: {feature: 1, exposed: 9}")], "from a pool"),
        (
            [("complete", "crossover"), ("p.csv", "p.csv, claim: finite")],
            "so all of them must run",
        ),
        (
            [('foil: " b"', 'foil: " b", harm: either, margin: 1')],
            "not for equivalence",
        ),
    ],
)
def test_trials_that_looks_do_not_fit_are_refused(changes, expected):
    assert expected in refused(*changes)


def test_several_primary_tests_share_alpha_where_bonferroni_is_declared():
    text = BASE.replace("holm", "bonferroni").replace(
        "outcomes:\n", "outcomes:\n  - {name: two, role: primary, metric: entropy}\n"
    )
    trial = parse_trial(text, Path("t.yaml")).trial
    assert share_of_alpha(trial, "gap") == pytest.approx(0.025)
    alone = parse_trial(BASE, Path("t.yaml")).trial
    assert share_of_alpha(alone, "gap") == pytest.approx(0.05)
