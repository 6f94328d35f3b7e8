"""The content of the page's sections, as plain rows that the template sets in type."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from causal_sae.reporting import numbers, wording
from causal_sae.reporting.effect import flag_notes
from causal_sae.reporting.record import Flow, Manifest, TrialRecord, main_outcome, usable
from causal_sae.spec.prompts import prompts_source

if TYPE_CHECKING:
    from causal_sae.reporting.effect import Effect
    from causal_sae.spec import Trial

BALANCE_LIMIT = 0.1
"""Standardised differences beyond this are marked."""
ESTIMANDS = {
    "treatment policy": "Intention to treat: every randomised prompt with a value, in the arm it "
    "was assigned to",
    "active stratum": "Active stratum: prompts on which the feature fired on the untouched pass",
    "per protocol": "Per protocol: prompts whose intervention was delivered as declared",
    "superpopulation": "the claim is about prompts like these",
    "finite population": "the claim is about these prompts only",
    "principal stratum (exposed)": "Principal stratum: prompts on which the feature fired on the "
    "untouched pass",
    "placebos at random": "and about placebos like those drawn, not about these alone",
    "units drawn": "the claim is about the prompts drawn, in the proportions drawn",
}
"""Parts of an estimand's name, which commas separate, in words."""
HARMS = {
    "increase": "increase does harm",
    "decrease": "decrease does harm",
    "either": "in either direction",
}
"""Which side of a margin is tested, in words."""
DELIVERY = {
    "activation_before": "Activation before",
    "activation_asked": "Asked for",
    "activation_found": "Found after",
    "dose": "Dose",
    "norm_ratio": "Change / residual norm",
    "kl_at_hook": "KL at the hook",
}
"""Columns of the observations that tell what was delivered, and their headings."""


@dataclass(frozen=True)
class Fact:
    """A term and what is to be said of it."""

    term: str
    text: str


@dataclass(frozen=True)
class Delivery:
    """What one arm received: a share and means over prompts."""

    arm: str
    exposed: str
    delivered: str
    means: tuple[str, ...]


def facts(trial: Trial) -> list[Fact]:
    """The trial at a glance."""
    out = [Fact("Design", wording.design(trial) + ".")]
    if trial.model:
        model = f"{wording.source(trial.model.source)} ({trial.model.dtype})"
        out.append(Fact("Model", model))
    if trial.sae:
        hook = f", read at {trial.sae.hook}" if trial.sae.hook else ""
        out.append(Fact("SAE", f"{wording.source(trial.sae.source)}{hook}"))
    out.append(Fact("Edited", wording.positions(trial).capitalize() + "."))
    return out


def estimand(trial: Trial) -> list[Fact]:
    """The five attributes of ICH E9(R1), for the primary outcome."""
    population, outcome = trial.population, trial.outcome(main_outcome(trial))
    who = "The prompts of the observations"
    if population is not None:
        claim = {
            "superpopulation": "prompts like those of",
            "finite": "exactly the prompts of",
        }[population.claim]
        source = prompts_source(population)[0].name
        who = f"{claim} {source}{_eligible(trial)}{_drawn(trial)}".capitalize()
    contrasts = wording.listed([f"{t} against {r}" for t, r in trial.contrasts])
    return [
        Fact("Population", f"{who}."),
        Fact("Treatments", f"{contrasts}."),
        Fact("Variable", f"{outcome.name}: {wording.outcome(outcome)}."),
        Fact(
            "Intercurrent events",
            "A prompt on which the feature never fires stays in its arm (treatment policy); "
            "prompts without a value are left out and counted by reason.",
        ),
        Fact("Summary", "Mean under treatment minus mean under reference."),
    ]


def _eligible(trial: Trial) -> str:
    rules = trial.population.eligibility if trial.population else None
    if rules is None:
        return ""
    parts = []
    if rules.min_tokens is not None:
        parts.append(f"at least {numbers.count(rules.min_tokens, 'token')}")
    if rules.max_tokens is not None:
        parts.append(f"at most {numbers.count(rules.max_tokens, 'token')}")
    if rules.active is not None:
        times = numbers.count(rules.active.min_tokens, "token")
        parts.append(f"feature {rules.active.feature} active on {times} or more")
    return f" with {wording.listed(parts)}" if parts else ""


def _drawn(trial: Trial) -> str:
    enrich = trial.population.enrich if trial.population else None
    if enrich is None:
        return ""
    also = f" and {enrich.unexposed:,} unexposed" if enrich.unexposed else ""
    return (
        f", of which {enrich.exposed:,} exposed{also} prompts were drawn (exposed: feature "
        f"{enrich.feature} fires)"
    )


def arms(trial: Trial) -> list[dict[str, str]]:
    """Each arm in words."""
    return [
        {
            "name": arm.name,
            "part": wording.PARTS[wording.part(arm)],
            "text": wording.intervention(arm.intervention),
            "label": arm.label or "",
        }
        for arm in trial.arms
    ]


