"""What the trial says about its claims, in one sentence."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from causal_sae.reporting import numbers, wording
from causal_sae.reporting.claim import Finding, Status, find, read_claims
from causal_sae.reporting.effect import Effect, flag_notes, read_effects
from causal_sae.reporting.harm import Harm, assess_harm

if TYPE_CHECKING:
    from causal_sae.reporting.record import Manifest, TrialRecord
    from causal_sae.spec import Trial

LABELS: dict[Status, str] = {
    "held": "The claim held",
    "held_partly": "The claim held in part",
    "did_not_hold": "The claim did not hold",
    "cannot_tell": "Cannot tell",
}
QUIET = frozenset(
    {
        "block_interactions",
        "block_regression",
        "confidence_sequence",
        "covariates_absorbed",
        "fixed_draws",
        "hodges_lehmann",
        "matched_pairs",
        "missing_reference",
        "missing_treatment",
        "partial_samples",
        "placebo_draws",
        "stage_wise",
        "stopped_early",
        "units_after_stop",
    }
)
"""Flags of primary contrasts that describe the analysis and take nothing from it."""


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
        find(record.trial, claim, record.flow) for claim in read_claims(record.trial, effects)
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


def _overall(statuses: Sequence[Status]) -> Status:
    if not statuses:
        return "cannot_tell"
    if len(set(statuses)) == 1:
        return statuses[0]
    return "held_partly" if "held" in statuses else "cannot_tell"


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
    flagged = [
        (effect, flag)
        for effect in effects
        if effect.role == "primary"
        for flag in effect.flag_list
        if flag.partition(":")[0] not in QUIET
    ]
    notes = flag_notes(flagged, record.flag_meanings).values()
    out += [f"{wording.listed(note.where)}: {_clause(note.sentence)}" for note in notes]
    return tuple(out)
