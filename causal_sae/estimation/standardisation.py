"""G-computation: the arms' means over all units' covariates, by a generalised linear model.

Every unit's mean is predicted under both arms and averaged. The arms are randomised, so a wrong
model costs precision only. Differences and ratios of the two means get the standard error of the
stacked estimating equations (the model's, and those of the two means), which allows for a wrong
model and for covariates that would differ in another sample: ``stdReg::stdGlm`` in R, times
``n / (n - k)``.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.special import expit

from causal_sae.estimation.linear_models import design, usable_covariates
from causal_sae.estimation.sample import Matrix, Sample, Vector

NEWTON = 3
"""Steps from the fit of the library, which stops at a tolerance, to machine precision."""


@dataclass(frozen=True)
class Family:
    """A distribution with its canonical link, of which mean and variance are all that is used."""

    name: Literal["Binomial", "Poisson"]
    """What statsmodels calls it."""
    mean: Callable[[Vector], Vector]
    """The inverse of the link."""
    variance: Callable[[Vector], Vector]
    """The variance as a function of the mean, and the mean's derivative by the linear predictor."""


BINOMIAL = Family("Binomial", expit, lambda mean: mean * (1 - mean))
POISSON = Family("Poisson", np.exp, lambda mean: mean)


@dataclass(frozen=True)
class Standardised:
    """Two means, and what each unit contributes to their errors."""

    treatment: float
    reference: float
    influence: Matrix
    """[n, 2] each unit's influence on the treatment's and the reference's mean."""
    df: float
    """n - k."""

    def std_error(self, slopes: tuple[float, float]) -> float:
        """The standard error of a function of the two means, given its two derivatives."""
        n = len(self.influence)
        squares = float(np.sum((self.influence @ np.array(slopes)) ** 2))
        return float(np.sqrt(squares / n / self.df))


def columns(sample: Sample) -> tuple[Matrix, tuple[str, ...]]:
    """[n, k] an intercept, covariates of order one, and the treatment last; flags of the unused.

    Parameters
    ----------
    sample:
        Its covariates [n, m]; constant ones and combinations of others are left out.
    """
    covariates, flags = usable_covariates(sample, design(sample.treated))
    scale = np.abs(covariates).max(axis=0, initial=1e-300)
    return design(covariates / scale, sample.treated), flags


def standardised(outcome: Vector, x: Matrix, family: Family) -> Standardised:
    """The arms' means at the covariates of all units.

    Parameters
    ----------
    outcome:
        [n] the outcome, for which the model has finite coefficients.
    x:
        [n, k] an intercept, covariates, and the treatment last; more rows than columns.
    family:
        The model.
    """
    n, k = x.shape
    coefficients = fitted(outcome, x, family)
    predicted = family.mean(x @ coefficients)
    information = (x * family.variance(predicted)[:, None]).T @ x / n
    unit_steps = np.linalg.solve(information, (x * (outcome - predicted)[:, None]).T).T
    means, influences = [], []
    for arm in (1.0, 0.0):
        at = np.column_stack([x[:, :-1], np.full(n, arm)])
        under = family.mean(at @ coefficients)
        slope = at.T @ family.variance(under) / n
        means.append(float(under.mean()))
        influences.append(under - under.mean() + unit_steps @ slope)
    return Standardised(means[0], means[1], np.column_stack(influences), float(n - k))


def fitted(outcome: Vector, x: Matrix, family: Family) -> Vector:
    """[k] the maximum-likelihood coefficients.

    Parameters
    ----------
    outcome, x, family:
        As for :func:`standardised`.
    """
    import statsmodels.api as sm  # noqa: PLC0415 - two estimators need it
    from statsmodels.tools.sm_exceptions import PerfectSeparationWarning  # noqa: PLC0415

    with warnings.catch_warnings():
        # Said of every exact fit, even of arms that are constant; the caller decides about those.
        warnings.simplefilter("ignore", PerfectSeparationWarning)
        start = sm.GLM(outcome, x, family=getattr(sm.families, family.name)()).fit(maxiter=100)
    coefficients: Vector = np.asarray(start.params)
    for _ in range(NEWTON):
        predicted = family.mean(x @ coefficients)
        information = (x * family.variance(predicted)[:, None]).T @ x
        coefficients = coefficients + np.linalg.solve(information, x.T @ (outcome - predicted))
    return coefficients
