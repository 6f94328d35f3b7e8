"""The arm as an instrument: the effect on units that take the treatment when they are assigned it.

Three things must hold. The arm is random. It changes the outcome only through the treatment taken:
a unit whose prompt the edit leaves as it is has the outcome of the untouched model, so the
reference must leave the model untouched as well. And no unit takes the treatment in the reference
arm. Then the difference between the arms' outcomes, over the share that takes the treatment, is
the effect among those who take it: with an ablation, the exposed units (Angrist, Imbens and Rubin
1996).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from scipy import stats

from causal_sae.errors import DataError, Place
from causal_sae.estimation.inference import Estimate, student, unknown
from causal_sae.estimation.sample import Sample, Vector
from causal_sae.estimation.sparsity import edits_active_only

if TYPE_CHECKING:
    from causal_sae.estimation.contrasts import Contrast
    from causal_sae.spec import Trial

WEAK = 10.0
"""Below this first-stage F an instrument is called weak (Staiger and Stock 1997)."""


@dataclass(frozen=True)
class Arms:
    """Two arms' outcomes and who of them took the treatment, as 0 and 1: arrays [m] and [n]."""

    outcome: tuple[Vector, Vector]
    taken: tuple[Vector, Vector]

    @property
    def df(self) -> int:
        """Units minus two."""
        return len(self.outcome[0]) + len(self.outcome[1]) - 2

    @property
    def on_outcome(self) -> float:
        """The effect of assignment on the outcome."""
        return float(self.outcome[0].mean() - self.outcome[1].mean())

    @property
    def on_taken(self) -> float:
        """The effect of assignment on the share that takes the treatment."""
        return float(self.taken[0].mean() - self.taken[1].mean())

    @property
    def first_stage(self) -> float:
        """The F statistic of assignment on treatment taken, with HC2 errors; may be infinite."""
        variance = _neyman(*self.taken)
        return self.on_taken**2 / variance if variance > 0 else np.inf

    def error(self, effect: float) -> float:
        """The HC2 standard error of the arms' difference in outcomes freed of an effect."""
        freed = [y - effect * d for y, d in zip(self.outcome, self.taken, strict=True)]
        return float(np.sqrt(_neyman(*freed)))

    def statistic(self, effect: float) -> float:
        """Anderson and Rubin's t of an effect: how far outcomes freed of it differ by arm."""
        error = self.error(effect)
        distance = self.on_outcome - effect * self.on_taken
        return distance / error if error > 0 else np.nan


def _neyman(treatment: Vector, reference: Vector) -> float:
    """The variance of a difference in means, each arm with its own."""
    return float(sum(arm.var(ddof=1) / len(arm) for arm in (treatment, reference)))


def arms(sample: Sample) -> Arms:
    """The sample's arms.

    Raises
    ------
    DataError
        It was not recorded who received the treatment.
    """
    if sample.received is None:
        raise _unrecorded()
    outcome, taken = sample.outcome, sample.received.astype(np.float64)
    where = sample.treated, ~sample.treated
    return Arms((outcome[where[0]], outcome[where[1]]), (taken[where[0]], taken[where[1]]))


def usable(sample: Sample) -> Arms | Estimate:
    """The sample's arms, or why no effect can be estimated from them.

    Raises
    ------
    DataError
        It was not recorded who received the treatment.
    """
    both = arms(sample)
    if min(map(len, both.outcome)) < 2:
        return unknown("too_few_units")
    return both if both.on_taken > 0 else unknown("no_first_stage")


def wald(both: Arms, alpha: float) -> Estimate:
    """The ratio of the differences, by two-stage least squares with HC2 errors and Student's t.

    Parameters
    ----------
    both:
        Two units or more in each arm, and more taken in the first.
    alpha:
        The interval has level ``1 - alpha``.

    Notes
    -----
    ``estimatr::iv_robust(y ~ d | z, se_type = "HC2")``, n - 2 degrees of freedom. With one
    instrument it is the delta method on the ratio.
    """
    effect = both.on_outcome / both.on_taken
    return student(effect, both.error(effect) / both.on_taken, both.df, alpha, weakness(both))


