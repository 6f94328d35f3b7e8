"""Rules of the arms: their names, features and cells."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

from causal_sae.errors import did_you_mean
from causal_sae.spec.interventions import Ablate, Add, Clamp, Placebo, RandomDirection, Scale
from causal_sae.spec.rules.repeats import repeats
from causal_sae.spec.trial import Trial
from causal_sae.spec.yaml_tree import FieldPath, Problem

EDITS = (Ablate, Scale, Clamp, Add)
"""The interventions that edit features."""


def pushes_of_known_length(trial: Trial) -> Iterator[Problem]:
    """A random direction takes its length from an arm that edits features."""
    kinds = {arm.name: arm.intervention for arm in trial.arms}
    editing = [name for name, intervention in kinds.items() if isinstance(intervention, EDITS)]
    for i, arm in enumerate(trial.arms):
        if not isinstance(arm.intervention, RandomDirection):
            continue
        named = kinds.get(arm.intervention.norm_of)
        if named is not None and not isinstance(named, EDITS):
            hint = f"name one of {', '.join(editing)}" if editing else "add such an arm"
            yield Problem(
                ("arms", i, "intervention", "norm_of"),
                f"`norm_of` must name an arm that edits features; "
                f"{arm.intervention.norm_of!r} is of the kind {named.kind}: {hint}.",
            )


def features_once(trial: Trial) -> Iterator[Problem]:
    """No feature is listed twice in one arm."""
    for path, features in _feature_lists(trial):
        for i, first in repeats(features):
            yield Problem(
                (*path, i),
                f"each feature must be listed once; {features[i]} stands also at place "
                f"{first + 1}: remove one.",
            )
    for i, arm in enumerate(trial.arms):
        selection = getattr(arm.intervention, "features", None)
        if isinstance(selection, Placebo):
            for j, _ in repeats(selection.match):
                yield Problem(
                    ("arms", i, "intervention", "features", "match", j),
                    f"each property must be listed once; {selection.match[j]} stands twice.",
                )


def _feature_lists(trial: Trial) -> Iterator[tuple[FieldPath, tuple[int, ...]]]:
    for i, arm in enumerate(trial.arms):
        if not isinstance(arm.intervention, EDITS):
            continue
        selection = arm.intervention.features
        path: FieldPath = ("arms", i, "intervention", "features")
        if isinstance(selection, Placebo):
            yield (*path, "placebo_for"), selection.placebo_for
        elif not isinstance(selection, str):
            yield path, selection


def placebos_stand_in_for_treated(trial: Trial) -> Iterator[Problem]:
    """A placebo is matched to a feature that another arm treats, or it is a placebo of nothing."""
    selections = [getattr(arm.intervention, "features", ()) for arm in trial.arms]
    if "all" in selections:
        return
    treated = {f for s in selections if isinstance(s, tuple) for f in s}
    for i, selection in enumerate(selections):
        if not isinstance(selection, Placebo):
            continue
        for j, feature in enumerate(selection.placebo_for):
            if feature not in treated:
                yield Problem(
                    ("arms", i, "intervention", "features", "placebo_for", j),
                    f"a placebo must stand in for a feature that another arm treats; {feature} is "
                    f"in none: {did_you_mean(feature, sorted(treated)) if treated else 'add one.'}",
                )


def no_screened_arm(trial: Trial) -> Iterator[Problem]:
    """Only a screen edits every feature in turn."""
    for i, arm in enumerate(trial.arms):
        if getattr(arm.intervention, "features", None) == "all":
            yield Problem(
                ("arms", i, "intervention", "features"),
                "`features: all` is for a screen; run `causal-sae screen`, or list the features.",
            )


def factorial_cells(trial: Trial) -> Iterator[Problem]:
    """The arms of a factorial trial are all combinations of its factors' levels, each once."""
    if trial.assignment.method != "factorial":
        yield from _cells_of_other_methods(trial)
        return
    without = [i for i, arm in enumerate(trial.arms) if not arm.levels]
    for i in without:
        yield Problem(
            ("arms", i, "levels"),
            "every arm of a factorial trial must say its level of each factor; add "
            "`levels: {factor: level}`.",
        )
    if not without:
        yield from _crossed(trial)


def _cells_of_other_methods(trial: Trial) -> Iterator[Problem]:
    """Elsewhere levels serve the analysis alone, and arms without them are no cells."""
    with_levels = [i for i, arm in enumerate(trial.arms) if arm.levels is not None]
    if trial.analysis.factorial == "none":
        for i in with_levels:
            yield Problem(
                ("arms", i, "levels"),
                "`levels` belongs to a factorial trial; say `method: factorial`, or remove it.",
                on_key=True,
            )
    elif any(arm.levels for arm in trial.arms):
        yield from _crossed(trial)


def _crossed(trial: Trial) -> Iterator[Problem]:
    places = [i for i, arm in enumerate(trial.arms) if arm.levels]
    cells = [dict(trial.arms[i].levels or {}) for i in places]
    factors = list(cells[0])
    uneven = [i for i, cell in enumerate(cells) if set(cell) != set(factors)]
    for i in uneven:
        yield Problem(
            ("arms", places[i], "levels"),
            f"every arm must have the same factors ({', '.join(factors)}); this has "
            f"{', '.join(cells[i])}.",
        )
    if uneven:
        return
    rows = [tuple(cell[factor] for factor in factors) for cell in cells]
    for i, first in repeats(rows):
        yield Problem(
            ("arms", places[i], "levels"),
            f"every cell must be one arm; arms[{places[first]}] has the same levels: change one.",
        )
    yield from _full(factors, rows)


def _full(factors: list[str], rows: list[tuple[str | float, ...]]) -> Iterator[Problem]:
    levels = [list(dict.fromkeys(column)) for column in zip(*rows, strict=True)]
    flat = [factor for factor, found in zip(factors, levels, strict=True) if len(found) < 2]
    if len(factors) < 2 or flat:
        what = f"{flat[0]!r} has one level" if flat else f"there is only {factors[0]!r}"
        yield Problem(
            ("arms",),
            f"a factorial trial must cross two factors or more of two levels or more; {what}: add "
            "arms, or use `method: complete`.",
        )
    missing = [cell for cell in product(*levels) if cell not in set(rows)]
    if missing:
        named = ", ".join(f"{f}: {v}" for f, v in zip(factors, missing[0], strict=True))
        yield Problem(
            ("arms",),
            f"a factorial trial must have an arm for every combination of levels; "
            f"{len(missing)} of {len(missing) + len(set(rows))} are missing, such as "
            f"{{{named}}}: add them.",
        )
