"""Least squares with standard errors that hold without equal variances: HC2 and CR2."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from statsmodels.regression.linear_model import WLS

from causal_sae.estimation.sample import Codes, Mask, Matrix, Sample, Vector

LEVERAGE = 1e-10
"""Residual variance shares below this are zero: a row (or a cluster) fits itself."""


@dataclass(frozen=True)
class Coefficient:
    """One coefficient of a linear model."""

    estimate: float
    std_error: float
    df: float


UNFITTED = Coefficient(np.nan, np.nan, np.nan)


def hc2(y: Vector, x: Matrix, weights: Vector | None = None) -> Coefficient:
    """The coefficient of the last column, with an HC2 standard error and n - k degrees of freedom.

    Parameters
    ----------
    y:
        [n] the outcome.
    x:
        [n, k] the design, of full rank; the column of interest is the last.
    weights:
        [n] positive weights; default: all 1.

    Notes
    -----
    ``estimatr::lm_robust(se_type = "HC2")``. For a two-arm comparison without covariates the
    standard error is Neyman's.
    """
    n, k = x.shape
    if n <= k or np.any(1 - _leverage(x, weights) < LEVERAGE):
        return UNFITTED
    fit = WLS(y, x, weights=1.0 if weights is None else weights).fit(cov_type="HC2", use_t=True)
    return Coefficient(float(fit.params[-1]), float(fit.bse[-1]), float(n - k))


def _leverage(x: Matrix, weights: Vector | None) -> Vector:
    """[n] the diagonal of the (weighted) hat matrix."""
    q, _ = np.linalg.qr(x if weights is None else x * np.sqrt(weights)[:, None])
    diagonal: Vector = np.sum(q**2, axis=1)
    return diagonal


def cr2(y: Vector, x: Matrix, cluster: Codes) -> Coefficient:
    """The coefficient of the last column, with a CR2 standard error and Satterthwaite's df.

    Bell and McCaffrey's bias-reduced linearisation under a working model of independent errors:
    residuals of cluster g are multiplied by ``(I - H_gg)^(-1/2)``, and the degrees of freedom
    match the first two moments of the variance estimate to a chi-square.

    Parameters
    ----------
    y:
        [n] the outcome.
    x:
        [n, k] the design, of full rank; the column of interest is the last.
    cluster:
        [n] the cluster of each row.

    Notes
    -----
    Pustejovsky and Tipton (2018); ``clubSandwich::vcovCR(type = "CR2")`` with ``coef_test(test =
    "Satterthwaite")``, and ``estimatr::lm_robust(clusters =, se_type = "CR2")``.
    The inverse roots are taken in the k-dimensional column space of a cluster's own rows, so a
    cluster of thousands of rows costs no more than its share.
    """
    q, r = np.linalg.qr(x)
    coefficients = np.linalg.solve(r, q.T @ y)
    residual = y - x @ coefficients
    # The last coefficient is loading' q' y: `loading` is the contrast in the orthonormal basis.
    loading = np.linalg.solve(r.T, np.eye(x.shape[1])[-1])
    groups = [np.flatnonzero(cluster == g) for g in np.unique(cluster)]
    adjusted = [_adjust(q[rows], q[rows] @ loading) for rows in groups]
    scores = np.array([a @ residual[rows] for a, rows in zip(adjusted, groups, strict=True)])
    variance = float(np.sum(scores**2))
    df = _satterthwaite(adjusted, [q[rows] for rows in groups])
    return Coefficient(float(coefficients[-1]), float(np.sqrt(variance)), df)


def _adjust(q: Matrix, vector: Vector) -> Vector:
    """``(I - q q')^(-1/2) vector`` by the Moore-Penrose inverse; q [rows, k], vector [rows]."""
    u, s, _ = np.linalg.svd(q, full_matrices=False)
    remaining = np.clip(1 - s**2, 0, None)
    # A direction that the cluster alone determines has no residual: its inverse is zero.
    root = np.where(remaining > LEVERAGE, 1 / np.sqrt(np.maximum(remaining, LEVERAGE)), 0.0)
    corrected: Vector = vector + u @ ((root - 1) * (u.T @ vector))
    return corrected


def _satterthwaite(adjusted: list[Vector], bases: list[Matrix]) -> float:
    """``tr(G)^2 / tr(G G)`` where G holds the inner products of the clusters' contributions.

    A cluster's contribution is ``(I - H) a_g``, so ``G = diag(a_g' a_g) - B'B`` with
    ``B_g = q_g' a_g``: no matrix larger than clusters by clusters is formed.
    """
    projections = np.array([q.T @ a for a, q in zip(adjusted, bases, strict=True)])
    gram = np.diag([float(a @ a) for a in adjusted]) - projections @ projections.T
    square = float(np.sum(gram**2))
    return float(np.trace(gram)) ** 2 / square if square > 0 else np.nan


def design(*columns: Vector | Matrix | Mask) -> Matrix:
    """[n, 1 + k] an intercept and the columns."""
    parts = [np.asarray(column, dtype=np.float64) for column in columns]
    stacked = [part[:, None] if part.ndim == 1 else part for part in parts]
    return np.column_stack([np.ones(len(stacked[0])), *stacked])


def indicators(codes: Codes) -> Matrix:
    """[n, groups - 1] dummy columns of all groups but the first."""
    _, inverse = np.unique(codes, return_inverse=True)
    dummies: Matrix = np.eye(int(inverse.max()) + 1)[inverse][:, 1:]
    return dummies


def centred(matrix: Matrix) -> Matrix:
    """The columns minus their means."""
    result: Matrix = matrix - matrix.mean(axis=0)
    return result


def usable_covariates(sample: Sample, beside: Matrix) -> tuple[Matrix, tuple[str, ...]]:
    """The covariates, centred, that add something to the columns beside; flags name the others.

    Centring changes no other coefficient and keeps the arithmetic exact when a covariate is the
    outcome itself, as in an A/A comparison adjusted for the clean outcome.

    Parameters
    ----------
    sample:
        Its covariates [n, k].
    beside:
        [n, m] the columns that are in the model anyway, the intercept among them.
    """
    kept: list[Vector] = []
    flags: list[str] = []
    for name, column in zip(sample.covariate_names, centred(sample.covariates).T, strict=True):
        others = np.column_stack([beside, *kept])
        rest = column - others @ np.linalg.lstsq(others, column, rcond=None)[0]
        scale = float(np.abs(sample.covariates[:, sample.covariate_names.index(name)]).max())
        if float(np.linalg.norm(rest)) <= 1e-9 * max(float(np.linalg.norm(column)), 1e-6 * scale):
            flags.append(f"covariate_dropped:{name}")
        else:
            kept.append(column)
    return np.column_stack(kept) if kept else np.empty((len(sample), 0)), tuple(flags)
