"""What an estimator declares of itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from causal_sae.estimation.inference import Estimate
from causal_sae.estimation.sample import Sample

Structure = Literal["plain", "blocked", "clustered", "blocked and clustered", "within-unit"]
"""What the estimate must respect: how arms were assigned, and what units share."""
Fit: TypeAlias = Callable[[Sample, float], Estimate]
"""A sample and alpha in, an estimate out."""


@dataclass(frozen=True)
class Estimator:
    """A way to an estimate, and the designs that it fits."""

    fit: Fit
    """How the estimate is made."""
    structures: frozenset[Structure]
    """The designs for which its standard error is right."""
    covariates: Literal["none", "allowed", "required"]
    """What it makes of pre-treatment covariates."""
    beyond: Callable[[Sample, float, int], float] | None = None
    """A one-sided test against an effect other than zero, where Student's t is not its own: the
    sample, the effect, and the side of estimates that speaks against it."""
    margin_fit: Fit | None = None
    """How it is made where a margin is tested, so that each limit has to hold alone; default: as
    ever."""
    few_fit: Fit | None = None
    """How ``auto`` makes it where clusters are few; default: as ever."""
    stratum: Literal["all", "exposed"] = "all"
    """Whose effect it estimates: every unit's, or that of the units on which the feature fires."""
    applies: Callable[[Sample], bool] | None = None
    """Whether it is for outcomes like these; a trial's other outcomes get what ``auto`` takes."""
    instrument: bool = False
    """Whether it takes the arm as an instrument for the treatment received: all units are analysed,
    and the effect is that of the exposed."""
    incomplete: bool = False
    """Whether it can use units of a design within units that lack an outcome in one arm."""
    students: bool = True
    """Whether its interval is Student's for a mean, which long tails spoil."""
    weighted: bool = False
    """Whether units drawn from a pool count by the inverse of their probability."""
    copes_with: frozenset[str] = frozenset()
    """Flags about the sample that do not concern it, because it is made for such samples."""
    claim: str = ""
    """What it claims beyond the estimand's strategy and population."""

    @property
    def for_margins(self) -> Estimator:
        """The estimator as it is where the outcome has a margin."""
        return self if self.margin_fit is None else replace(self, fit=self.margin_fit)

    @property
    def speaks_of(self) -> Literal["all", "exposed"]:
        """Whose effect the estimate is."""
        return "exposed" if self.instrument else self.stratum
