"""Rules of the outcomes: what they claim, and whether they can be measured."""

from __future__ import annotations

import re
from collections.abc import Iterator

from causal_sae.spec.design import TextPositions
from causal_sae.spec.outcomes import KeywordRate, LogitDiff, Regex, TokenSetProb
from causal_sae.spec.rules.repeats import repeats
from causal_sae.spec.trial import Trial
from causal_sae.spec.yaml_tree import FieldPath, Problem


def primary_outcome(trial: Trial) -> Iterator[Problem]:
    """A confirmatory trial says beforehand what decides it."""
    if trial.status == "confirmatory" and "primary" not in trial.roles().values():
        yield Problem(
            ("outcomes",),
            "a confirmatory trial must have a primary outcome; give one outcome `role: primary`, "
            "or say `status: exploratory`.",
        )


def margins_of_guardrails(trial: Trial) -> Iterator[Problem]:
    """A guardrail is a claim of no harm beyond a margin, equivalence one of no change."""
    for i, outcome in enumerate(trial.outcomes):
        if outcome.role != "guardrail" and outcome.harm == "either":
            if outcome.margin is None:
                yield Problem(
                    ("outcomes", i, "margin"),
                    f"`harm: either` claims that {outcome.name!r} does not change, so it must have "
                    "a margin; add `margin:`, the largest change that would not matter, in the "
                    "outcome's units.",
                )
            continue
        if outcome.role == "guardrail":
            if outcome.margin is None:
                yield Problem(
                    ("outcomes", i, "margin"),
                    f"the guardrail {outcome.name!r} must have a margin; add `margin:`, the "
                    "largest harm that would be tolerated, in the outcome's units.",
                )
            continue
        given = {"margin": outcome.margin is not None, "harm": outcome.harm != "increase"}
        for key in (key for key, stands in given.items() if stands):
            yield Problem(
                ("outcomes", i, key),
                f"`{key}` belongs to a guardrail, but {outcome.name!r} is {outcome.role}; remove "
                "it or say `role: guardrail`. For a claim that nothing changes say "
                "`harm: either` and a margin.",
                on_key=True,
            )


def positions_exist(trial: Trial) -> Iterator[Problem]:
    """Generated tokens can be edited only where an outcome has text generated."""
    if isinstance(trial.positions, TextPositions):
        yield from _pattern(("positions", "regex"), trial.positions.regex)
    elif trial.positions == "generated" and not any(
        getattr(outcome, "generate", None) for outcome in trial.outcomes
    ):
        yield Problem(
            ("positions",),
            "positions 'generated' need an outcome of generated text; add one with `generate:`, "
            "or use all, last, prompt or {regex: ...}.",
        )


def generated_positions_are_read(trial: Trial) -> Iterator[Problem]:
    """Editing only what is generated cannot change the first token after the prompt."""
    if trial.positions != "generated":
        return
    for i, outcome in enumerate(trial.outcomes):
        along = outcome.metric == "nll" or getattr(outcome, "sequence", False)
        if getattr(outcome, "generate", None) is None and not along:
            yield Problem(
                ("outcomes", i, "metric"),
                f"{outcome.metric} is read after the prompt, before any generated token, so "
                "`positions: generated` cannot change it; use an outcome of generated text, nll, "
                "or other positions.",
            )


def _pattern(path: FieldPath, pattern: str) -> Iterator[Problem]:
    try:
        if not pattern:
            yield Problem(path, "the pattern must not be empty.")
        re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        yield Problem(
            path, f"must be a Python regular expression, but {error}; {pattern!r:.60} is given."
        )


def expectations_of_effects(trial: Trial) -> Iterator[Problem]:
    """Only an outcome that an effect is claimed on has a way to go."""
    for i, outcome in enumerate(trial.outcomes):
        if outcome.expect is not None and (outcome.role == "guardrail" or outcome.harm == "either"):
            yield Problem(
                ("outcomes", i, "expect"),
                f"{outcome.name!r} claims that nothing (or no harm) happens, so no way can be "
                "expected; remove `expect`.",
                on_key=True,
            )


def bounds_in_order(trial: Trial) -> Iterator[Problem]:
    """The lowest value of an outcome is below its highest."""
    for i, outcome in enumerate(trial.outcomes):
        if outcome.bounds is not None and outcome.bounds[0] >= outcome.bounds[1]:
            yield Problem(
                ("outcomes", i, "bounds"),
                f"the lower bound must be below the upper one, got {outcome.bounds[0]:g} and "
                f"{outcome.bounds[1]:g}.",
            )


def outcomes_make_sense(trial: Trial) -> Iterator[Problem]:
    """Outcomes that would be constant, counted twice or impossible to read are refused."""
    for i, outcome in enumerate(trial.outcomes):
        path: FieldPath = ("outcomes", i)
        if isinstance(outcome, LogitDiff) and outcome.target == outcome.foil:
            yield Problem(
                (*path, "foil"),
                "the foil must differ from the target, or the outcome is always 0; change one.",
            )
        if isinstance(outcome, TokenSetProb):
            yield from _listed_once((*path, "tokens"), outcome.tokens)
        if isinstance(outcome, KeywordRate):
            words = tuple(word.casefold() for word in outcome.keywords)
            yield from _listed_once((*path, "keywords"), words)
        if isinstance(outcome, Regex):
            yield from _pattern((*path, "pattern"), outcome.pattern)
        for key in ("target", "foil", "continuation", "reference"):
            if getattr(outcome, key, None) == "":
                yield Problem((*path, key), "must not be empty; write the text or {column: ...}.")
        yield from _samples_differ(trial, i)


def _listed_once(path: FieldPath, words: tuple[str, ...]) -> Iterator[Problem]:
    for i, word in enumerate(words):
        if not word:
            yield Problem((*path, i), "must not be empty; write the text.")
    for i, _ in repeats(words):
        yield Problem((*path, i), f"{words[i]!r} is listed twice; remove one.")


def _samples_differ(trial: Trial, i: int) -> Iterator[Problem]:
    generate = getattr(trial.outcomes[i], "generate", None)
    if generate is not None and generate.samples > 1 and generate.temperature == 0:
        yield Problem(
            ("outcomes", i, "generate", "samples"),
            f"at temperature 0 all {generate.samples} samples are the same text; raise the "
            "temperature, or use one sample.",
        )