def anderson_rubin(both: Arms, alpha: float) -> Estimate:
    """The same ratio; test and interval by Anderson and Rubin (1949), whatever the first stage.

    Parameters
    ----------
    both:
        Two units or more in each arm, and more taken in the first.
    alpha:
        The interval has level ``1 - alpha``.

    Notes
    -----
    The statistic of an effect is HC2's t of ``y - effect * d`` between the arms, n - 2 degrees of
    freedom; the effects that are not rejected solve a quadratic inequality (Fieller's). Where its
    leading coefficient is not positive the set has no two ends. The standard error is two-stage
    least squares'; neither test nor interval uses it.
    """
    estimate = wald(both, alpha)
    if not estimate.std_error > 0:
        return estimate
    statistic = both.statistic(0.0)
    p_value = float(2 * stats.t.sf(abs(statistic), both.df))
    low, high = _kept(both, float(stats.t.ppf(1 - alpha / 2, both.df)))
    flags = weakness(both) if np.isfinite(low) else (*weakness(both), "unbounded_interval")
    return Estimate(
        *(estimate.estimate, estimate.std_error, statistic, estimate.df, p_value, low, high), flags
    )


def _kept(both: Arms, reach: float) -> tuple[float, float]:
    """The ends of the effects whose statistic is at most this; NaN where there are no two.

    Around the ratio r, with e the effect minus r, the inequality is
    ``(taken^2 - reach^2 Var d) e^2 + 2 reach^2 Cov(y - r d, d) e - reach^2 Var(y - r d) <= 0``.
    """
    ratio = both.on_outcome / both.on_taken
    freed = [y - ratio * d for y, d in zip(both.outcome, both.taken, strict=True)]
    pairs = zip(freed, both.taken, strict=True)
    covariance = sum(float(np.cov(u, d, ddof=1)[0, 1]) / len(d) for u, d in pairs)
    a = both.on_taken**2 - reach**2 * _neyman(*both.taken)
    b, c = reach**2 * covariance, reach**2 * _neyman(*freed)
    if a <= 0:
        return np.nan, np.nan
    root = float(np.sqrt(b**2 + a * c))
    return ratio + (-b - root) / a, ratio + (-b + root) / a


def weakness(both: Arms) -> tuple[str, ...]:
    """The flag of a weak instrument, which carries its F."""
    strength = both.first_stage
    return (f"weak_instrument:{strength:.1f}",) if strength < WEAK else ()


def with_uptake(trial: Trial, contrast: Contrast, sample: Sample) -> Sample:
    """The sample with who took the treatment: as recorded, or the exposed units of an ablation.

    Parameters
    ----------
    trial, contrast:
        What is compared.
    sample:
        The units analysed.

    Raises
    ------
    DataError
        It was not recorded, or a unit of the reference arm took the treatment.
    """
    received = sample.received
    inert = edits_active_only(trial.arm(contrast.treatment).intervention)
    if received is None and sample.exposed is not None and inert:
        received = sample.treated & sample.exposed
    if received is None:
        raise _unrecorded()
    if np.any(received & ~sample.treated):
        unit = sample.unit[received & ~sample.treated][0]
        raise DataError(
            f"the reference {contrast.reference!r} leaves the model untouched, so no unit of it "
            f"can have received the treatment, but 'received' is yes for unit {unit!r}; mend the "
            "column, or use the estimator 'cace'.",
            Place(field="received"),
        )
    return replace(sample, received=received)


def _unrecorded() -> DataError:
    return DataError(
        "instruments compare who was assigned the treatment with who received it, so the "
        "observations must say in the column 'received' of every row whether the edit changed "
        "anything (for ablations 'exposed' serves as well); fill it in, or use 'auto'.",
        Place(field="received"),
    )
