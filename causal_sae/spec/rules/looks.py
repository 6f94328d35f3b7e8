"""Rules of looks before the end: when they are, and which trials they are for."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from causal_sae.spec.trial import Trial
from causal_sae.spec.yaml_tree import FieldPath, Problem

PLACE: FieldPath = ("analysis", "looks")
ESTIMATORS = (
    *("auto", "welch", "difference_in_means", "ancova", "lin", "block", "fixed_effects"),
    *("cluster", "paired", "crossover"),
)
"""The estimators whose statistic is, from look to look, that of a mean: with increments that are
independent in large samples, and Student's distribution."""

JOINT = frozenset({"dunnett", "single_step", "maxt", "graphical"})
"""The corrections that make p-values of their own, or pass alpha on between tests."""


def looks_in_order(trial: Trial) -> Iterator[Problem]:
    """Looks are at rising shares, up to the end; or, without an end, after every so many units."""
    looks = trial.analysis.looks
    if looks is None:
        return
    if looks.at is not None and looks.every is not None:
        yield Problem((*PLACE, "every"), "looks are either `at` shares or `every` n; remove one.")
    elif looks.at is not None:
        yield from _rising(looks.at)
    elif looks.spending != "always_valid":
        yield Problem(
            PLACE,
            f"{looks.spending!r} needs to know when the looks are; add `at:`, such as "
            "[0.25, 0.5, 0.75, 1].",
        )
    elif looks.every is None:
        yield Problem(
            PLACE, "say when to look: `every: 50` units, or `at:` shares such as [0.5, 1]."
        )
    if looks.futility is not None and looks.spending == "always_valid":
        yield Problem(
            (*PLACE, "futility"),
            "a confidence sequence has no last look whose power could be foreseen; remove it, or "
            "use `spending: obrien_fleming`.",
        )
    if looks.every is not None and looks.spending != "always_valid":
        yield Problem(
            (*PLACE, "every"),
            f"{looks.spending!r} spends alpha by shares of the planned units; use `at:`, or "
            "`spending: always_valid`.",
        )


def _rising(at: tuple[float, ...]) -> Iterator[Problem]:
    for i, (before, after) in enumerate(pairwise(at), 1):
        if after <= before:
            yield Problem((*PLACE, "at", i), f"shares must rise; {after:g} follows {before:g}.")
    if at[-1] != 1:
        yield Problem(
            (*PLACE, "at", len(at) - 1),
            f"the last look must be at 1, when all units are in, not at {at[-1]:g}; add 1.",
        )


def looks_are_supported(trial: Trial) -> Iterator[Problem]:
    """The statistics of the looks are known for differences of means between two arms."""
    looks = trial.analysis.looks
    if looks is None:
        return
    primary = [outcome for outcome in trial.outcomes if outcome.role == "primary"]
    if not primary:
        yield Problem(
            PLACE,
            "looks are at primary outcomes, but there is none; give one outcome `role: primary`, "
            "or remove `looks`.",
        )
    for i, outcome in enumerate(trial.outcomes):
        if outcome.role == "primary" and outcome.harm == "either":
            yield Problem(
                ("outcomes", i, "harm"),
                "looks are for tests of a difference, not for equivalence; remove `looks`, or "
                "make the outcome a guardrail.",
            )
    yield from _design(trial)
    yield from _estimator(trial)
    yield from _alpha_is_divided(trial)


def _design(trial: Trial) -> Iterator[Problem]:
    population = trial.population
    if population is not None and population.enrich is not None:
        yield Problem(
            PLACE, "looks at prompts drawn from a pool are not supported; remove one of the two."
        )
    if population is not None and population.claim == "finite" and trial.within_unit:
        yield Problem(
            PLACE,
            "the claim is about these very prompts, so all of them must run; say "
            "`claim: superpopulation`, or remove `looks`.",
        )
    if trial.analysis.factorial != "none":
        yield Problem(
            ("analysis", "factorial"),
            "looks are at contrasts of two arms; remove `looks`, or the effects of several arms.",
        )
    for i, entry in enumerate(trial.analysis.dose_response):
        if entry.test:
            yield Problem(
                ("analysis", "dose_response", i, "test"),
                "looks are at contrasts of two arms; say `test: false`, or remove `looks`.",
            )


def _estimator(trial: Trial) -> Iterator[Problem]:
    estimator = trial.analysis.estimator
    if estimator not in ESTIMATORS:
        yield Problem(
            ("analysis", "estimator"),
            f"what {estimator!r} finds from look to look has no distribution that is known here; "
            f"use one of {', '.join(ESTIMATORS)}, or remove `looks`.",
        )


def _alpha_is_divided(trial: Trial) -> Iterator[Problem]:
    """Several primary tests are looked at with Bonferroni's shares, or each in its own family."""
    families = family_sizes(trial)
    multiplicity = trial.analysis.multiplicity
    if multiplicity.method in JOINT:
        yield Problem(
            ("analysis", "multiplicity", "method"),
            f"{multiplicity.method!r} tests all contrasts together when all units are in, which "
            "takes no account of looks; use `bonferroni`, or remove `looks`.",
        )
        return
    for family, (primary, others) in families.items():
        place: FieldPath = ("analysis", "multiplicity")
        if primary and others and multiplicity.method != "none":
            yield Problem(
                place,
                f"the family {family!r} mixes primary tests, which are looked at, with others, "
                f"which are not; use `family: role`, or remove `looks`.",
            )
        elif primary > 1 and multiplicity.method not in {"bonferroni", "none"}:
            yield Problem(
                place,
                f"{primary} primary tests are looked at, and what {multiplicity.method!r} would "
                "do with them depends on all at the end; use `method: bonferroni`, which gives "
                "each its share of alpha at every look, or have one primary test.",
            )


def family_sizes(trial: Trial) -> dict[str, tuple[int, int]]:
    """Family -> how many tests of primary outcomes it has, and how many others."""
    sizes: dict[str, tuple[int, int]] = {}
    for outcome in trial.outcomes:
        family = trial.analysis.multiplicity.family_of(outcome.role, outcome.name)
        primary, others = sizes.get(family, (0, 0))
        tests = len(trial.contrasts)
        mine = outcome.role == "primary"
        sizes[family] = (primary + tests * mine, others + tests * (not mine))
    return sizes


def share_of_alpha(trial: Trial, outcome: str) -> float:
    """The error rate of one primary test over all its looks."""
    multiplicity = trial.analysis.multiplicity
    if multiplicity.method == "none":
        return trial.analysis.alpha
    family = multiplicity.family_of(trial.outcome(outcome).role, outcome)
    return trial.analysis.alpha / family_sizes(trial)[family][0]
