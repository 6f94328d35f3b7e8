"""Least squares with standard errors that hold without equal variances: HC2 and CR2."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from causal_sae.estimation.sample import Codes, Mask, Matrix, Sample, SEType, Vector

LEVERAGE = 1e-10
"""Residual variance shares below this are zero: a row (or a cluster) fits itself."""


@dataclass(frozen=True)
class Coefficient:
    """One coefficient of a linear model."""

    estimate: float
    std_error: float
    df: float


UNFITTED = Coefficient(np.nan, np.nan, np.nan)


def robust(
    y: Vector, x: Matrix, weights: Vector | None = None, se_type: SEType = "HC2"
) -> Coefficient:
    """The coefficient of the last column, with an HC standard error and n - k degrees of freedom.

    Parameters
    ----------
    y:
        [n] the outcome.
    x:
        [n, k] the design, of full rank; the column of interest is the last.
    weights:
        [n] positive weights; default: all 1.
    se_type:
        ``HC2`` is unbiased under equal variances; ``HC3`` errs on the side of width.

    Notes
    -----
    ``estimatr::lm_robust(se_type = "HC2")``. For a two-arm comparison without covariates the HC2
    standard error is Neyman's.
    """
    fitted = robust_fit(y, x, weights, se_type)
    if fitted is None:
        return UNFITTED
    coefficients, covariance = fitted
    n, k = x.shape
    return Coefficient(
        float(coefficients[-1]), float(np.sqrt(np.maximum(covariance[-1, -1], 0))), float(n - k)
    )


def robust_fit(
    y: Vector, x: Matrix, weights: Vector | None = None, se_type: SEType = "HC2"
) -> tuple[Vector, Matrix] | None:
    """The coefficients [k] and their HC covariance [k, k]; None where a row fits itself.

    Parameters
    ----------
    y, x, weights, se_type:
        As for :func:`robust`; the order of the columns does not matter.
    """
    n, k = x.shape
    if n <= k:
        return None
    # statsmodels' WLS gives the same numbers, but to import it takes half a second of the five
    # that an analysis of 10,000 rows may take.
    root = np.ones(n) if weights is None else np.sqrt(weights)
    q, r = np.linalg.qr(x * root[:, None])
    slack = 1 - np.sum(q**2, axis=1)  # one minus the leverage
    if np.any(slack < LEVERAGE):
        return None
    to_coefficients = np.linalg.solve(r, q.T)
    coefficients = to_coefficients @ (y * root)
    residual = (y - x @ coefficients) * root
    variance = residual**2 / (slack if se_type == "HC2" else slack**2)
    return coefficients, (to_coefficients * variance) @ to_coefficients.T


def cr2(y: Vector, x: Matrix, cluster: Codes, jackknife: bool = False) -> Coefficient:
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
    jackknife:
        Take CR3 instead: residuals of cluster g are multiplied by ``(I - H_gg)^(-1)``, which is
        leaving out one cluster after the other. It errs on the side of width.

    Notes
    -----
    Pustejovsky and Tipton (2018); ``clubSandwich::vcovCR(type = "CR2")`` with ``coef_test(test =
    "Satterthwaite")``, and ``estimatr::lm_robust(clusters =, se_type = "CR2")``.
    The inverse roots are taken in the k-dimensional column space of a cluster's own rows, so a
    cluster of thousands of rows costs no more than its share.
    """
    return cr2_combination(y, x, cluster, np.eye(x.shape[1])[-1], jackknife)


def cr2_combination(
    y: Vector, x: Matrix, cluster: Codes, weights: Vector, jackknife: bool = False
) -> Coefficient:
    """A linear combination of the coefficients, with a CR2 standard error and Satterthwaite's df.

    Parameters
    ----------
    y, x, cluster, jackknife:
        As for :func:`cr2`; the order of the columns does not matter.
    weights:
        [k] one for each column of ``x``.
    """
    parts = cr2_parts(y, x, cluster, weights[:, None], jackknife)
    estimate = float(weights @ parts.coefficients)
    std_error = float(np.sqrt(np.sum(parts.scores**2)))
    return Coefficient(estimate, std_error, _satterthwaite(parts.gram(0, 0)))


