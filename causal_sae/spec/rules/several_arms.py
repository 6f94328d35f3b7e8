"""Rules of analyses over several arms at once: factorial effects and dose-response."""

from __future__ import annotations

from collections.abc import Iterator

from causal_sae.errors import did_you_mean
from causal_sae.spec.combinations import combinations
from causal_sae.spec.doses import problem
from causal_sae.spec.rules.arms import factorial_cells
from causal_sae.spec.rules.repeats import repeats
from causal_sae.spec.trial import Trial
from causal_sae.spec.yaml_tree import FieldPath, Problem

LEAST_SQUARES = (
    *("auto", "welch", "difference_in_means", "ancova", "lin", "block", "fixed_effects"),
    *("cluster", "paired"),
)
"""The estimators that reach from two arms to any sum of arms."""
BY_P_VALUE = (
    *("none", "bonferroni", "holm", "hochberg", "hommel", "bh", "by", "tsbh"),
    "fixed_sequence",
)
"""The corrections that need nothing of a test but its p-value."""


def factorial_has_cells(trial: Trial) -> Iterator[Problem]:
    """Factorial effects are of arms with levels, and their base is the reference's cell."""
    declared, path = trial.analysis.factorial, ("analysis", "factorial")
    if declared == "none":
        return
    with_levels = [arm.name for arm in trial.arms if arm.levels]
    if not with_levels:
        yield Problem(
            path,
            f"{declared!r} needs arms with levels; add `levels: {{factor: level}}` to the arms "
            "that are cells, or say `factorial: none`.",
        )
    elif trial.reference in {arm.name for arm in trial.arms} - {*with_levels}:
        yield Problem(
            path,
            f"the reference arm must be a cell, because its levels are the base of every effect; "
            f"{trial.reference!r} has no levels: name one of {', '.join(with_levels)} as "
            "`reference`.",
        )


def doses_are_known(trial: Trial) -> Iterator[Problem]:
    """A dose-response analysis is of arms that exist, each with a dose of its own."""
    names = [arm.name for arm in trial.arms]
    for i, entry in enumerate(trial.analysis.dose_response):
        path: FieldPath = ("analysis", "dose_response", i)
        unknown = [j for j, arm in enumerate(entry.arms) if arm not in names]
        for j in unknown:
            yield Problem(
                (*path, "arms", j),
                f"there is no arm {entry.arms[j]!r}: {did_you_mean(entry.arms[j], names)}",
            )
        twice = list(repeats(entry.arms))
        for j, _ in twice:
            yield Problem((*path, "arms", j), f"{entry.arms[j]!r} is listed twice; remove one.")
        message = None if unknown or twice else problem(trial, entry)
        if message is not None:
            yield Problem(path if entry.doses is None else (*path, "doses"), message)
    for i, first in repeats(frozenset(entry.arms) for entry in trial.analysis.dose_response):
        yield Problem(
            ("analysis", "dose_response", i),
            f"each set of arms must be analysed once; dose_response[{first}] has the same arms: "
            "remove one.",
        )


def several_arms_are_estimated(trial: Trial) -> Iterator[Problem]:
    """The estimator and the correction reach from two arms to several."""
    broken = (*factorial_cells(trial), *factorial_has_cells(trial), *doses_are_known(trial))
    if broken or not (trial.analysis.dose_response or trial.analysis.factorial != "none"):
        return
    if trial.population is not None and trial.population.enrich is not None:
        yield Problem(
            ("population", "enrich"),
            "factorial and dose-response analyses take the prompts that were drawn for the "
            "population, which they are not with `enrich`; leave `enrich` out, or the analyses.",
        )
    if trial.analysis.estimator not in LEAST_SQUARES:
        yield Problem(
            ("analysis", "estimator"),
            f"{trial.analysis.estimator!r} compares two arms only, but `factorial` and "
            f"`dose_response` combine the means of several; use one of {', '.join(LEAST_SQUARES)}, "
            f"and name {trial.analysis.estimator} in `supplementary`.",
        )
    method = trial.analysis.multiplicity.method
    if method not in BY_P_VALUE and combinations(trial):
        yield Problem(
            ("analysis", "multiplicity", "method"),
            f"{method!r} fits contrasts of two arms only, not the factorial effects or the trend "
            f"in the same table; use one of {', '.join(BY_P_VALUE)}.",
        )
