"""The designs that are held against each other: trials as declared, and variants of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from causal_sae.errors import Place, SpecError, did_you_mean
from causal_sae.simulation import draws_of
from causal_sae.spec.loading import TrialFile
from causal_sae.spec.rules import broken_rules
from causal_sae.spec.trial import Trial

if TYPE_CHECKING:
    from causal_sae.spec.yaml_tree import Problem

ASSIGNMENTS = {
    "parallel": "complete",
    **{name: name for name in ("simple", "complete", "block", "cluster", "block_cluster")},
    **{name: name for name in ("crossover", "latin_square")},
}
"""What a variant may be called -> its method."""


@dataclass(frozen=True)
class Design:
    """A trial with the name that it has in the comparison."""

    name: str
    declared: TrialFile


def designs_of(
    trials: Sequence[TrialFile], assignments: Sequence[str] = (), draws: Sequence[int] = ()
) -> list[Design]:
    """The trials as declared, each followed by its variants.

    Parameters
    ----------
    trials:
        As they were read.
    assignments:
        Ways to deal the arms that each trial is also tried with.
    draws:
        Numbers of placebo features and random directions that each trial is also tried with.

    Raises
    ------
    SpecError
        A variant cannot be made, or would not be a valid trial; names it and says why.
    """
    found: list[Design] = []
    for declared in trials:
        base = Design(_free(declared.trial.name, found), declared)
        found.append(base)
        for method in assignments:
            found += _unless_same(base, _dealt(base, method))
        for count in draws:
            found += _unless_same(base, _with_draws(base, count))
    return found


def _free(name: str, taken: Sequence[Design]) -> str:
    """The name, numbered where two trials have the same."""
    names, number, free = {design.name for design in taken}, 2, name
    while free in names:
        free, number = f"{name} {number}", number + 1
    return free


def _unless_same(base: Design, variant: Design) -> list[Design]:
    return [] if variant.declared.trial == base.declared.trial else [variant]


def _dealt(base: Design, given: str) -> Design:
    """The trial with its arms dealt in another way."""
    if given not in ASSIGNMENTS:
        raise SpecError(
            f"must be a way to deal arms, got {given!r}; {did_you_mean(given, ASSIGNMENTS)}",
            Place(field="--assignment"),
        )
    method, old = ASSIGNMENTS[given], base.declared.trial.assignment
    wanted: dict[str, Any] = {"method": method}
    if old.cluster_by is not None:
        wanted["cluster_by"] = old.cluster_by
    if method in {"block", "block_cluster"}:
        wanted["block_by"] = getattr(old, "block_by", None)
        if wanted["block_by"] is None:
            raise SpecError(
                f"the trial {base.name!r} declares no `block_by`, so it cannot be dealt in blocks; "
                "write the blocked design as a file of its own and name it beside this one.",
                Place(field="--assignment"),
            )
    if method in {"cluster", "block_cluster"} and old.cluster_by is None:
        raise SpecError(
            f"the trial {base.name!r} declares no `cluster_by`, so it cannot be dealt by clusters; "
            "write the clustered design as a file of its own and name it beside this one.",
            Place(field="--assignment"),
        )
    return _changed(base, f"{base.name} ({given})", {"assignment": wanted})


def _with_draws(base: Design, count: int) -> Design:
    """The trial with another number of placebo features and random directions."""
    trial = base.declared.trial
    if count < 1:
        raise SpecError(f"must be at least 1, got {count}", Place(field="--draws"))
    if not any(draws_of(arm) for arm in trial.arms):
        raise SpecError(
            f"the trial {base.name!r} has no arm with placebo features or random directions, so "
            "their number cannot be varied; leave the option out.",
            Place(field="--draws"),
        )
    arms = []
    for arm in trial.arms:
        plain = arm.model_dump(mode="json", exclude_none=True)
        edit = plain["intervention"]
        if draws_of(arm):
            (edit if edit["kind"] == "random_direction" else edit["features"])["draws"] = count
        arms.append(plain)
    return _changed(base, f"{base.name} ({count} draws)", {"arms": arms})


def _changed(base: Design, name: str, parts: dict[str, Any]) -> Design:
    """The trial with some parts replaced, held to the rules of trial files."""
    declared = base.declared
    plain = declared.trial.model_dump(mode="json", by_alias=True, exclude_none=True)
    trial = Trial.model_validate(plain | parts).within(declared.folder)
    problems = broken_rules(trial)
    if problems:
        raise SpecError(f"the variant {name!r} is no valid trial: {_first(problems)}")
    return Design(name, replace(declared, trial=trial))


def _first(problems: Sequence[Problem]) -> str:
    from causal_sae.spec.loading import dotted  # noqa: PLC0415

    return f"{dotted(problems[0].path)}: {problems[0].message}"
