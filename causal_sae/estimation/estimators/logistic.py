"""Outcomes of 0 and 1: the adjusted risk difference, by logistic regression and g-computation.

Every unit's risk is predicted under both arms, and the mean difference is the effect. It is
marginal (a difference of risks, not an odds ratio) and needs no faith in the model: arms are
randomised, so a wrong model costs precision only. The standard error is that of the stacked
estimating equations, which allows for a wrong model and for covariates that would differ in
another sample (``stdReg::stdGlm`` in R), times ``n / (n - k)``; n - k degrees of freedom.

Where a combination of the columns separates the outcomes the coefficients are infinite; the
unadjusted risk difference stands in, with a flag.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import linprog
from scipy.special import expit

from causal_sae.estimation.estimators import welch
from causal_sae.estimation.estimators.base import Estimator
from causal_sae.estimation.inference import Estimate, student, unknown
from causal_sae.estimation.linear_models import design, usable_covariates
from causal_sae.estimation.sample import Matrix, Sample, Vector

SEPARATED = 1e-7
"""A separating direction has at least this much room; numbers below are the solver's."""


def applies(sample: Sample) -> bool:
    """Whether the outcome is 0 or 1 on every unit."""
    return bool(np.all((sample.outcome == 0) | (sample.outcome == 1)))


def fit(sample: Sample, alpha: float) -> Estimate:
    """The risk difference at the covariates of all units; :func:`applies` is expected to hold."""
    if min(map(len, sample.arms)) < 2:
        return unknown("too_few_units")
    covariates, flags = usable_covariates(sample, design(sample.treated))
    scale = np.abs(covariates).max(axis=0, initial=1e-300)
    x = design(covariates / scale, sample.treated)
    if len(sample) <= x.shape[1]:
        return unknown("singular", *flags)
    if separated(sample.outcome, x):
        return welch.fit(sample, alpha).flagged(*flags, "separation")
    effect, std_error = risk_difference(sample.outcome, x)
    return student(effect, std_error, len(sample) - x.shape[1], alpha, flags)


def separated(outcome: Vector, x: Matrix) -> bool:
    """Whether some direction puts no unit on the wrong side, and some unit on the right one.

    Parameters
    ----------
    outcome:
        [n] 0 or 1.
    x:
        [n, k] the columns of the model, of order one.

    Notes
    -----
    Konis (2007): a linear program decides it, whatever an iteration would do.
    """
    signed = x * (2 * outcome - 1)[:, None]
    found = linprog(-signed.sum(axis=0), A_ub=-signed, b_ub=np.zeros(len(x)), bounds=(-1, 1))
    room = 0.0 if found.fun is None else -float(found.fun)
    return bool(found.status != 0 or room > SEPARATED * len(x))


def risk_difference(outcome: Vector, x: Matrix) -> tuple[float, float]:
    """The standardised risk difference and its standard error.

    Parameters
    ----------
    outcome:
        [n] 0 or 1, not separated by the columns.
    x:
        [n, k] an intercept, covariates, and the treatment last.
    """
    import statsmodels.api as sm  # noqa: PLC0415 - only this estimator needs it

    n, k = x.shape
    fitted = sm.GLM(outcome, x, family=sm.families.Binomial()).fit(tol=1e-12, maxiter=100)
    coefficients, risk = fitted.params, fitted.fittedvalues
    arms = [np.column_stack([x[:, :-1], np.full(n, z)]) for z in (1.0, 0.0)]
    risks = [expit(arm @ coefficients) for arm in arms]
    effect = float(np.mean(risks[0] - risks[1]))
    slopes = [arm.T @ (p * (1 - p)) / n for arm, p in zip(arms, risks, strict=True)]
    information = (x * (risk * (1 - risk))[:, None]).T @ x / n
    scores = x * (outcome - risk)[:, None]
    influence = risks[0] - risks[1] - effect
    influence = influence + scores @ np.linalg.solve(information, slopes[0] - slopes[1])
    return effect, float(np.sqrt(np.sum(influence**2) / n**2 * n / (n - k)))


ESTIMATOR = Estimator(fit, frozenset({"plain"}), covariates="allowed", applies=applies)
