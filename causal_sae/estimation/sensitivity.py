"""How strong an unobserved cause would have to be: Cinelli and Hazlett's robustness value.

Random assignment leaves no unobserved cause of both arm and outcome. The loss of outcomes can bring
one back: among the units that are left, what decided the loss may be tied to both. The robustness
value is the share of the residual variance, of the arm and of the outcome alike, that such a cause
would have to explain to account for the effect (Cinelli and Hazlett 2020, section 4.3;
``sensemakr::robustness_value`` in R).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from causal_sae.estimation.inference import NOISE_OF_LEVEL, NOISE_OF_RANGE
from causal_sae.estimation.sample import Matrix, Vector


@dataclass(frozen=True)
class Robustness:
    """Shares of residual variance, from 0 to 1, and the effect that they speak of."""

    estimate: float
    """Treatment minus reference, by least squares."""
    effect: float
    """What would bring the effect itself to zero."""
    interval: float
    """What would bring the nearer end of its interval to zero; 0 where it holds zero already."""


def robustness(
    outcome: Vector, treatment: Vector, covariates: Matrix, alpha: float, absorbed: int = 0
) -> Robustness | None:
    """The robustness value of a treatment's coefficient; None where the fit leaves no residual.

    Parameters
    ----------
    outcome, treatment:
        [n].
    covariates:
        [n, k] what the regression adjusts for; k may be 0.
    alpha:
        One minus the level of the interval.
    absorbed:
        How many further parameters were taken out beforehand, such as blocks' means.
    """
    rest = np.column_stack([np.ones(len(outcome)), covariates])
    y, z = (v - rest @ np.linalg.lstsq(rest, v, rcond=None)[0] for v in (outcome, treatment))
    df = len(outcome) - rest.shape[1] - 1 - absorbed
    spread = float(z @ z)
    if df < 2 or not spread > 0:
        return None
    effect = float(z @ y) / spread
    residual = float(np.sum((y - effect * z) ** 2))
    noise = NOISE_OF_RANGE * float(np.ptp(outcome)) + NOISE_OF_LEVEL * float(np.abs(outcome).max())
    if not np.sqrt(residual / df) > noise:
        return None
    t = abs(effect) / np.sqrt(residual / df / spread)
    return Robustness(effect, robustness_value(t, df), robustness_value(t, df, alpha))


def robustness_value(t: float, df: float, alpha: float | None = None) -> float:
    """The robustness value from a classical t statistic.

    Parameters
    ----------
    t, df:
        The treatment's t statistic and its residual degrees of freedom.
    alpha:
        Given: the value for the nearer end of the interval of level ``1 - alpha``.
    """
    f = abs(t) / np.sqrt(df)
    if alpha is not None:
        f -= float(stats.t.ppf(1 - alpha / 2, df - 1)) / np.sqrt(df - 1)
    return float((np.sqrt(f**4 + 4 * f**2) - f**2) / 2) if f > 0 else 0.0
