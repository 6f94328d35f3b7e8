"""What an enriched trial may not declare: the sentence and the field."""

from __future__ import annotations

from pathlib import Path

import pytest

from causal_sae.errors import SpecError
from causal_sae.spec.enrichment import inert_where_silent
from causal_sae.spec.files import check_files
from causal_sae.spec.loading import parse_trial
from causal_sae.spec.rules.enrichment import enrichment_errors

BASE = """\
schema: 1
name: rules
question: Is it refused?
population: {prompts: p.csv, enrich: {feature: 1, exposed: 9, unexposed: 0}}
assignment: {method: crossover}
arms:
  - {name: control, intervention: {kind: none}}
  - {name: ablate, intervention: {kind: ablate, features: [1]}}
outcomes:
  - {name: gap, role: primary, metric: logit_diff, target: " a", foil: " b"}
analysis: {estimator: auto}
"""
CLAMP = ("{kind: ablate, features: [1]}", "{kind: clamp, features: [1], dose: 2}")
BOTH = ("features: [1]", "features: [1, 2]")
NLL = (
    'metric: logit_diff, target: " a", foil: " b"',
    'metric: nll, continuation: " a b"',
)
SOME = ("unexposed: 0", "unexposed: 5")
CLUSTERED = ("method: crossover", "method: crossover, cluster_by: c")
FINITE = ("prompts: p.csv", "prompts: p.csv, claim: finite")
CACE = ("auto", "cace")


def changed(*changes: tuple[str, str]) -> str:
    text = BASE
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new, 1)
    return text


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ([CLAMP], "`unexposed: 50`, or estimate the effect on exposed prompts with `estimator: ca"),
        ([BOTH], "what 'ablate' against 'control' does to 'gap'"),
        ([NLL], "is not known to be nothing"),
        ([("auto", "paired")], "which 'paired' takes no account of"),
        ([("auto", "auto, refuters: [data_subset]")], "refuters take the prompts"),
        ([CLUSTERED], "use `claim: finite`"),
        ([CLUSTERED, FINITE, SOME], "are not independent; set `unexposed: 0`"),
        (
            [SOME, ("p.csv,", "p.csv, eligibility: {active: {feature: 1}},")],
            "5 prompts on which feature 1 is silent are asked for",
        ),
    ],
)
def test_it_is_refused(changes: list[tuple[str, str]], says: str) -> None:
    file = parse_trial(changed(*changes), Path("t.yaml"))
    assert any(says in error.message for error in enrichment_errors(file.trial))
    with pytest.raises(SpecError) as caught:
        check_files(file)
    assert says in str(caught.value)
    assert caught.value.place.line is not None


@pytest.mark.parametrize(
    "changes",
    [
        [],
        [CLAMP, SOME],
        [CLAMP, CACE],
        [BOTH, SOME],
        [NLL, ("outcomes:", "positions: last\noutcomes:")],
        [CLUSTERED, FINITE],
        [CLUSTERED, CACE],
        [("p.csv,", "p.csv, eligibility: {active: {feature: 1}},")],
        [("{kind: ablate, features: [1]}", "{kind: scale, features: [1], factor: 3}")],
        [("auto", "enriched, supplementary: [cace]")],
    ],
)
def test_it_is_allowed(changes: list[tuple[str, str]]) -> None:
    assert enrichment_errors(parse_trial(changed(*changes), Path("t.yaml")).trial) == []


@pytest.mark.parametrize(
    ("edit", "inert"),
    [
        ("{kind: ablate, features: [1]}", True),
        ("{kind: ablate, features: [1], to: mean}", False),
        ("{kind: scale, features: [1], factor: 2}", True),
        ("{kind: add, features: [1], dose: 2}", False),
        ("{kind: splice}", False),
    ],
)
def test_which_edits_leave_unexposed_prompts_alone(edit: str, inert: bool) -> None:
    text = changed(("{kind: ablate, features: [1]}", edit), SOME)
    trial = parse_trial(text, Path("t.yaml")).trial
    assert inert_where_silent(trial, trial.outcomes[0], "ablate", "control") is inert
