"""What the trial says about its claim, by fixed rules, in one sentence.

A claim is one treatment arm on one primary outcome. It held when the effect against every control
is established *and* every placebo is beaten in the same direction. It did not hold when the data
exclude an effect that matters, or show that the placebo did the same or more. Everything else is
open: a p-value above alpha is never taken for the absence of an effect.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from causal_sae.reporting import numbers, wording
from causal_sae.reporting.effect import Effect, flag_meaning, read_effects
from causal_sae.reporting.harm import Harm, assess_harm

if TYPE_CHECKING:
    from causal_sae.reporting.record import Flow, Manifest, TrialRecord
    from causal_sae.spec import Trial

Status = Literal["held", "held_partly", "did_not_hold", "cannot_tell"]
Against = Literal["shown", "reversed", "same", "negligible", "open"]

LABELS: dict[Status, str] = {
    "held": "The claim held",
    "held_partly": "The claim held in part",
    "did_not_hold": "The claim did not hold",
    "cannot_tell": "Cannot tell",
}
SAME_SHARE = 0.5
"""A placebo "did the same" when its interval shows that less than this part of the effect against
control is specific to the treated features."""
STANDARDISED = frozenset({"hedges_g", "hedges_g_adjusted"})
QUIET = frozenset(
    {
        "block_interactions",
        "block_regression",
        "covariates_absorbed",
        "fixed_draws",
        "matched_pairs",
        "partial_samples",
    }
)
"""Flags of primary contrasts that describe the analysis and take nothing from it."""


@dataclass(frozen=True)
class Finding:
    """What was found of one treatment on one primary outcome."""

    status: Status
    sentence: str


@dataclass(frozen=True)
class Verdict:
    """The trial's answer.

    ``sentence`` says everything; ``label`` is its first words; ``caveats`` are what a reader must
    know before using it.
    """

    status: Status
    label: str
    standing: str
    sentence: str
    harm: Harm
    findings: tuple[Finding, ...] = ()
    caveats: tuple[str, ...] = field(default=())


def judge(record: TrialRecord) -> Verdict:
    """The verdict of a run, from its primary contrasts, guardrails and checks."""
    effects = read_effects(record.effects)
    harm = assess_harm(record.trial, effects)
    findings = tuple(
        _find(record.trial, claim, record.flow) for claim in _claims(record.trial, effects)
    )
    failed = _failed_checks(record)
    status = "cannot_tell" if failed else _overall([finding.status for finding in findings])
    standing = _standing(record.trial, record.manifest)
    body = _body(findings, failed)
    tail = f"; {harm.sentence}" if harm.sentence else ""
    return Verdict(
        status=status,
        label=_label(status, harm),
        standing=standing,
        sentence=f"{_opening(status, standing)}: {body}{tail}.",
        harm=harm,
        findings=findings,
        caveats=_caveats(record, effects),
    )


# ---- one claim ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Claim:
    """The contrasts of one treatment on one outcome, by what they are against."""

    outcome: str
    treatment: str
    controls: tuple[Effect, ...]
    placebos: tuple[Effect, ...]
    indirect: tuple[Effect, ...]
    """Placebo against control, where no contrast compares treatment and placebo."""


def _claims(trial: Trial, effects: Sequence[Effect]) -> list[_Claim]:
    parts = {arm.name: wording.part(arm) for arm in trial.arms}
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
        )
        claims.append(_Claim(outcome, treatment, controls, placebos, indirect))
    return claims


def _find(trial: Trial, claim: _Claim, flow: Flow) -> Finding:
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
    if not claim.controls:
        return _against_placebo_only(trial, claim)
    direction = math.copysign(1.0, claim.controls[0].estimate)
    open_rows = [e for e in claim.controls if _against(trial, e, direction) != "shown"]
    if open_rows:
        return _not_shown(trial, open_rows[0], direction)
    if claim.indirect:
        return _indirect(trial, claim)
    return _with_placebo(trial, claim, direction)


def _against_placebo_only(trial: Trial, claim: _Claim) -> Finding:
    direction = math.copysign(1.0, claim.placebos[0].estimate)
    open_rows = [e for e in claim.placebos if _against(trial, e, direction) != "shown"]
    if open_rows:
        return _not_shown(trial, open_rows[0], direction)
    return Finding("held", listed_moves(claim.placebos))


def _with_placebo(trial: Trial, claim: _Claim, direction: float) -> Finding:
    total = claim.controls[0]
    moved = listed_moves(claim.controls)
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


def _indirect(trial: Trial, claim: _Claim) -> Finding:
    """Treatment and placebo were each compared with control, but not with each other."""
    total, moved = claim.controls[0], listed_moves(claim.controls)
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


def _overall(statuses: Sequence[Status]) -> Status:
    if not statuses:
        return "cannot_tell"
    if len(set(statuses)) == 1:
        return statuses[0]
    return "held_partly" if "held" in statuses else "cannot_tell"


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
    return f"{numbers.magnitude(e.estimate, e.conf_low, e.conf_high)} ({_evidence(e)})"


def _signed(e: Effect) -> str:
    places = numbers.with_interval(e.estimate, e.conf_low, e.conf_high).split(" [")[0]
    return f"{places} ({_evidence(e)})"


def listed_moves(rows: Sequence[Effect]) -> str:
    """``ablate lowered gap by 0.42 (...) against sham and by 0.40 (...) against control``."""
    first = rows[0]
    verb = "lowered" if first.estimate < 0 else "raised"
    by = wording.listed([f"by {_amount(e)} against {e.reference}" for e in rows])
    return f"{first.treatment} {verb} {first.outcome} {by}"


def _label(status: Status, harm: Harm) -> str:
    if status in {"held", "held_partly"} and harm.status == "shown":
        return f"{LABELS[status]}, with harm"
    if status in {"held", "held_partly"} and harm.status == "not_excluded":
        return f"{LABELS[status]}, harm not excluded"
    return LABELS[status]


def _standing(trial: Trial, manifest: Manifest) -> str:
    if trial.status == "exploratory":
        return "this exploratory trial, which gives a lead and not a confirmation"
    if not manifest.get("registered"):
        return "this trial, which was not registered beforehand and is to be read as exploratory"
    deviations = len(manifest.get("deviations", []))
    if deviations:
        return f"this registered trial with {numbers.count(deviations, 'deviation')}"
    return "this registered trial"


def _opening(status: Status, standing: str) -> str:
    pause = "," if "," in standing else ""
    if status == "cannot_tell":
        return f"{standing[0].upper()}{standing[1:]}{pause} cannot tell"
    answer = LABELS[status][0].lower() + LABELS[status][1:]
    return f"In {standing}{pause} {answer}"


def _body(findings: Sequence[Finding], failed: Sequence[str]) -> str:
    if failed:
        return f"a check failed ({failed[0]}), so its numbers are not to be read as effects"
    if not findings:
        return "no primary contrast was estimated"
    if len(findings) == 1:
        return findings[0].sentence
    return f"{_tally(findings)}; {_leading(findings).sentence}"


def _tally(findings: Sequence[Finding]) -> str:
    total = numbers.count(len(findings), "primary claim")
    parts = [
        f"{sum(f.status == status for f in findings)} {words}"
        for status, words in (
            ("held", "held"),
            ("did_not_hold", "did not hold"),
            ("cannot_tell", "stayed open"),
        )
        if any(f.status == status for f in findings)
    ]
    return f"of {total}, {wording.listed(parts)}"


def _leading(findings: Iterable[Finding]) -> Finding:
    """The first finding that held, else the first: what a mixed verdict quotes."""
    ordered = list(findings)
    return next((f for f in ordered if f.status == "held"), ordered[0])


def _clause(sentence: str) -> str:
    """A sentence after a colon: no capital in front, one full stop behind."""
    return f"{sentence[:1].lower()}{sentence[1:].rstrip('.')}."


def _failed_checks(record: TrialRecord) -> list[str]:
    checks = record.diagnostics
    if checks is None or checks.empty:
        return []
    failed = checks.loc[checks["status"] == "fail"]
    texts = failed["sentence"] if "sentence" in failed else failed["check"]
    return [str(text).strip().rstrip(".") for text in texts]


def _failed_refuters(record: TrialRecord) -> list[str]:
    """The sentences of refuters that failed; one that was not run has no verdict."""
    table = record.refutations
    if table is None or table.empty:
        return []
    ran = table.loc[table["passed"].notna()]
    return [str(text) for text in ran.loc[~ran["passed"].astype(bool), "sentence"]]


def _caveats(record: TrialRecord, effects: Sequence[Effect]) -> tuple[str, ...]:
    out: list[str] = []
    parts = {wording.part(arm) for arm in record.trial.arms}
    if "placebo" not in parts and "active" in parts:
        out.append(
            "No placebo arm: whether other features, or any push of the same size, would do the "
            "same was not tested."
        )
    out += [f"A refuter failed: {_clause(text)}" for text in _failed_refuters(record)]
    flagged = dict.fromkeys(
        f"{e.contrast} on {e.outcome}: {_clause(flag_meaning(flag, record.flag_meanings))}"
        for e in effects
        if e.role == "primary"
        for flag in e.flag_list
        if flag.partition(":")[0] not in QUIET
    )
    return (*out, *flagged)
