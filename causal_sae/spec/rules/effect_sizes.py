"""Rules of effect sizes: a kind must be defined for the design and for what is estimated."""

from __future__ import annotations

from collections.abc import Iterator

from causal_sae.errors import did_you_mean
from causal_sae.spec.analysis import StatedSD
from causal_sae.spec.rules.instruments import INSTRUMENTS
from causal_sae.spec.trial import Trial
from causal_sae.spec.yaml_tree import Problem

BETWEEN = frozenset({"hedges_g", "hedges_g_av", "cohen_d", "glass_delta"})
"""Kinds that divide by a standard deviation between units."""
UNBLOCKED = frozenset({"cliff_delta", "cles", "risk_ratio", "odds_ratio", "rate_ratio"})
"""Kinds that compare the arms as wholes, which in blocks would mix unlike shares."""
UNCLUSTERED = frozenset({"cliff_delta", "cles"})
"""Kinds whose interval needs independent units."""


def effect_size_fits(trial: Trial) -> Iterator[Problem]:
    """The kind of effect size is defined for the design; an SD is stated for declared outcomes."""
    wanted = trial.analysis.effect_size
    if isinstance(wanted, StatedSD):
        yield from _stated(trial, wanted)
        return
    for message in (_misfit(trial, wanted), _of_the_wrong_estimate(trial, wanted)):
        if message is not None:
            yield Problem(("analysis", "effect_size"), message)


def _stated(trial: Trial, wanted: StatedSD) -> Iterator[Problem]:
    names = [outcome.name for outcome in trial.outcomes]
    for name in wanted.sd if isinstance(wanted.sd, dict) else ():
        if name not in names:
            yield Problem(
                ("analysis", "effect_size", "sd", name),
                f"there is no outcome {name!r}: {did_you_mean(name, names)}",
                on_key=True,
            )


def _misfit(trial: Trial, wanted: str) -> str | None:
    assignment = trial.assignment
    if wanted != "auto" and trial.population is not None and trial.population.enrich is not None:
        return (
            f"{wanted!r} would compare the prompts that were drawn, of which some kinds are drawn "
            "more often than others; use `effect_size: auto`, which weights them back to the "
            "pool, or state a standard deviation: `effect_size: {sd: ...}`."
        )
    if wanted in BETWEEN and trial.within_unit:
        return (
            f"{wanted!r} compares independent arms, but in a {assignment.method} every unit is in "
            "every arm; use cohen_dz."
        )
    if wanted == "cohen_dz" and not trial.within_unit:
        return (
            "'cohen_dz' divides by the spread of differences within units, which "
            f"{assignment.method} assignment does not have; use hedges_g."
        )
    if wanted in UNCLUSTERED and assignment.cluster_by is not None:
        return (
            f"{wanted!r} has an interval for independent units only, but units come in clusters; "
            "use `effect_size: auto`."
        )
    if wanted in UNBLOCKED and not trial.within_unit and getattr(assignment, "block_by", None):
        return (
            f"{wanted!r} compares the arms as wholes, but units were assigned within blocks; use "
            "`effect_size: auto`, which keeps to the blocks."
        )
    return None


def _of_the_wrong_estimate(trial: Trial, wanted: str) -> str | None:
    estimator = trial.analysis.estimator
    if estimator in INSTRUMENTS and wanted in UNBLOCKED:
        return (
            f"{wanted!r} compares all units of the arms, but {estimator!r} estimates the effect "
            "among exposed units; use `effect_size: auto`, or the estimator cace."
        )
    return None
