"""What factorial and dose-response analyses need of a trial, told at the line to mend."""

from __future__ import annotations

from pathlib import Path

import pytest

from causal_sae.errors import SpecError
from causal_sae.spec.combinations import combinations
from causal_sae.spec.doses import ladder
from causal_sae.spec.loading import parse_trial

BASE = """\
schema: 1
name: rules
question: Is it refused?
assignment: {method: crossover}
arms:
  - {name: control, intervention: {kind: none}}
  - {name: x1, intervention: {kind: clamp, features: [1], dose: {multiple: 1, of: q99}}}
  - {name: x4, intervention: {kind: clamp, features: [1], dose: {multiple: 4, of: q99}}}
  - {name: by2, intervention: {kind: scale, features: [1], factor: 2}}
  - {name: off, intervention: {kind: ablate, features: [1]}}
outcomes: [{name: gap, role: primary, metric: entropy}]
analysis: {estimator: auto}
"""
FILE = Path("t.yaml")


def parsed(analysis: str, *changes: tuple[str, str]):
    text = BASE.replace("{estimator: auto}", f"{{{analysis}}}")
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return parse_trial(text, FILE).trial


@pytest.mark.parametrize(
    ("analysis", "told"),
    [
        ("factorial: main", "'main' needs arms with levels"),
        ("dose_response: [{arms: [control, x1, x5]}]", "there is no arm 'x5'"),
        ("dose_response: [{arms: [control, x1, x1]}]", "'x1' is listed twice"),
        ("dose_response: [{arms: [control, x1, by2]}]", "x1 and by2: the kind"),
        ("dose_response: [{arms: [control, x1, off]}]", "the arm 'off' (ablate) has no dose"),
        (
            "dose_response: [{arms: [control, x1, x4], doses: [0, 1]}]",
            "there are 3 arms and 2 doses",
        ),
        (
            "dose_response: [{arms: [control, x1, x4], doses: [0, 1, 1]}]",
            "'x1' and 'x4' both have 1",
        ),
        (
            "dose_response: [{arms: [control, x1, x4]}, {arms: [x4, x1, control]}]",
            "dose_response[0] has the same arms",
        ),
        (
            "estimator: randomization, dose_response: [{arms: [control, x1, x4]}]",
            "'randomization' compares two arms only",
        ),
    ],
)
def test_what_cannot_be_analysed_is_refused_at_its_line(analysis: str, told: str) -> None:
    with pytest.raises(SpecError) as caught:
        parsed(analysis)
    found = str(caught.value)
    assert told in found
    assert found.startswith("t.yaml:12:")


def test_doses_are_derived_and_sorted() -> None:
    trial = parsed("dose_response: [{arms: [x4, control, x1], test: true}]")
    assert ladder(trial, trial.analysis.dose_response[0]) == {"control": 0, "x1": 1, "x4": 4}
    (one,) = combinations(trial)
    assert (one.treatment, one.reference) == ("trend x1..x4", "control")
    assert sum(one.weights.values()) == pytest.approx(0)
    assert sum(one.weights[arm] * dose for arm, dose in (("x1", 1), ("x4", 4))) == pytest.approx(1)


def test_a_scale_is_untouched_at_dose_0() -> None:
    scales = [
        (
            "kind: clamp, features: [1], dose: {multiple: 1, of: q99}",
            "kind: scale, features: [1], factor: 0.5",
        ),
        (
            "kind: clamp, features: [1], dose: {multiple: 4, of: q99}",
            "kind: scale, features: [1], factor: 3",
        ),
    ]
    trial = parsed("dose_response: [{arms: [control, x1, x4]}]", *scales)
    assert ladder(trial, trial.analysis.dose_response[0]) == {"x1": -0.5, "control": 0, "x4": 2}


LEVELS = [
    (
        "{name: control, intervention: {kind: none}}",
        "{name: control, intervention: {kind: none}, levels: {a: 0, b: 0}}",
    ),
    ("of: q99}}}\n  - {name: x4", "of: q99}}, levels: {a: 1, b: 0}}\n  - {name: x4"),
    ("of: q99}}}\n  - {name: by2", "of: q99}}, levels: {a: 0, b: 1}}\n  - {name: by2"),
]


def test_cells_may_stand_in_a_crossover_but_must_be_all() -> None:
    with pytest.raises(SpecError, match="1 of 4 are missing"):
        parsed("factorial: main", *LEVELS)
    full = [*LEVELS, ("factor: 2}}", "factor: 2}, levels: {a: 1, b: 1}}")]
    trial = parsed("factorial: two_way", *full)  # the arm `off` is no cell
    assert [one.reference for one in combinations(trial)] == ["a=0", "b=0", "additive"]
    with pytest.raises(SpecError, match="'off' has no levels"):
        parsed("factorial: two_way, reference: off", *full)
