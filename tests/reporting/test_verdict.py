# ruff: noqa: RUF001 - typographic minus signs and dashes are what is tested
"""Each case of the verdict: its status, and the words that carry it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest
from made_up_trials import crossover_spec, declared, effect, table

from causal_sae.reporting import TrialRecord, Verdict, judge

Make = Callable[..., TrialRecord]

SHAM = effect("gap", "ablate", "sham", -0.60, 0.05)
BEATS = effect("gap", "ablate", "placebo", -0.55, 0.06)
SAME = effect("gap", "ablate", "placebo", -0.02, 0.04)
OPEN = effect("gap", "ablate", "placebo", -0.20, 0.20)
MORE = effect("gap", "ablate", "placebo", 0.30, 0.06)
NULL = effect("gap", "ablate", "sham", -0.05, 0.09)
SAFE = effect("drift", "ablate", "sham", 0.04, 0.01, role="guardrail")
UNSURE = effect("drift", "ablate", "sham", 0.09, 0.02, role="guardrail")
HARMED = effect("drift", "ablate", "sham", 0.25, 0.02, role="guardrail")


def verdict(make: Make, *rows: dict[str, Any], spec: Any = None, **changes: Any) -> Verdict:
    return judge(make(spec, effects=table(*rows), **changes))


def test_held_states_estimate_interval_p_and_placebo(make: Make) -> None:
    result = verdict(make, SHAM, BEATS, SAFE)
    assert (result.status, result.label) == ("held", "The claim held")
    assert "ablate lowered gap by 0.600 (95% CI −0.699 to −0.501; Holm-adjusted" in result.sentence
    assert "the placebo features did not do the same" in result.sentence
    assert "harm to drift beyond the margin of 0.1 is excluded" in result.sentence
    assert result.sentence.startswith("In this registered trial the claim held: ")


def test_placebo_that_does_the_same_refutes_the_claim(make: Make) -> None:
    result = verdict(make, SHAM, SAME, SAFE)
    assert result.status == "did_not_hold"
    assert "but the placebo features did the same" in result.sentence


def test_placebo_that_does_more_refutes_the_claim(make: Make) -> None:
    result = verdict(make, SHAM, MORE, SAFE)
    assert result.status == "did_not_hold"
    assert "the placebo features did more" in result.sentence


def test_placebo_contrast_that_is_wide_leaves_it_open(make: Make) -> None:
    result = verdict(make, SHAM, OPEN, SAFE)
    assert result.status == "cannot_tell"
    assert "stays open" in result.sentence


def test_not_significant_is_never_no_effect(make: Make) -> None:
    result = verdict(make, NULL, SAME, SAFE)
    assert result.status == "cannot_tell"
    assert "neither an effect nor the absence of one is established" in result.sentence
    assert "no effect" not in result.sentence.lower()


def test_interval_inside_the_smallest_effect_that_matters_refutes(make: Make) -> None:
    spec = declared(power={"effect": 0.3, "unit": "outcome"})
    result = verdict(make, NULL, SAME, SAFE, spec=spec)
    assert result.status == "did_not_hold"
    assert "leaves no room for the smallest effect that matters (0.3)" in result.sentence
    wide = effect("gap", "ablate", "sham", -0.05, 0.2)
    assert verdict(make, wide, SAME, SAFE, spec=spec).status == "cannot_tell"


def test_planned_sd_is_not_held_against_a_paired_size(make: Make) -> None:
    spec = declared(power={"effect": 0.6, "unit": "sd"})
    assert verdict(make, NULL, SAME, spec=spec).status == "did_not_hold"
    paired = {**NULL, "effect_size_kind": "cohen_dz"}
    assert verdict(make, paired, SAME, spec=spec).status == "cannot_tell"


def test_interval_excludes_zero_but_adjusted_p_does_not_reject(make: Make) -> None:
    row = effect("gap", "ablate", "sham", -0.2, 0.095)
    assert row["conf_high"] < 0
    assert not row["reject"]
    result = verdict(make, row, SAME, SAFE)
    assert result.status == "cannot_tell"
    assert "does not reject once 2 tests are adjusted for" in result.sentence


def test_placebo_without_a_contrast_of_its_own(make: Make) -> None:
    spec = declared(analysis={"reference": "sham"})
    beside = effect("gap", "placebo", "sham", -0.5, 0.06)
    result = verdict(make, SHAM, beside, SAFE, spec=spec)
    assert result.status == "cannot_tell"
    assert "no contrast compares it with placebo" in result.sentence
    apart = effect("gap", "placebo", "sham", -0.05, 0.06)
    assert verdict(make, SHAM, apart, SAFE, spec=spec).status == "held"


@pytest.mark.parametrize(
    ("row", "status", "words"),
    [
        (UNSURE, "not_excluded", "harm to drift beyond the margin of 0.1 is not excluded"),
        (HARMED, "shown", "harm to drift beyond the margin of 0.1 is shown"),
        ({**UNSURE, "flags": "margin_test;non_inferior"}, "excluded", "is excluded"),
        ({**SAFE, "flags": "margin_test;harm_not_excluded"}, "not_excluded", "is not excluded"),
        ({**SAFE, "estimate": math.nan}, "not_excluded", "is not excluded"),
    ],
)
def test_guardrails(make: Make, row: dict[str, Any], status: str, words: str) -> None:
    result = verdict(make, SHAM, BEATS, row)
    assert result.harm.status == status
    assert words in result.sentence
    assert result.status == "held"
    assert ("harm" in result.label) == (status != "excluded")


def test_a_decrease_can_harm(make: Make) -> None:
    outcomes = [
        *declared()["outcomes"][:2],
        {**declared()["outcomes"][2], "harm": "decrease"},
    ]
    spec = declared(outcomes=outcomes)
    assert verdict(make, SHAM, BEATS, HARMED, spec=spec).harm.status == "excluded"
    fallen = effect("drift", "ablate", "sham", -0.25, 0.02, role="guardrail")
    assert verdict(make, SHAM, BEATS, fallen, spec=spec).harm.status == "shown"


def test_guardrail_that_was_not_estimated_excludes_nothing(make: Make) -> None:
    assert verdict(make, SHAM, BEATS).harm.status == "not_excluded"


def test_standing(make: Make) -> None:
    manifest = dict(make().manifest)
    rows = (SHAM, BEATS, SAFE)
    unregistered = verdict(make, *rows, manifest={**manifest, "registered": None})
    assert "not registered beforehand and is to be read as exploratory" in unregistered.sentence
    deviating = verdict(make, *rows, manifest={**manifest, "deviations": ["other seed"]})
    assert "registered trial with 1 deviation" in deviating.sentence
    exploratory = verdict(make, *rows, spec=declared(status="exploratory"))
    assert "a lead and not a confirmation" in exploratory.sentence


def test_failed_check_takes_the_verdict_back(make: Make) -> None:
    checks = pd.DataFrame(
        [("sample ratio", "fail", 0.0, 0.001, "Arms are not of the declared sizes.")],
        columns=["check", "status", "value", "limit", "sentence"],
    )
    result = verdict(make, SHAM, BEATS, SAFE, diagnostics=checks)
    assert result.status == "cannot_tell"
    assert "Arms are not of the declared sizes" in result.sentence


def test_nothing_estimated(make: Make) -> None:
    missing = {**SHAM, "estimate": math.nan, "conf_low": math.nan, "conf_high": math.nan}
    result = verdict(make, {**missing, "reject": None}, BEATS)
    assert result.status == "cannot_tell"
    assert "could not be estimated" in result.sentence
    assert "no primary contrast was estimated" in verdict(make, SAFE).sentence


def test_edit_that_reached_no_prompt_refutes_nothing(make: Make) -> None:
    zero = {**SHAM, "estimate": 0.0, "conf_low": 0.0, "conf_high": 0.0, "reject": False}
    zero |= {"flags": "exact_zero", "p_value": 1.0, "p_adjusted": 1.0}
    delivered = verdict(make, zero, SAME, SAFE)
    assert delivered.status == "did_not_hold"
    assert "the same gap on every prompt" in delivered.sentence
    observations = make().observations.assign(received=False)
    record = make(effects=table(zero, SAME), observations=observations)
    from causal_sae.reporting.record import count_flow

    flow = count_flow(record.trial, record.assignment, observations)
    lost = verdict(make, zero, SAME, SAFE, flow=flow)
    assert lost.status == "cannot_tell"
    assert "delivered to no prompt" in lost.sentence


def test_effect_that_is_known_exactly(make: Make) -> None:
    blank = dict.fromkeys(("conf_low", "conf_high", "p_value", "p_adjusted"), math.nan)
    exact = {**blank, "reject": None, "std_error": 0.0, "flags": "finite_population_exact"}
    result = verdict(make, SHAM | exact, BEATS | exact, SAFE)
    assert result.status == "held"
    assert "known exactly for these prompts" in result.sentence
    assert verdict(make, SHAM | exact, SAME | exact, SAFE).status == "did_not_hold"


def test_several_claims_are_tallied(make: Make) -> None:
    rows = [
        effect("gap", "x2", "control", 0.01, 0.05),
        effect("gap", "x4", "control", 0.4, 0.05),
        effect("gap", "x8", "control", 0.8, 0.05),
    ]
    result = verdict(make, *rows, spec=crossover_spec())
    assert result.status == "held_partly"
    assert "of 3 primary claims, 2 held and 1 stayed open" in result.sentence
    assert "x4 raised gap by 0.40" in result.sentence
    assert any("No placebo arm" in caveat for caveat in result.caveats)


def test_caveats_name_failed_refuters_and_flags_but_not_quiet_ones(make: Make) -> None:
    refutations = pd.DataFrame(
        {
            "outcome": "gap",
            "treatment": "ablate",
            "reference": "sham",
            "refuter": ["placebo_treatment", "data_subset", "random_common_cause"],
            "passed": [False, True, None],
            "sentence": ["The effect stayed.", "The effect stayed as it is.", "Not run."],
        }
    )
    row = {**SHAM, "flags": "few_active:12;block_regression"}
    caveats = verdict(make, row, BEATS, SAFE, refutations=refutations).caveats
    assert caveats == (
        "A refuter failed: the effect stayed.",
        "ablate − sham on gap: the feature fires on only 12 treated units.",
    )


def test_verdict_is_one_sentence(make: Make) -> None:
    for rows in ((SHAM, BEATS, SAFE), (SHAM, SAME, HARMED), (NULL, OPEN, UNSURE)):
        sentence = verdict(make, *rows).sentence
        assert sentence.endswith(".")
        assert ". " not in sentence


def _unchanged(role: str = "primary") -> dict[str, Any]:
    """The trial whose first outcome claims that nothing changes by 0.2 either way."""
    first, *others = declared()["outcomes"]
    return declared(outcomes=[{**first, "role": role, "harm": "either", "margin": 0.2}, *others])


@pytest.mark.parametrize(
    ("row", "status", "words"),
    [
        (
            effect("gap", "ablate", "sham", 0.03, 0.04, flags="margin_test;equivalent"),
            "held",
            "ablate leaves gap unchanged within the margin of 0.2 either way",
        ),
        (
            effect("gap", "ablate", "sham", 0.03, 0.15, flags="margin_test;equivalence_not_shown"),
            "cannot_tell",
            "so a difference beyond the margin of 0.2 either way is not excluded",
        ),
        (
            effect("gap", "ablate", "sham", -0.5, 0.05, flags="margin_test;equivalence_not_shown"),
            "did_not_hold",
            "beyond the margin of 0.2 either way",
        ),
    ],
)
def test_a_claim_of_no_change_needs_equivalence(
    make: Make, row: dict[str, Any], status: str, words: str
) -> None:
    result = verdict(make, row, SAFE, spec=_unchanged())
    assert result.status == status
    assert words in result.sentence
    assert "no effect" not in result.sentence


def test_every_contrast_of_a_claim_of_no_change_must_hold(make: Make) -> None:
    near = effect("gap", "ablate", "sham", 0.03, 0.04, flags="margin_test;equivalent")
    far = effect("gap", "ablate", "placebo", 0.5, 0.04, flags="margin_test;equivalence_not_shown")
    assert verdict(make, near, far, SAFE, spec=_unchanged()).status == "did_not_hold"


@pytest.mark.parametrize(
    ("estimate", "se", "flags", "status"),
    [
        (0.0, 0.05, "margin_test;equivalent", "excluded"),
        (0.0, 0.05, "margin_test;harm_not_excluded", "not_excluded"),
        (0.0, 0.05, "", "excluded"),  # a foreign table: the interval tells
        (0.0, 0.15, "", "not_excluded"),
        (0.4, 0.05, "", "shown"),
        (-0.4, 0.05, "", "shown"),
    ],
)
def test_either_direction_can_harm(
    make: Make, estimate: float, se: float, flags: str, status: str
) -> None:
    row = effect("gap", "ablate", "sham", estimate, se, role="guardrail", flags=flags)
    result = verdict(make, row, SAFE, spec=_unchanged("guardrail"))
    assert result.harm.guardrails[0].status == status
    assert "beyond the margin of 0.2 either way" in result.harm.sentence


@pytest.mark.parametrize(
    ("expect", "status"), [("decrease", "held"), ("increase", "did_not_hold"), (None, "held")]
)
def test_an_effect_the_other_way_refutes_a_claim_that_has_a_way(
    make: Make, expect: str | None, status: str
) -> None:
    outcomes = [
        {**outcome, "expect": expect} if outcome["name"] == "gap" else outcome
        for outcome in declared()["outcomes"]
    ]
    result = verdict(make, SHAM, BEATS, SAFE, spec=declared(outcomes=outcomes))
    assert result.status == status
    assert ("but the claim is of an increase" in result.sentence) == (status == "did_not_hold")
