"""Which design is the cheapest for the same precision."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, hypot, inf, isfinite, isnan, sqrt

BIASED = 4.0
"""Beyond this many Monte-Carlo standard errors an estimator is called biased."""


@dataclass(frozen=True)
class Offer:
    """How precisely a design estimates an effect, at which size, and what a unit costs."""

    design: str
    units: int
    effect: float
    """The true effect."""
    spread: float
    """The standard deviation of the estimates."""
    spread_error: float
    """Its Monte-Carlo standard error."""
    fixed: float
    """The part of their variance that more units do not make smaller."""
    removable: float
    """The part that falls with the number of units."""
    passes: float
    """Forward passes for a unit."""
    biased: bool = False

    @property
    def relative(self) -> float:
        """The standard deviation of the estimates over the effect."""
        return sqrt(self.removable + self.fixed) / abs(self.effect)


def units_for(offer: Offer, relative: float) -> float:
    """How many units give an estimate that spread, over its effect; infinite where none do.

    The variance falls with the number of units, but for the part that is fixed.
    """
    wanted = (relative * offer.effect) ** 2
    if wanted <= offer.fixed:
        return inf
    return offer.units * offer.removable / (wanted - offer.fixed)


def same_precision(offers: Sequence[Offer]) -> list[float]:
    """Forward passes at which each design is as precise as the first, in whole units."""
    found = []
    for offer in offers:
        needed = units_for(offer, offers[0].relative)
        found.append(ceil(needed - 1e-6) * offer.passes if isfinite(needed) else inf)
    return found


def verdict(offers: Sequence[Offer], what: str) -> list[str]:
    """Sentences: the cheapest design for the precision of the first, and what speaks against some.

    Parameters
    ----------
    offers:
        One for each design, the one as declared first.
    what:
        The contrast that is compared, as in ``gap: ablate - control``.
    """
    passes = same_precision(offers)
    first = offers[0]
    open_to = [i for i, offer in enumerate(offers) if isfinite(passes[i]) and not offer.biased]
    sentences = [
        f"{offer.design} is biased by more than the simulation's error, and is not compared."
        for offer in offers
        if offer.biased
    ]
    sentences += [
        f"{offer.design} cannot reach that precision with any number of units: its draws differ "
        "too much for so few of them."
        for offer, cost in zip(offers, passes, strict=True)
        if not isfinite(cost) and not isnan(cost) and not offer.biased
    ]
    if not open_to:
        return sentences
    best = min(open_to, key=lambda i: passes[i])
    standard = (
        f"For the precision of {first.design} on {what} (a standard deviation of "
        f"{first.relative:.3g} effects)"
    )
    tied = [
        offers[i].design
        for i in open_to
        if i != best and passes[i] <= passes[best] * (1 + 2 * _error(offers[i], offers[best]))
    ]
    if tied:
        names = ", ".join([offers[best].design, *tied])
        told = f"{standard}, these cost the same within the simulation's error: {names}."
        return [told, *sentences]
    needed = ceil(units_for(offers[best], first.relative) - 1e-6)
    against = ""
    if best != 0 and 0 in open_to:
        against = f", against {passes[0]:,.0f} as declared"
    return [
        f"{standard}, the cheapest design is {offers[best].design}: {passes[best]:,.0f} forward "
        f"passes, {needed:,} units{against}.",
        *sentences,
    ]


def _error(one: Offer, other: Offer) -> float:
    """The relative standard error of the ratio of two costs; a variance has twice a spread's."""
    parts = [2 * offer.spread_error / offer.spread for offer in (one, other) if offer.spread > 0]
    return hypot(*parts)
