"""Rules of the design: who is in the trial, and how arms are dealt."""

from __future__ import annotations

from collections.abc import Iterator

from causal_sae.spec.rules.analysis import CLEAN_OUTCOME
from causal_sae.spec.rules.repeats import repeats
from causal_sae.spec.trial import Trial
from causal_sae.spec.yaml_tree import Problem


def unique_names(trial: Trial) -> Iterator[Problem]:
    """Arms and outcomes are told apart by their names."""
    for section, names in (
        ("arms", [arm.name for arm in trial.arms]),
        ("outcomes", [outcome.name for outcome in trial.outcomes]),
    ):
        for i, first in repeats(names):
            yield Problem(
                (section, i, "name"),
                f"{section} must have different names; {names[i]!r} is also the name of "
                f"{section}[{first}]: rename one.",
            )
    for i, outcome in enumerate(trial.outcomes):
        if outcome.name == CLEAN_OUTCOME:
            yield Problem(
                ("outcomes", i, "name"),
                f"{CLEAN_OUTCOME!r} is what the untouched model's outcome is called; "
                "choose another name.",
            )


def equal_shares_within_units(trial: Trial) -> Iterator[Problem]:
    """Where every unit is in every arm, no arm can have a larger share."""
    if not trial.within_unit:
        return
    for i, arm in enumerate(trial.arms):
        if arm.share != trial.arms[0].share:
            yield Problem(
                ("arms", i, "share"),
                f"in a {trial.assignment.method} every arm gets every unit, so shares must be "
                f"equal, not {arm.share:g} and {trial.arms[0].share:g}; remove `share`.",
            )


def distinct_design_columns(trial: Trial) -> Iterator[Problem]:
    """A column makes blocks once, and does not make both blocks and the clusters within."""
    columns = getattr(trial.assignment, "block_by", None) or ()
    for i, _ in repeats(columns):
        yield Problem(("assignment", "block_by", i), f"{columns[i]!r} is listed twice; remove one.")
    if trial.assignment.cluster_by in columns and trial.assignment.method == "block_cluster":
        yield Problem(
            ("assignment", "cluster_by"),
            f"clusters must lie within blocks, but {trial.assignment.cluster_by!r} makes both; "
            "choose another column for one of them.",
        )


def population_can_be_met(trial: Trial) -> Iterator[Problem]:
    """Conditions on prompts do not exclude each other, and none is passed over."""
    population = trial.population
    if population is None:
        return
    low, high = population.eligibility.min_tokens, population.eligibility.max_tokens
    if low is not None and high is not None and low > high:
        yield Problem(
            ("population", "eligibility", "max_tokens"),
            f"must be at least min_tokens ({low}), not {high}, or no prompt is eligible.",
        )
    if population.system is not None and population.format != "chat":
        yield Problem(
            ("population", "system"),
            "a system message needs `format: chat`; add that, or remove the message.",
            on_key=True,
        )