def outcomes(trial: Trial) -> list[dict[str, str]]:
    """Each outcome in words."""
    return [
        {
            "name": outcome.name,
            "role": outcome.role,
            "text": wording.outcome(outcome),
            "margin": ""
            if outcome.margin is None
            else f"{numbers.declared(outcome.margin)}, {HARMS[outcome.harm]}",
        }
        for outcome in trial.outcomes
    ]


def delivery(record: TrialRecord) -> tuple[list[str], list[Delivery]]:
    """What each arm received, and the headings of the means that were recorded."""
    rows = record.observations.loc[record.observations["outcome"] == record.flow.outcome]
    kept = [c for c in DELIVERY if c in rows and rows[c].notna().any()]
    out = []
    for arm in record.flow.arms:
        of_arm = rows.loc[rows["arm"] == arm.arm]
        means = tuple(numbers.number(float(of_arm[column].mean())) for column in kept)
        out.append(Delivery(arm.arm, _share(arm.exposed, arm), _share(arm.delivered, arm), means))
    return [DELIVERY[column] for column in kept], out


def _share(part: int | None, arm: object) -> str:
    whole = int(getattr(arm, "randomised", 0))
    return numbers.MISSING if part is None else f"{part:,} ({numbers.percent(part, whole)})"


def balance(table: pd.DataFrame) -> list[dict[str, str | bool]]:
    """Baseline means and standardised differences."""
    return [
        {
            "covariate": str(row["covariate"]),
            "contrast": f"{row['arm']} {numbers.MINUS} {row['reference']}",
            "treatment": numbers.number(float(row["mean_treatment"])),
            "reference": numbers.number(float(row["mean_reference"])),
            "sd": numbers.number(float(row["sd"])),
            "smd": numbers.fixed(float(row["smd"]), 3),
            "beyond": abs(float(row["smd"])) > BALANCE_LIMIT,
        }
        for _, row in table.iterrows()
    ]


def analysis_sets(effects: Sequence[Effect]) -> list[dict[str, str]]:
    """Which prompts each estimand speaks of, and how it was estimated."""
    pairs = dict.fromkeys((e.estimand, e.estimator) for e in effects)
    return [
        {
            "estimand": estimand,
            "set": _estimand_words(estimand),
            "estimator": wording.ESTIMATORS.get(estimator, estimator.replace("_", " ")),
            "outcomes": wording.listed(
                list(
                    dict.fromkeys(
                        e.outcome
                        for e in effects
                        if (e.estimand, e.estimator) == (estimand, estimator)
                    )
                )
            ),
        }
        for estimand, estimator in pairs
    ]


def _estimand_words(estimand: str) -> str:
    parts = [part.strip().replace("_", " ") for part in estimand.split(",")]
    return "; ".join(ESTIMANDS.get(part, part) for part in parts)


def missing(observations: pd.DataFrame) -> list[dict[str, str | int]]:
    """Observations without a value, by outcome, arm and reason."""
    lost = observations.loc[~usable(observations)]
    if lost.empty:
        return []
    status = lost.get("status")
    if status is None:
        reasons = pd.Series("no reason given", index=lost.index)
    else:
        reasons = status.astype("string").fillna("no reason given").replace("ok", "not a number")
    counts = lost.assign(reason=reasons).value_counts(["outcome", "arm", "reason"], sort=False)
    return [
        {"outcome": str(row[0]), "arm": str(row[1]), "reason": str(row[2]), "count": int(row[3])}
        for row in counts.reset_index().itertuples(index=False, name=None)
    ]


def missingness(table: pd.DataFrame | None) -> list[dict[str, str]]:
    """What is missing from each contrast, and how far it could move the effect."""
    return [] if table is None else [_missing_from(row) for _, row in table.iterrows()]


def _missing_from(row: pd.Series) -> dict[str, str]:
    low, high = float(row["bound_low"]), float(row["bound_high"])
    ends = (float(row["conf_low"]), float(row["conf_high"]))
    places = numbers.places((low + high) / 2, low, high) if low < high else 3
    bounded, interval = math.isfinite(low), all(math.isfinite(end) for end in ends)
    note = row["note"]

    def between(pair: tuple[float, float]) -> str:
        return " to ".join(numbers.fixed(value, places) for value in pair)

    def arm(which: str) -> str:
        reasons = row[f"reasons_{which}"]
        told = f" ({reasons})" if isinstance(reasons, str) and reasons else ""
        return f"{int(row[f'missing_{which}'])} of {int(row[f'n_{which}'])}{told}"

    return {
        "outcome": str(row["outcome"]),
        "contrast": f"{row['treatment']} {numbers.MINUS} {row['reference']}",
        "treatment": arm("treatment"),
        "reference": arm("reference"),
        "estimate": numbers.fixed(float(row["estimate"]), places),
        "bounds": between((low, high)) if bounded else numbers.MISSING,
        "interval": between(ends) if interval else numbers.MISSING,
        "level": numbers.level(float(row["conf_level"])) if interval else "",
        "note": note if isinstance(note, str) else "",
    }


def flags(effects: Sequence[Effect], meanings: Mapping[str, str]) -> dict[str, list[str]]:
    """What each flag means, and the contrasts that carry it."""
    flagged = [(effect, flag) for effect in effects for flag in effect.notable_flags]
    return {note.sentence: note.where for note in flag_notes(flagged, meanings).values()}


