"""What an effect size is, and what it is made from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from causal_sae.estimation.inference import Estimate
from causal_sae.estimation.sample import Sample, Vector

Outcomes = Literal["any", "binary", "counts"]


@dataclass(frozen=True)
class EffectSize:
    """A standardised effect: treatment against reference, unit-free, with its interval."""

    value: float
    kind: str
    low: float
    high: float


@dataclass(frozen=True)
class Analysed:
    """The units of a contrast and what was made of them."""

    sample: Sample
    estimate: Estimate
    structure: str
    """One of :data:`causal_sae.estimation.estimators.base.Structure`."""
    alpha: float
    """Intervals have level ``1 - alpha``."""
    other_contrast: bool = False
    """Whether the estimate is not the difference between these two samples' means (instruments)."""

    @property
    def simple(self) -> bool:
        """Whether the arms' outcomes alone give the estimate.

        Covariates change an estimate between units; within units they do not, but clusters do.
        """
        sample = self.sample
        adjusted = self.structure == "plain" and bool(sample.covariate_names)
        plain = self.structure in {"plain", "within-unit"} and sample.cluster is None
        return plain and not adjusted and not self.other_contrast


@dataclass(frozen=True)
class Kind:
    """A kind of effect size, and what it is for."""

    of: Callable[[Analysed], EffectSize]
    """The effect size of an analysis."""
    outcomes: Outcomes = "any"
    """The outcomes that it is defined for."""
    rescales: bool = False
    """Whether it can put an estimate that is not a difference in means into its units."""


def rescaled(analysis: Analysed, sd: float, factor: float, kind: str) -> EffectSize:
    """The analysis's own estimate and interval in units of a standard deviation.

    Parameters
    ----------
    analysis:
        Its estimate is in the outcome's units.
    sd, factor:
        The estimate is divided by the one and multiplied by the other.
    kind:
        The name of the effect size.
    """
    if not sd > 0:
        return missing(kind)
    estimate, scale = analysis.estimate, factor / sd
    low, high = estimate.conf_low * scale, estimate.conf_high * scale
    return EffectSize(estimate.estimate * scale, kind, low, high)


def missing(kind: str) -> EffectSize:
    """An effect size that cannot be computed."""
    return EffectSize(np.nan, kind, np.nan, np.nan)


def binary(outcome: Vector) -> bool:
    """An outcome of zeros and ones, both of them present."""
    return bool(len(outcome) and np.ptp(outcome) == 1 and np.all((outcome == 0) | (outcome == 1)))


def counts(outcome: Vector) -> bool:
    """An outcome of whole numbers from zero on."""
    return bool(len(outcome) and outcome.min() >= 0 and np.array_equal(outcome, np.round(outcome)))
