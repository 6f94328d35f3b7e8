"""Whatever is done to a trial file, it loads or is refused in our own words."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from causal_sae.errors import InputError
from causal_sae.spec.loading import parse_trial

VALID = """\
schema: 1
name: paris-feature
status: confirmatory
question: Does the feature carry Paris?
population: {prompts: prompts.csv, eligibility: {min_tokens: 4}}
assignment: {method: block, block_by: [topic], cluster_by: template}
arms:
  - {name: control, intervention: {kind: none}}
  - name: clamp
    intervention: {kind: clamp, features: [12], dose: {multiple: 5, of: q99}}
  - {name: placebo, intervention: {kind: ablate, features: {placebo_for: [12]}}}
  - {name: random, intervention: {kind: random_direction, norm_of: clamp}}
outcomes:
  - {name: gap, role: primary, metric: logit_diff, target: " Paris", foil: {column: foil}}
  - {name: drift, role: guardrail, metric: kl, margin: 0.1}
analysis:
  contrasts: [[clamp, control], [clamp, placebo]]
  covariates: [clean_outcome]
"""
LINES = VALID.splitlines(keepends=True)
FILE = Path("trial.yaml")
FRAGMENTS = r"""
: | - | [ | ] | { | } | , | ' | " | & | * | ! | ? | <<: | .nan | .inf | null | ~ | true | 1e999
-1 | 0x1F | 012 | 99999999999999999999 | !!binary | !!set | !!omap | "\\ud800" | %YAML 1.1
2024-01-01 | &a | *a | >- | # | --- | ... | : [] | : {} | [[1]] | é | all | ( | kind: splice
levels: {a: 1} | method: latin_square | method: factorial | margin: 1 | share: 2
"""
fragments = st.sampled_from(
    [
        "\t",
        "\x00",
        "\u2028",
        *(part for line in FRAGMENTS.split("\n") for part in line.split(" | ")),
    ]
)


def load(text: str) -> None:
    with suppress(InputError):
        parse_trial(text, FILE)


@given(
    start=st.integers(0, len(VALID)), length=st.integers(0, 12), new=fragments | st.text(max_size=6)
)
@settings(max_examples=120, deadline=None)
def test_any_cut_and_insertion(start: int, length: int, new: str) -> None:
    load(VALID[:start] + new + VALID[start + length :])


@given(st.lists(st.integers(0, len(LINES) - 1), max_size=len(LINES)))
@settings(max_examples=40, deadline=None)
def test_any_choice_of_lines(order: list[int]) -> None:
    load("".join(LINES[i] for i in order))


@given(st.text(max_size=60))
@settings(max_examples=100, deadline=None)
def test_any_text(text: str) -> None:
    load(text)


values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**6), 10**6) | st.text("ab c:{[#'", max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["kind", "name", "column", "of", "x"]), inner, max_size=3)
    ),
    max_leaves=6,
)


@given(line=st.integers(0, len(LINES) - 1), value=values)
@settings(max_examples=100, deadline=None)
def test_any_value_in_any_line(line: int, value: object) -> None:
    import json

    head = LINES[line].split(":")[0]
    load("".join([*LINES[:line], f"{head}: {json.dumps(value)}\n", *LINES[line + 1 :]]))