def looks(trial: Trial, manifest: Manifest) -> str:
    """Where a trial with looks before its end stopped; empty for other trials."""
    if trial.analysis.looks is None:
        return ""
    rule = wording.sentence(wording.looks(trial.analysis.looks))
    counts = manifest.get("looks")
    if counts is None:
        return f"The trial was looked at before its end. {rule}"
    if counts["made"] < counts["planned"]:
        return (
            f"The trial stopped at look {counts['made']} of {counts['planned']}, after "
            f"{counts['units_run']:,} of {counts['units_planned']:,} prompts. {rule}"
        )
    return f"The trial was looked at before its end and ran to it. {rule}"


def registration(trial: Trial, manifest: Manifest) -> str:
    """Whether the trial was registered before it ran."""
    when = manifest.get("registered")
    if not when:
        kind = "declared confirmatory but " if trial.status == "confirmatory" else ""
        return f"This trial was {kind}not registered before it ran."
    return f"Registered {when}."


def provenance(manifest: Manifest) -> list[Fact]:
    """Where the run came from, without the longer tables."""
    keys: dict[str, object] = {
        "Run": manifest.get("run_id"),
        "Command": manifest.get("command"),
        "Seed": manifest.get("seed"),
        "Device": manifest.get("device"),
        "Started": manifest.get("started"),
        "Finished": manifest.get("finished"),
    }
    return [Fact(term, str(value)) for term, value in keys.items() if value is not None]


def timings(manifest: Manifest) -> list[Fact]:
    """Stages and how long they took."""
    stages: Mapping[str, float] = manifest.get("timings", {})
    return [Fact(stage, numbers.seconds(float(took))) for stage, took in stages.items()]


def limitations(record: TrialRecord, effects: Sequence[Effect]) -> list[str]:
    """What the design cannot tell, by rule."""
    trial = record.trial
    out = [
        "The result speaks of one model and one SAE; another dictionary of the same layer may "
        "carve the same behaviour differently."
    ]
    claim = trial.population.claim if trial.population else "superpopulation"
    if claim == "superpopulation":
        out.append(
            "Intervals take the prompts for a sample of those that the claim is about; they say "
            "nothing of prompts written in another way."
        )
    else:
        out.append("The result speaks of these prompts only.")
    out += _losses(record, effects)
    if all(wording.part(arm) != "placebo" for arm in trial.arms):
        out.append("There is no placebo arm, so specificity to the treated features is untested.")
    out += _unadjusted(effects)
    if trial.status == "exploratory" or not record.manifest.get("registered"):
        out.append("Choices made after seeing data cannot be excluded without a registration.")
    return out


def _losses(record: TrialRecord, effects: Sequence[Effect]) -> list[str]:
    """What missing outcomes leave open."""
    lost = [e for e in effects if any(f.startswith("missing_") for f in e.flag_list)]
    if not lost:
        return []
    names = wording.listed(list(dict.fromkeys(e.outcome for e in lost)))
    out = [
        f"Outcomes are missing ({names}). The analysis is of complete cases, which is right only "
        "if what was lost does not depend on the outcome; the data cannot show that."
    ]
    uneven = [e for e in lost if "differential_missing" in e.flag_list]
    if uneven:
        where = wording.listed([f"{e.contrast} on {e.outcome}" for e in uneven])
        out.append(
            "More is missing in one arm than in the other, so complete cases may no longer be "
            f"comparable: {where}."
        )
    table = record.companions.get("missingness")
    primary = {e.outcome for e in effects if e.role == "primary"}
    for row in [] if table is None else missingness(table[table["outcome"].isin(primary)]):
        if row["bounds"] != numbers.MISSING:
            out.append(
                f"Whatever the missing values are, the effect {row['contrast']} on "
                f"{row['outcome']} would be from {row['bounds']} among the assigned prompts."
            )
    return out


def _unadjusted(effects: Sequence[Effect]) -> list[str]:
    """What must be said where intervals do not hold together though p-values were corrected."""
    several = [e for e in effects if e.family_size > 1 and e.estimated]
    alone = [e for e in several if "simultaneous_interval" not in e.flag_list]
    if not alone:
        return []
    which = "Confidence intervals are" if len(alone) == len(several) else "Some intervals are"
    return [f"{which} not adjusted for multiplicity; the adjusted p-values are."]


def columns(flow: Flow) -> int:
    """How many arms stand side by side in the flow diagram."""
    return min(len(flow.arms), 5)


def harm_bound(effect: Effect | None, harm: str) -> str:
    """The bound of the interval that faces the margin."""
    if effect is None or not effect.estimated:
        return numbers.MISSING
    ends = {"increase": effect.conf_high, "decrease": effect.conf_low}
    bound = ends.get(harm, max(effect.conf_low, effect.conf_high, key=abs))
    places = numbers.decimals((effect.conf_high - effect.conf_low) / 2)
    return numbers.fixed(bound, places) if math.isfinite(bound) else numbers.MISSING
