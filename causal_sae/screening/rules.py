"""Which trials can be screened, and what to do about those that cannot."""

from __future__ import annotations

from collections.abc import Iterator

from causal_sae.errors import Place, SpecError
from causal_sae.spec.interventions import Ablate, Untouched
from causal_sae.spec.trial import Trial

OUTCOMES = ("token_logprob", "logit_diff", "token_set_prob", "entropy", "nll")
"""Outcomes that change smoothly and that a feature may raise as well as lower."""
CORRECTIONS = ("none", "bonferroni", "holm", "hochberg", "bh", "by", "tsbh", "maxt")


def require_screen(trial: Trial) -> None:
    """Pass when a trial declares a screen.

    Raises
    ------
    SpecError
        Names every field to change.
    """
    problems = list(_problems(trial))
    if problems:
        first, *others = (SpecError(message, Place(field=field)) for field, message in problems)
        raise SpecError(first.message, first.place, others)


def screened_arm(trial: Trial) -> str:
    """The name of the arm that edits every feature in turn."""
    return next(a.name for a in trial.arms if getattr(a.intervention, "features", None) == "all")


def _problems(trial: Trial) -> Iterator[tuple[str, str]]:
    yield from _of_arms(trial)
    yield from _of_design(trial)
    for i, outcome in enumerate(trial.outcomes):
        if outcome.metric not in OUTCOMES or getattr(outcome, "generate", None) is not None:
            yield (
                f"outcomes[{i}].metric",
                f"a screen measures {', '.join(OUTCOMES)}, which have a gradient and may move "
                f"either way, not {outcome.metric!r}; remove it, or keep it for the trial of the "
                "hits.",
            )
    method = trial.analysis.multiplicity.method
    if method not in CORRECTIONS:
        yield (
            "analysis.multiplicity.method",
            f"a screen corrects by {', '.join(CORRECTIONS)}, not {method!r}; write `bh`.",
        )


def _of_arms(trial: Trial) -> Iterator[tuple[str, str]]:
    every = [i for i, a in enumerate(trial.arms) if getattr(a.intervention, "features", 0) == "all"]
    if len(every) != 1:
        yield (
            "arms",
            f"a screen has one arm with `features: all`, this trial has {len(every)}; write "
            "`- {name: ablate, intervention: {kind: ablate, features: all}}`.",
        )
    for i, arm in enumerate(trial.arms):
        edit, field = arm.intervention, f"arms[{i}].intervention"
        if i in every and (not isinstance(edit, Ablate) or edit.to != "zero"):
            yield (
                field,
                "a screen ablates to zero, where silent features are known to change nothing; "
                "write `{kind: ablate, features: all}`.",
            )
        elif i not in every and not isinstance(edit, Untouched):
            yield (
                field,
                f"a screen compares each feature's ablation with the untouched model; remove the "
                f"arm {arm.name!r}, it belongs into the trial of the hits.",
            )
    if every and len(trial.arms) == 1:
        yield ("arms", "a screen needs the untouched arm beside it: `{kind: none}`.")


def _of_design(trial: Trial) -> Iterator[tuple[str, str]]:
    if trial.status == "confirmatory":
        yield (
            "status",
            "a screen explores, and its hits are confirmed by a trial of their own (--confirm); "
            "write `status: exploratory`.",
        )
    if trial.assignment.method != "crossover":
        yield (
            "assignment.method",
            "in a screen every prompt is its own control; write `method: crossover`.",
        )
    if trial.assignment.cluster_by is not None:
        yield (
            "assignment.cluster_by",
            "a screen takes prompts as independent; keep one prompt of each cluster, and leave "
            "this out.",
        )
    population = trial.population
    if population is None:
        yield ("population", "a screen must say where its prompts are.")
        return
    if population.enrich is not None:
        yield (
            "population.enrich",
            "a screen draws the exposed prompts of every feature from all prompts by itself; "
            "leave this out, and give the pool as `prompts`.",
        )
    if population.claim == "finite":
        yield (
            "population.claim",
            "a screen tests, and an effect on these very prompts is not tested but known; write "
            "`superpopulation`.",
        )
