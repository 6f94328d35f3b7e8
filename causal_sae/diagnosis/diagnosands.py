"""What repeated trials say of a design, each number with its Monte-Carlo standard error.

Type S and type M errors: Gelman and Carlin (2014), Beyond power calculations, Perspectives on
Psychological Science 9, 641. Monte-Carlo standard errors: Morris, White and Crowther (2019), Using
simulation studies to evaluate statistical methods, Statistics in Medicine 38, 2074, table 6.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from causal_sae.estimation.sample import Mask, Vector


@dataclass(frozen=True)
class Measured:
    """A number from a simulation, and how far it may be from that of endless simulation."""

    value: float
    error: float
    """Its Monte-Carlo standard error."""


NOTHING = Measured(np.nan, np.nan)


@dataclass(frozen=True)
class Answers:
    """What one test said in repeated trials; arrays [repetitions], NaN where it said nothing."""

    truth: Vector
    estimate: Vector
    conf_low: Vector
    conf_high: Vector
    rejected: Mask

    @property
    def deviation(self) -> Vector:
        """[estimates] the estimate minus the truth, where there are both."""
        found = self.estimate - self.truth
        return found[~np.isnan(found)]


def bias(answers: Answers) -> Measured:
    """How far the estimates are from the truth on average."""
    found = answers.deviation
    return _mean(found)


def rmse(answers: Answers) -> Measured:
    """The root of the mean squared distance of the estimates from the truth."""
    square = _mean(answers.deviation**2)
    root = np.sqrt(square.value)
    # The delta method: the derivative of the root is 1 / (2 root).
    return Measured(float(root), square.error / (2 * root) if root > 0 else 0.0)


def spread(answers: Answers) -> Measured:
    """The standard deviation of the estimates around their mean distance from the truth."""
    found = answers.deviation
    if len(found) < 2:
        return NOTHING
    value = float(found.std(ddof=1))
    return Measured(value, value / float(np.sqrt(2 * (len(found) - 1))))


def rejection(answers: Answers) -> Measured:
    """How often the test rejects, after the trial's own correction."""
    return share(answers.rejected)


def coverage(answers: Answers) -> Measured:
    """How often the interval holds the truth, of the intervals that there are."""
    known = ~np.isnan(answers.conf_low) & ~np.isnan(answers.conf_high) & ~np.isnan(answers.truth)
    inside = (answers.conf_low <= answers.truth) & (answers.truth <= answers.conf_high)
    return share(inside[known])


def type_s(answers: Answers) -> Measured:
    """Of the estimates that are called different from nothing, the share with the wrong sign."""
    at = answers.rejected & (answers.truth != 0)
    return share(answers.estimate[at] * answers.truth[at] < 0)


def type_m(answers: Answers) -> Measured:
    """By how much the estimates that are called different from nothing exaggerate: 1 is not."""
    at = answers.rejected & (answers.truth != 0)
    return _mean(np.abs(answers.estimate[at]) / np.abs(answers.truth[at]))


def share(hits: Mask) -> Measured:
    """The share of trials in which something happened."""
    if not len(hits):
        return NOTHING
    value = float(np.mean(hits))
    return Measured(value, float(np.sqrt(value * (1 - value) / len(hits))))


def _mean(values: Vector) -> Measured:
    if not len(values):
        return NOTHING
    error = float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else np.nan
    return Measured(float(values.mean()), error)
