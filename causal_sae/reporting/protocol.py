"""A trial's protocol as plain text, in the order of the fields of an OSF preregistration."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from causal_sae.reporting import numbers, wording
from causal_sae.spec.prompts import prompts_source

if TYPE_CHECKING:
    from causal_sae.spec import Outcome, Trial

WIDTH = 88
CORRECTIONS = {
    "none": "no correction for multiple tests",
    "bonferroni": "Bonferroni's correction",
    "holm": "Holm's correction",
    "hochberg": "Hochberg's correction",
    "hommel": "Hommel's correction",
    "bh": "Benjamini and Hochberg's false discovery rate",
    "by": "Benjamini and Yekutieli's false discovery rate",
    "tsbh": "the two-stage false discovery rate of Benjamini, Krieger and Yekutieli",
    "dunnett": "Dunnett's procedure",
    "single_step": "simultaneous inference by the maximum of the t statistics",
    "maxt": "Westfall and Young's step-down maximum of the t statistics",
    "fixed_sequence": "tests in the declared order, each only if all before it were significant",
    "graphical": "a graphical gatekeeping procedure",
}
FAMILIES = {
    "role": "the tests of one role are a family",
    "outcome": "the tests of one outcome are a family",
    "all": "all tests are one family",
}
SIDES = {"increase": "an increase does harm", "decrease": "a decrease does harm"}


def protocol(
    trial: Trial, registered: str, hashes: Mapping[str, str], versions: Mapping[str, str]
) -> str:
    """The protocol of a trial.

    Parameters
    ----------
    trial:
        The declaration.
    registered:
        When it was registered.
    hashes:
        SHA-256 of what the trial rests on, by name.
    versions:
        Of the software.
    """
    sections: dict[str, list[str]] = {
        "Title": [trial.name],
        "Registered": [registered],
        "Status": [trial.status],
        "Research question": [trial.question],
        "Hypotheses": list(_hypotheses(trial)),
        "Study design": [f"{wording.design(trial)}.", f"Seed of the assignment: {trial.seed}."],
        "Blinding": ["Outcomes are computed from the model's output; nobody rates them."],
        "Population and eligibility": list(_population(trial)),
        "Sample size": list(_size(trial)),
        "Arms": [f"{arm.name}: {wording.intervention(arm.intervention)}" for arm in trial.arms],
        "Edited positions": [wording.sentence(wording.positions(trial))],
        "Model and SAE": list(_sources(trial)),
        "Outcomes": [_outcome(outcome) for outcome in trial.outcomes],
        "Statistical analysis": list(_analysis(trial)),
        "Inference criteria": list(_criteria(trial)),
        "Missing data": [
            "Units without a usable outcome are counted by arm and reason; the analysis is of "
            "complete cases."
        ],
        "SHA-256": [f"{name}: {value}" for name, value in sorted(hashes.items())],
        "Software": [f"{name} {value}" for name, value in sorted(versions.items())],
    }
    parts = [_section(title, lines) for title, lines in sections.items() if lines]
    return "\n".join(parts)


def _section(title: str, lines: list[str]) -> str:
    marked = [lines[0]] if len(lines) == 1 else [f"- {line}" for line in lines]
    hanging = "" if len(lines) == 1 else "  "
    wrapped = [
        textwrap.fill(
            line,
            WIDTH,
            subsequent_indent=hanging,
            break_long_words=False,
            break_on_hyphens=False,
        )
        for line in marked
    ]
    return f"{title}\n{'-' * len(title)}\n" + "\n".join(wrapped) + "\n"


def _hypotheses(trial: Trial) -> Iterator[str]:
    primary = [outcome for outcome in trial.outcomes if outcome.role == "primary"]
    for outcome in primary or trial.outcomes:
        for treatment, reference in trial.contrasts:
            verb = {"increase": "is higher under", "decrease": "is lower under"}
            between = (
                f"{verb[outcome.expect]} {treatment} than under"
                if outcome.expect
                else (f"differs between {treatment} and")
            )
            yield (
                f"{outcome.name} {between} {reference} (null hypothesis: the mean difference is 0)."
            )


def _population(trial: Trial) -> Iterator[str]:
    population = trial.population
    if population is None:
        yield "The units of a table of observations."
        return
    where = f"column {population.text!r} of {prompts_source(population)[0]}"
    yield f"Prompts: {where}, format {population.format}."
    rules = population.eligibility
    if rules.min_tokens is not None:
        yield f"At least {numbers.count(rules.min_tokens, 'token')}."
    if rules.max_tokens is not None:
        yield f"At most {numbers.count(rules.max_tokens, 'token')}."
    if rules.active is not None:
        times = numbers.count(rules.active.min_tokens, "token")
        yield f"Feature {rules.active.feature} active on {times} or more of the untouched prompt."
    if population.enrich is not None:
        rule = population.enrich
        yield (
            f"Drawn at random from a pool: {rule.exposed} prompts on which feature {rule.feature} "
            f"is active and {rule.unexposed} on which it is not; probabilities are recorded."
        )
    claims = {"superpopulation": "prompts like these", "finite": "these prompts only"}
    yield f"The claim is about {claims[population.claim]}."


def _size(trial: Trial) -> Iterator[str]:
    power = trial.power
    if power is None:
        yield "Every eligible prompt; no calculation was declared."
        return
    unit = "standard deviations" if power.unit == "sd" else "in the outcome's units"
    yield f"Planned to find {numbers.declared(power.effect)} {unit} with power {power.target:g}."
    for name in ("sd", "rho", "icc", "active", "placebo_sd", "baseline"):
        value = getattr(power, name)
        for outcome, number in value.items() if isinstance(value, dict) else [("", value)]:
            if number is not None:
                yield f"Assumed {name}{f' of {outcome}' if outcome else ''}: {number:g}."


def _sources(trial: Trial) -> Iterator[str]:
    if trial.model is not None:
        yield f"Model: {wording.source(trial.model.source)}, {trial.model.dtype}."
    if trial.sae is not None:
        hook = f", read at {trial.sae.hook}" if trial.sae.hook else ""
        yield f"SAE: {wording.source(trial.sae.source)}{hook}."


def _outcome(outcome: Outcome) -> str:
    text = f"{outcome.name} ({outcome.role}): {wording.outcome(outcome)}"
    if outcome.margin is None:
        return f"{text}."
    side = SIDES.get(outcome.harm, "a change in either direction does harm")
    return f"{text}; margin {numbers.declared(outcome.margin)}, {side}."


def _analysis(trial: Trial) -> Iterator[str]:
    analysis = trial.analysis
    contrasts = wording.listed([f"{t} against {r}" for t, r in trial.contrasts])
    yield f"Contrasts: {contrasts}."
    known = wording.ESTIMATORS.get(analysis.estimator, "as the design asks for")
    yield f"Estimator: {analysis.estimator} ({known})."
    if analysis.covariates:
        yield f"Adjusted for {wording.listed(list(analysis.covariates))}."
    if analysis.supplementary:
        yield f"Supplementary, uncorrected: {wording.listed(list(analysis.supplementary))}."
    if analysis.refuters:
        yield f"Refuters: {wording.listed([r.replace('_', ' ') for r in analysis.refuters])}."


def _criteria(trial: Trial) -> Iterator[str]:
    analysis = trial.analysis
    yield f"Two-sided tests at alpha {analysis.alpha:g}; intervals of level {1 - analysis.alpha:g}."
    correction = CORRECTIONS.get(analysis.multiplicity.method, analysis.multiplicity.method)
    yield f"{wording.sentence(correction)[:-1]}; {FAMILIES[analysis.multiplicity.family]}."
    if analysis.looks is not None:
        yield wording.sentence(wording.looks(analysis.looks))
        yield (
            "Estimates and intervals are those of the confidence sequence at the stop."
            if analysis.looks.spending == "always_valid"
            else "After the stop: median-unbiased estimate, p-value and interval of the stage-wise "
            "ordering."
        )
        yield "The order in which prompts come in follows from the seed, arms and blocks in step."
    if any(outcome.role == "guardrail" for outcome in trial.outcomes):
        yield "A guardrail passes only when harm as large as its margin is excluded."