@dataclass(frozen=True)
class CR2Parts:
    """What the CR2 variances of several linear combinations of coefficients are made of."""

    coefficients: Vector
    """[k] by least squares."""
    scores: Matrix
    """[clusters, q] each cluster's part of each combination: their products' sum is CR2."""
    squares: Matrix
    """[clusters, q, q] the inner products of the clusters' adjusted vectors."""
    projections: Matrix
    """[clusters, q, k] the same vectors in the orthonormal basis of the design."""

    def gram(self, s: int, t: int) -> Matrix:
        """[clusters, clusters] inner products of the clusters' contributions to s and to t.

        A cluster's contribution is ``(I - H) a_g``, so this is ``diag(a_g' b_g) - A'B`` with
        ``A_g = q_g' a_g``: no matrix larger than clusters by clusters is formed.
        """
        product = self.projections[:, s] @ self.projections[:, t].T
        gram: Matrix = np.diag(self.squares[:, s, t]) - product
        return gram


def cr2_parts(
    y: Vector, x: Matrix, cluster: Codes, weights: Matrix, jackknife: bool = False
) -> CR2Parts:
    """What the CR2 variances of linear combinations are made of.

    Parameters
    ----------
    y, x, cluster, jackknife:
        As for :func:`cr2`.
    weights:
        [k, q] one combination in each column.
    """
    order = np.argsort(cluster, kind="stable")
    y, x, cluster = y[order], x[order], cluster[order]
    q, r = np.linalg.qr(x)
    coefficients = np.linalg.solve(r, q.T @ y)
    # A combination is loading' q' y: `loading` is the contrast in the orthonormal basis.
    loading = np.linalg.solve(r.T, weights)
    starts = np.flatnonzero(np.diff(cluster, prepend=cluster[0] - 1))
    adjusted = np.column_stack([_adjust(q, q @ column, starts, jackknife) for column in loading.T])
    residual = y - x @ coefficients
    products = adjusted[:, :, None] * adjusted[:, None, :]
    return CR2Parts(
        coefficients,
        np.add.reduceat(adjusted * residual[:, None], starts),
        np.add.reduceat(products, starts),
        np.add.reduceat(adjusted[:, :, None] * q[:, None, :], starts),
    )


def _adjust(q: Matrix, vector: Vector, starts: Codes, jackknife: bool) -> Vector:
    """[n] ``(I - q_g q_g')^(-1/2) vector_g`` for every cluster g, by the Moore-Penrose inverse.

    With ``q_g'q_g = V diag(s) V'`` the inverse root is ``I + q_g V diag(w) V' q_g'``, where
    ``w = ((1 - s)^(-1/2) - 1) / s = 1 / (r + r^2)`` and ``r = (1 - s)^(1/2)``. A direction that
    the cluster alone determines (s = 1) has no residual, and its inverse is zero: w = -1.
    For the jackknife it is the inverse itself, with ``w = ((1 - s)^(-1) - 1) / s = 1 / (1 - s)``.

    Parameters
    ----------
    q:
        [n, k] an orthonormal basis of the design, rows sorted by cluster.
    vector:
        [n] what is adjusted.
    starts:
        [clusters] the first row of each cluster.
    jackknife:
        Whether the inverse is taken instead of its root.
    """
    stops = np.append(starts[1:], len(q))
    grams = np.stack([q[a:b].T @ q[a:b] for a, b in zip(starts, stops, strict=True)])
    s, v = np.linalg.eigh(grams)
    root = np.sqrt(np.clip(1 - s, LEVERAGE, 1))
    inverse = 1 / root**2 if jackknife else 1 / (root + root**2)
    weights = np.where(1 - s > LEVERAGE, inverse, -1.0)
    inner = np.add.reduceat(q * vector[:, None], starts, axis=0)
    shift = np.einsum("gij,gj,glj,gl->gi", v, weights, v, inner, optimize=True)
    adjusted: Vector = vector + np.sum(q * np.repeat(shift, stops - starts, axis=0), axis=1)
    return adjusted


def _satterthwaite(gram: Matrix) -> float:
    """``tr(G)^2 / tr(G G)`` where G holds the inner products of the clusters' contributions."""
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
