"""Whether the treatments are shown to spare what they must not touch.

A guardrail is a non-inferiority question, or one of equivalence where either direction harms: harm
is excluded when the adjusted test against the margin rejects, never because a test of no difference
fails to. Where a foreign table of effects
does not tell, the whole interval must stay short of the margin.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from causal_sae.reporting import numbers, wording
from causal_sae.reporting.effect import Effect

if TYPE_CHECKING:
    from causal_sae.spec import Outcome, Trial

HarmStatus = Literal["excluded", "not_excluded", "shown", "none_declared"]


@dataclass(frozen=True)
class Guardrail:
    """One treatment on one guardrail outcome."""

    outcome: str
    treatment: str
    reference: str
    status: HarmStatus
    margin: float | None
    harm: Literal["increase", "decrease", "either"]
    effect: Effect | None
    sentence: str


@dataclass(frozen=True)
class Harm:
    """The worst that the guardrails say, and each of them."""

    status: HarmStatus
    sentence: str
    guardrails: tuple[Guardrail, ...] = ()


def signed_margins(outcome: Outcome) -> tuple[float, ...]:
    """The margins on the axis of the estimate.

    Above zero where an increase harms, below where a decrease does, both where either.
    """
    if outcome.margin is None:
        return ()
    sides = {"increase": (1,), "decrease": (-1,)}.get(outcome.harm, (-1, 1))
    return tuple(side * outcome.margin for side in sides)


def assess_harm(trial: Trial, effects: Sequence[Effect]) -> Harm:
    """Every treatment arm against its control on every guardrail outcome."""
    outcomes = [outcome for outcome in trial.outcomes if outcome.role == "guardrail"]
    if not outcomes:
        return Harm("none_declared", "")
    parts = {arm.name: wording.part(arm) for arm in trial.arms}
    active = [name for name, part in parts.items() if part == "active"]
    treatments = active or list(dict.fromkeys(t for t, _ in trial.contrasts))
    rails = tuple(
        _assess(outcome, treatment, _against_control(effects, outcome.name, treatment, parts))
        for outcome in outcomes
        for treatment in treatments
    )
    return Harm(_worst(rails), _summary(rails), rails)


def _against_control(
    effects: Sequence[Effect], outcome: str, treatment: str, parts: dict[str, wording.Part]
) -> Effect | None:
    rows = [e for e in effects if e.outcome == outcome and e.treatment == treatment]
    return next((e for e in rows if parts.get(e.reference) == "control"), None)


def _assess(outcome: Outcome, treatment: str, effect: Effect | None) -> Guardrail:
    def rail(status: HarmStatus, sentence: str) -> Guardrail:
        reference = effect.reference if effect else ""
        return Guardrail(
            outcome.name,
            treatment,
            reference,
            status,
            outcome.margin,
            outcome.harm,
            effect,
            sentence,
        )

    if effect is None or not (effect.estimated or effect.exact):
        return rail("not_excluded", "Not estimated against a control arm.")
    if outcome.margin is None:
        return rail("not_excluded", "No margin was declared, so no harm can be excluded.")
    return rail(*hold_against(effect, signed_margins(outcome)))


def hold_against(effect: Effect, margins: Sequence[float]) -> tuple[HarmStatus, str]:
    """Hold an effect against its margin, or both of them, on the axis of the estimate."""
    if effect.exact:
        excluded = all(_short(effect.estimate, margin) for margin in margins)
        short = "falls short of" if excluded else "reaches"
        status: HarmStatus = "excluded" if excluded else "shown"
        return status, f"The effect on these prompts is known and {short} the margin."
    ends = (effect.conf_low, effect.conf_high)
    if any(all(_past(end, margin) for end in ends) for margin in margins):
        return "shown", "The whole interval lies beyond the margin."
    if {"non_inferior", "equivalent"} & set(effect.flag_list):
        return "excluded", "The adjusted test against the margin rejects harm that large."
    if {"harm_not_excluded", "equivalence_not_shown"} & set(effect.flag_list):
        return "not_excluded", "The adjusted test against the margin does not reject harm so large."
    if all(_short(end, margin) for end in ends for margin in margins):
        return "excluded", "The whole interval stays short of the margin."
    return "not_excluded", "The interval reaches the margin."


def _short(value: float, margin: float) -> bool:
    """Whether a value is on zero's side of a margin."""
    return value < margin if margin > 0 else value > margin


def _past(value: float, margin: float) -> bool:
    """Whether a value is on the far side of a margin."""
    return value > margin if margin > 0 else value < margin


def _worst(rails: Sequence[Guardrail]) -> HarmStatus:
    order: tuple[HarmStatus, ...] = ("shown", "not_excluded", "excluded")
    return next(status for status in order if any(r.status == status for r in rails))


def _summary(rails: Sequence[Guardrail]) -> str:
    worst = _worst(rails)
    names = wording.listed(list(dict.fromkeys(_beyond(r) for r in rails if r.status == worst)))
    treatments = list(dict.fromkeys(r.treatment for r in rails))
    worst_arms = list(dict.fromkeys(r.treatment for r in rails if r.status == worst))
    under = f" under {wording.listed(worst_arms)}" if worst_arms != treatments else ""
    if worst == "excluded":
        return f"harm to {names} is excluded"
    if worst == "shown":
        return f"but harm to {names} is shown{under}"
    return f"but harm to {names} is not excluded{under}"


def _beyond(rail: Guardrail) -> str:
    if rail.margin is None:
        return f"{rail.outcome} (no margin declared)"
    either = " either way" if rail.harm == "either" else ""
    return f"{rail.outcome} beyond the margin of {numbers.declared(rail.margin)}{either}"
