"""One claim: a treatment arm on a primary outcome, and what its contrasts say of it, by rule.

A claim held when the effect against every control is established *and* every placebo is beaten in
the same direction. It did not hold when the data exclude an effect that matters, or show that the
placebo did the same or more. Everything else is open: a p-value above alpha is never taken for the
absence of an effect.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from causal_sae.reporting import numbers, wording
from causal_sae.reporting.effect import Effect
from causal_sae.reporting.harm import HarmStatus, hold_against, signed_margins

if TYPE_CHECKING:
    from causal_sae.reporting.record import Flow
    from causal_sae.spec import Outcome, Trial

Status = Literal["held", "held_partly", "did_not_hold", "cannot_tell"]
Against = Literal["shown", "reversed", "same", "negligible", "open"]

SAME_SHARE = 0.5
"""A placebo "did the same" when its interval shows that less than this part of the effect against
control is specific to the treated features."""
WAYS = {"increase": "an increase", "decrease": "a decrease"}
STANDARDISED = frozenset({"hedges_g", "hedges_g_av", "hedges_g_adjusted"})


@dataclass(frozen=True)
class Finding:
    """What was found of one treatment on one primary outcome."""

    status: Status
    sentence: str


@dataclass(frozen=True)
class Claim:
    """The contrasts of one treatment on one outcome, by what they are against."""

    outcome: str
    treatment: str
    controls: tuple[Effect, ...]
    placebos: tuple[Effect, ...]
    indirect: tuple[Effect, ...]
    """Placebo against control, where no contrast compares treatment and placebo."""


def read_claims(trial: Trial, effects: Sequence[Effect]) -> list[Claim]:
    """The claims of a trial, in the order of its table of effects."""
    parts = {arm.name: wording.part(arm) for arm in trial.arms}
    several = {e.treatment for e in effects if e.of_several_arms}
    parts |= dict.fromkeys(several - set(parts), "active")  # a claim of its own, of no one arm
    rows = [e for e in effects if e.role == "primary" and e.treatment in parts]
    active = [e for e in rows if parts[e.treatment] == "active"]
    # A trial of placebos or of the splice alone still asks something: then its own rows are it.
    chosen = active or rows
    claims = []
    for outcome, treatment in dict.fromkeys((e.outcome, e.treatment) for e in chosen):
        own = [e for e in chosen if (e.outcome, e.treatment) == (outcome, treatment)]
        placebos = tuple(e for e in own if parts.get(e.reference) == "placebo")
        controls = tuple(e for e in own if e not in placebos)
        indirect = tuple(
            e
            for e in rows
            if e.outcome == outcome and parts[e.treatment] == "placebo" and active and not placebos
            if treatment not in several
        )
        claims.append(Claim(outcome, treatment, controls, placebos, indirect))
    return claims


def find(trial: Trial, claim: Claim, flow: Flow) -> Finding:
    """What the contrasts of a claim say of it."""
    rows = (*claim.controls, *claim.placebos)
    if _delivered_nothing(flow, claim.treatment):
        return Finding("cannot_tell", f"the edit of {claim.treatment} was delivered to no prompt")
    broken = [e for e in rows if not (e.estimated or e.exact)]
    if broken:
        return Finding(
            "cannot_tell",
            f"the effect of {claim.treatment} on {claim.outcome} against "
            f"{broken[0].reference} could not be estimated",
        )
    outcome = trial.outcome(claim.outcome)
    if outcome.harm == "either" and outcome.margin is not None:
        return _equivalence(outcome, rows)
    if not claim.controls:
        return _against_placebo_only(trial, claim)
    direction = _direction(outcome, claim.controls[0])
    open_rows = [e for e in claim.controls if _against(trial, e, direction) != "shown"]
    if open_rows:
        return _not_shown(trial, open_rows[0], direction)
    if claim.indirect:
        return _indirect(trial, claim)
    return _with_placebo(trial, claim, direction)


def _direction(outcome: Outcome, first: Effect) -> float:
    """The way in which the claim goes: as declared, or as its first contrast went."""
    declared = {"increase": 1.0, "decrease": -1.0, None: first.estimate}
    return math.copysign(1.0, declared[outcome.expect])


def _equivalence(outcome: Outcome, rows: Sequence[Effect]) -> Finding:
    """The claim is that nothing changes: it holds when every contrast excludes the margin."""
    margins = signed_margins(outcome)
    found = [hold_against(e, margins)[0] for e in rows]
    margin = f"the margin of {numbers.declared(margins[-1])} either way"
    if all(status == "excluded" for status in found):
        apart = wording.listed([f"{_signed(e)} against {e.reference}" for e in rows])
        return Finding(
            "held",
            f"{rows[0].treatment} leaves {outcome.name} unchanged within {margin}: the difference "
            f"is {apart}",
        )
    worst: HarmStatus = "shown" if "shown" in found else "not_excluded"
    e = rows[found.index(worst)]
    about = f"the difference of {e.treatment} from {e.reference} in {e.outcome} is {_signed(e)}"
    if worst == "shown":
        return Finding("did_not_hold", f"{about}, beyond {margin}")
    return Finding("cannot_tell", f"{about}, so a difference beyond {margin} is not excluded")


def _against_placebo_only(trial: Trial, claim: Claim) -> Finding:
    direction = _direction(trial.outcome(claim.outcome), claim.placebos[0])
    open_rows = [e for e in claim.placebos if _against(trial, e, direction) != "shown"]
    if open_rows:
        return _not_shown(trial, open_rows[0], direction)
    return Finding("held", _moves(claim.placebos))


def _with_placebo(trial: Trial, claim: Claim, direction: float) -> Finding:
    total = claim.controls[0]
    moved = _moves(claim.controls)
    for e in claim.placebos:
        verdict = _against(trial, e, direction, total)
        if verdict != "shown":
            return _placebo_did(trial, e, verdict, moved)
    if not claim.placebos:
        return Finding("held", moved)
    nouns = wording.listed(
        list(dict.fromkeys(wording.placebo_noun(trial.arm(e.reference)) for e in claim.placebos))
    )
    beaten = wording.listed([f"by {_amount(e)} against {e.reference}" for e in claim.placebos])
    return Finding("held", f"{moved} and {beaten}, so {nouns} did not do the same")


def _placebo_did(trial: Trial, e: Effect, verdict: Against, moved: str) -> Finding:
    noun = wording.placebo_noun(trial.arm(e.reference))
    difference = f"against {e.reference} the difference is {_signed(e)}"
    if verdict == "open":
        return Finding(
            "cannot_tell", f"{moved}, but whether {noun} did the same stays open: {difference}"
        )
    did = {
        "same": ("did the same", f", less than {SAME_SHARE:.0%} of that effect"),
        "reversed": ("did more", ""),
        "negligible": ("did the same", ", too small to matter"),
    }[verdict]
    return Finding("did_not_hold", f"{moved}, but {noun} {did[0]}: {difference}{did[1]}")


def _indirect(trial: Trial, claim: Claim) -> Finding:
    """Treatment and placebo were each compared with control, but not with each other."""
    total, moved = claim.controls[0], _moves(claim.controls)
    for e in claim.indirect:
        # A bound that is not known compares false: then the two are not told apart.
        apart = e.conf_low > total.conf_high or e.conf_high < total.conf_low
        more = e.estimate * math.copysign(1.0, total.estimate) > abs(total.estimate)
        if not apart or more:
            noun = wording.placebo_noun(trial.arm(e.treatment))
            return Finding(
                "cannot_tell",
                f"{moved}, but no contrast compares it with {e.treatment} ({_signed(e)} against "
                f"{e.reference}), so whether {noun} did the same stays open",
            )
    names = wording.listed([e.treatment for e in claim.indirect])
    return Finding("held", f"{moved}, an interval wholly beyond that of {names}")


def _not_shown(trial: Trial, e: Effect, direction: float) -> Finding:
    verdict = _against(trial, e, direction)
    about = f"the difference of {e.treatment} from {e.reference} in {e.outcome} is {_signed(e)}"
    if _furthest(e) == 0:
        return Finding(
            "did_not_hold",
            f"{e.treatment} and {e.reference} give the same {e.outcome} on every prompt",
        )
    if verdict == "negligible":
        return Finding(
            "did_not_hold",
            f"{about}, which leaves no room for the smallest effect that matters "
            f"({_planned(trial)})",
        )
    expected = trial.outcome(e.outcome).expect
    if verdict == "reversed" and expected is not None:
        return Finding("did_not_hold", f"{about}, but the claim is of {WAYS[expected]}")
    if verdict == "reversed":
        return Finding("cannot_tell", f"{about}, in the other direction than against the others")
    excludes_zero = e.conf_low > 0 or e.conf_high < 0
    if excludes_zero:
        tests = numbers.count(e.family_size, "test")
        return Finding(
            "cannot_tell",
            f"{about}; the interval excludes zero, but the test does not "
            f"reject once {tests} are adjusted for",
        )
    return Finding(
        "cannot_tell", f"{about}, so neither an effect nor the absence of one is established"
    )


# ---- rules --------------------------------------------------------------------------------------


def _against(trial: Trial, e: Effect, direction: float, total: Effect | None = None) -> Against:
    """What one contrast shows; ``total`` is the effect against control, for a placebo contrast."""
    if _negligible(trial, e):
        return "negligible"
    if e.exact and total is not None and abs(e.estimate) < SAME_SHARE * abs(total.estimate):
        return "same"
    if e.exact or e.reject:
        return "shown" if e.estimate * direction > 0 else "reversed"
    return "same" if total is not None and _same(e, total) else "open"


def _same(e: Effect, total: Effect) -> bool:
    """Whether less than half of the effect against control can be specific, both bounds counted."""
    nearest = abs(total.estimate) if total.exact else min(abs(total.conf_low), abs(total.conf_high))
    return _furthest(e) < SAME_SHARE * nearest


def _furthest(e: Effect) -> float:
    return abs(e.estimate) if e.exact else max(abs(e.conf_low), abs(e.conf_high))


def _negligible(trial: Trial, e: Effect) -> bool:
    """Whether there is no difference at all, or the whole interval is too small to matter."""
    if _furthest(e) == 0:
        return True
    if trial.power is None or trial.power.effect == 0:
        return False
    smallest = abs(trial.power.effect)
    if trial.power.unit == "outcome":
        return _furthest(e) < smallest
    if e.effect_size_kind not in STANDARDISED:
        return False  # other sizes are not in the standard deviations that the plan speaks of
    return max(abs(e.effect_size_low), abs(e.effect_size_high)) < smallest


def _delivered_nothing(flow: Flow, treatment: str) -> bool:
    return any(arm.arm == treatment and arm.delivered == 0 for arm in flow.arms)


def _planned(trial: Trial) -> str:
    if trial.power is None:
        return ""
    unit = " SD" if trial.power.unit == "sd" else ""
    return f"{numbers.declared(abs(trial.power.effect))}{unit}"


# ---- words --------------------------------------------------------------------------------------


def _evidence(e: Effect) -> str:
    if e.exact:
        return "known exactly for these prompts"
    bounds = numbers.interval(e.estimate, e.conf_low, e.conf_high)
    p = numbers.p_value(e.p)
    joint = "" if p.startswith(("<", ">")) else "=\N{NO-BREAK SPACE}"
    level = numbers.level(e.conf_level)
    return f"{level} CI {bounds}; {e.adjusted} p\N{NO-BREAK SPACE}{joint}{p}".strip()


def _amount(e: Effect) -> str:
    per = " per unit of dose" if e.estimand.startswith("linear trend") else ""
    return f"{numbers.magnitude(e.estimate, e.conf_low, e.conf_high)}{per} ({_evidence(e)})"


def _signed(e: Effect) -> str:
    places = numbers.with_interval(e.estimate, e.conf_low, e.conf_high).split(" [")[0]
    return f"{places} ({_evidence(e)})"


def _moves(rows: Sequence[Effect]) -> str:
    """``ablate lowered gap by 0.42 (...) against sham and by 0.40 (...) against control``."""
    first = rows[0]
    verb = "lowered" if first.estimate < 0 else "raised"
    by = wording.listed([f"by {_amount(e)} against {e.reference}" for e in rows])
    return f"{first.treatment} {verb} {first.outcome} {by}"
