"""Linear combinations of the arms' means that a trial declares: factorial effects and trends."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations as subsets
from itertools import product
from math import prod
from typing import TYPE_CHECKING, Literal

from causal_sae.spec.doses import ladder

if TYPE_CHECKING:
    from causal_sae.spec.analysis import DoseResponse
    from causal_sae.spec.outcomes import Outcome
    from causal_sae.spec.trial import Trial

Kind = Literal["main effect", "interaction", "linear trend"]
Level = str | float
ORDERS: Mapping[str, int | None] = {"none": 0, "main": 1, "two_way": 2, "all": None}
"""``analysis.factorial`` -> how many factors an effect may be of; None: any number."""
TIMES = " \N{MULTIPLICATION SIGN} "


@dataclass(frozen=True)
class Combination:
    """A sum of weights times the means of arms; the weights add up to zero."""

    treatment: str
    """How the table of effects calls it: ``feature=ablate``, ``a=on x b=on`` (with a
    multiplication sign), ``trend x1..x8``."""
    reference: str
    """What it is compared with: ``feature=none``, ``additive``, or the arm of the lowest dose."""
    kind: Kind
    weights: Mapping[str, float]
    """Arm -> weight; arms of weight zero stand here too, because they help to fit the model."""
    expected: Mapping[str, float] | None = None
    """Arm -> weight in the mean of the reference; None: the combination is no difference of two
    means but a slope."""
    factors: tuple[str, ...] = ()
    """The factors whose effect, or interaction, it is."""


def combinations(trial: Trial, outcome: Outcome | None = None) -> tuple[Combination, ...]:
    """What stands in the table of effects beside the contrasts of two arms.

    Parameters
    ----------
    trial:
        Declares ``analysis.factorial`` and ``analysis.dose_response``; its rules hold.
    outcome:
        One that is held against a margin has main effects only: a margin is a difference of means
        between treatments, which an interaction or a slope is not.
    """
    trends = (trend(trial, entry) for entry in trial.analysis.dose_response if entry.test)
    every = (*factorial_effects(trial, ORDERS[trial.analysis.factorial]), *trends)
    margin = outcome is not None and (outcome.role == "guardrail" or outcome.harm == "either")
    return tuple(one for one in every if not margin or one.kind == "main effect")


def cells(trial: Trial) -> dict[str, dict[str, Level]]:
    """Arm -> its level of each factor, of the arms that have levels."""
    return {arm.name: dict(arm.levels) for arm in trial.arms if arm.levels}


def factors(trial: Trial) -> dict[str, tuple[Level, ...]]:
    """Factor -> its levels, the base level first: that of the reference arm."""
    found = cells(trial)
    base = found[trial.reference]
    return {
        factor: tuple(dict.fromkeys((level, *(cell[factor] for cell in found.values()))))
        for factor, level in base.items()
    }


def factorial_effects(trial: Trial, order: int | None = None) -> Iterator[Combination]:
    """Main effects, then interactions of more and more factors.

    Parameters
    ----------
    trial:
        Has arms with levels, which are all cells of crossed factors.
    order:
        Effects of at most this many factors; None: of any number.

    Notes
    -----
    A main effect is the mean difference between a level and the base level, every cell of the
    other factors counting the same (type III, sum coding). An interaction of two factors is the
    plain difference of differences, not halved: what the cell has beyond the sum of the two
    factors' own effects.
    """
    if order == 0:
        return
    levels = factors(trial)
    most = len(levels) if order is None else min(order, len(levels))
    for size in range(1, most + 1):
        for chosen in subsets(levels, size):
            for picked in product(*(levels[factor][1:] for factor in chosen)):
                yield _effect(trial, levels, dict(zip(chosen, picked, strict=True)))


def _effect(
    trial: Trial, levels: Mapping[str, tuple[Level, ...]], picked: Mapping[str, Level]
) -> Combination:
    """The effect of the picked levels: products of level minus base, means over other factors."""
    share = 1 / prod(len(found) for factor, found in levels.items() if factor not in picked)
    weights, expected = {}, {}
    for arm, cell in cells(trial).items():
        signs = [_sign(cell[factor], level, levels[factor][0]) for factor, level in picked.items()]
        weights[arm] = share * prod(signs)
        expected[arm] = share * all(sign == 1 for sign in signs) - weights[arm]
    named = TIMES.join(f"{factor}={text(level)}" for factor, level in picked.items())
    if len(picked) == 1:
        (factor,) = picked
        reference = f"{factor}={text(levels[factor][0])}"
        return Combination(named, reference, "main effect", weights, expected, (factor,))
    reference = "additive" if len(picked) == 2 else "lower orders"
    return Combination(named, reference, "interaction", weights, expected, tuple(picked))


def _sign(found: Level, level: Level, base: Level) -> int:
    return 1 if found == level else -1 if found == base else 0


def text(level: Level) -> str:
    """A level as tables call it."""
    return level if isinstance(level, str) else f"{level:g}"


def trend(trial: Trial, entry: DoseResponse) -> Combination:
    """The slope of the arms' means on their doses, every arm counting the same.

    Parameters
    ----------
    trial, entry:
        Its rules hold.
    """
    rungs = ladder(trial, entry)
    centre = sum(rungs.values()) / len(rungs)
    square = sum((dose - centre) ** 2 for dose in rungs.values())
    weights = {arm: (dose - centre) / square for arm, dose in rungs.items()}
    lowest, *others = rungs
    return Combination(f"trend {others[0]}..{others[-1]}", lowest, "linear trend", weights)
