"""The means of several arms, and the inference about sums of them, as the design asks.

One class for each way to a covariance of the means. Each gives the estimate, the standard error
and the degrees of freedom of any linear combination, and a joint test of several; with two arms
and the weights 1 and -1 they are the estimators ``welch``, ``difference_in_means``, ``ancova``,
``lin``, ``block``, ``fixed_effects``, ``cluster`` and ``paired``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import linalg, stats

from causal_sae.estimation.linear_models import Coefficient, cr2, cr2_combination, cr2_parts
from causal_sae.estimation.sample import Codes, Matrix, Vector


@dataclass(frozen=True)
class Wald:
    """A joint test: that several linear combinations of the means are all zero."""

    statistic: float
    """F."""
    df_num: float
    df_den: float
    p_value: float
    test: str
    """What the test is called."""


UNTESTED = Wald(np.nan, np.nan, np.nan, np.nan, "")


def f_test(statistic: float, df_num: float, df_den: float, test: str) -> Wald:
    """A test by F; without degrees of freedom there is none."""
    if not (df_den > 0 and np.isfinite(statistic)):
        return UNTESTED
    return Wald(statistic, df_num, df_den, float(stats.f.sf(statistic, df_num, df_den)), test)


def quadratic(effects: Vector, covariance: Matrix) -> float:
    """``e' V^-1 e``; NaN where V has no inverse, because some combination does not vary."""
    scale = np.sqrt(np.diag(covariance))
    if not np.all(scale > 0):
        return np.nan
    correlation = covariance / np.outer(scale, scale)
    if np.linalg.cond(correlation) > 1e12:
        return np.nan
    standard = effects / scale
    return float(standard @ np.linalg.solve(correlation, standard))


@dataclass(frozen=True)
class ArmMeans:
    """The arms' means, adjusted as the design asks, and the inference about their combinations."""

    means: Vector
    """[k]"""
    combine: Callable[[Vector], Coefficient]
    """Weights [k] in; the estimate, its standard error and degrees of freedom out."""
    wald: Callable[[Matrix], Wald]
    """Independent combinations [q, k] in, the joint test that they are all zero out."""
    estimator: str
    """The estimator that this is with two arms."""
    flags: tuple[str, ...] = ()
    simple: bool = False
    """Whether nothing but the arms' own means and variances enters."""


def independent(outcome: Vector, arm: Codes, arms: int) -> ArmMeans:
    """Each arm with its own mean and variance, and Welch's and Satterthwaite's df.

    Parameters
    ----------
    outcome, arm:
        [n] the outcomes, and the arm of each.
    arms:
        How many arms there are.

    Notes
    -----
    ``df = (sum c^2 v)^2 / sum((c^2 v)^2 / (n - 1))`` with v the variance of an arm's mean. The
    joint test is Welch and James's F with Johansen's (1980) degrees of freedom, which has the same
    df for one combination, and is ``stats::oneway.test`` for all differences between the arms.
    """
    groups = [outcome[arm == a] for a in range(arms)]
    means = np.array([g.mean() if len(g) else np.nan for g in groups])
    sizes = np.array([len(g) for g in groups], dtype=np.float64)
    variances = np.array([g.var(ddof=1) / len(g) if len(g) > 1 else np.nan for g in groups])

    def combine(weights: Vector) -> Coefficient:
        used = weights != 0
        parts = weights[used] ** 2 * variances[used]
        squares = float(np.sum(parts**2 / (sizes[used] - 1))) if np.all(sizes[used] > 1) else np.nan
        df = float(parts.sum()) ** 2 / squares if squares > 0 else float(np.sum(sizes[used] - 1))
        estimate = float(weights[used] @ means[used])
        return Coefficient(estimate, float(np.sqrt(parts.sum())), df)

    def wald(rows: Matrix) -> Wald:
        return _welch_james(rows, means, variances, sizes)

    return ArmMeans(means, combine, wald, "welch", simple=True)


def _welch_james(rows: Matrix, means: Vector, variances: Vector, sizes: Vector) -> Wald:
    """Johansen's (1980) approximation for arms that have variances of their own.

    With p the arms' leverages in the covariance of the q combinations and ``A = sum p^2 / (n - 1)``
    the quadratic form over ``q + 2 A - 6 A / (q + 2)`` is F with q and ``q (q + 2) / (3 A)``
    degrees of freedom.
    """
    used = np.any(rows != 0, axis=0)
    rows, means, variances, sizes = rows[:, used], means[used], variances[used], sizes[used]
    if not np.all(np.isfinite(variances)):
        return UNTESTED
    q, covariance = len(rows), (rows * variances) @ rows.T
    squared = quadratic(rows @ means, covariance)
    if not np.isfinite(squared):
        return UNTESTED
    leverage = variances * np.sum(rows * np.linalg.solve(covariance, rows), axis=0)
    a = float(np.sum(leverage**2 / (sizes - 1)))
    scale = q + 2 * a - 6 * a / (q + 2)
    return f_test(squared / scale, q, q * (q + 2) / (3 * a), "Welch-James F")


def with_covariance(
    means: Vector, covariance: Matrix, df: float, estimator: str, flags: tuple[str, ...] = ()
) -> ArmMeans:
    """Means with a robust covariance and fixed degrees of freedom.

    Parameters
    ----------
    means, covariance:
        [k], [k, k]
    df:
        Of every combination.
    estimator, flags:
        As in :class:`ArmMeans`.
    """

    def combine(weights: Vector) -> Coefficient:
        variance = float(weights @ covariance @ weights)
        return Coefficient(float(weights @ means), float(np.sqrt(max(variance, 0.0))), df)

    def wald(rows: Matrix) -> Wald:
        return _f_by_covariance(rows, means, covariance, df)

    return ArmMeans(means, combine, wald, estimator, flags)


def _f_by_covariance(rows: Matrix, means: Vector, covariance: Matrix, df: float) -> Wald:
    used = np.any(rows != 0, axis=0)
    rows, means, covariance = rows[:, used], means[used], covariance[np.ix_(used, used)]
    if not np.all(np.isfinite(covariance)):
        return UNTESTED
    statistic = quadratic(rows @ means, rows @ covariance @ rows.T) / len(rows)
    return f_test(statistic, len(rows), df, "Wald F, robust covariance")


def clustered(
    y: Vector,
    x: Matrix,
    cluster: Codes,
    arms: int,
    flags: tuple[str, ...] = (),
    jackknife: bool = False,
) -> ArmMeans:
    """Least squares with CR2 standard errors; joint tests by Hotelling's approximation.

    Parameters
    ----------
    y:
        [n] the outcome.
    x:
        [n, p] the design, of full rank; its first columns are the arms' indicators.
    cluster:
        [n] the cluster of each row.
    arms:
        How many arms there are.
    flags:
        About the model.
    jackknife:
        Whether standard errors are CR3's; joint tests are CR2's all the same.

    Notes
    -----
    ``clubSandwich::Wald_test(vcov = "CR2", test = "HTZ")``: Pustejovsky and Tipton (2018).
    """
    padding = np.zeros(x.shape[1] - arms)
    means: Vector = np.linalg.lstsq(x, y, rcond=None)[0][:arms].astype(np.float64)

    def combine(weights: Vector) -> Coefficient:
        return cr2_combination(y, x, cluster, np.concatenate([weights, padding]), jackknife)

    def wald(rows: Matrix) -> Wald:
        return _hotelling_z(y, x, cluster, np.pad(rows, ((0, 0), (0, len(padding)))))

    return ArmMeans(means, combine, wald, "cluster", (*flags, *(("cr3",) if jackknife else ())))


def _hotelling_z(y: Vector, x: Matrix, cluster: Codes, rows: Matrix) -> Wald:
    """HTZ: the CR2 matrix is taken for a Wishart matrix with the same total variance."""
    q = len(rows)
    working = rows @ np.linalg.solve(x.T @ x, rows.T)
    # Standardised by the working model, the expectation of CR2 is the identity matrix.
    half = linalg.solve_triangular(np.linalg.cholesky(working), rows, lower=True)
    parts = cr2_parts(y, x, cluster, half.T)
    grams = [[parts.gram(s, t) for t in range(q)] for s in range(q)]
    spread = sum(
        float(np.sum(grams[s][s] * grams[t][t]) + np.sum(grams[s][t] * grams[s][t].T))
        for s in range(q)
        for t in range(q)
    )
    eta = q * (q + 1) / spread if spread > 0 else np.nan
    statistic = quadratic(half @ parts.coefficients, parts.scores.T @ parts.scores)
    df = eta - q + 1
    return f_test(df / (eta * q) * statistic, q, df, "Hotelling-approximated F, CR2")


def within_units(wide: Matrix, cluster: Codes | None, jackknife: bool = False) -> ArmMeans:
    """Every unit in every arm: Student's t on each unit's own combination.

    Parameters
    ----------
    wide:
        [units, k] the outcomes.
    cluster:
        [units] the cluster of each unit; with it the standard error is CR2.
    jackknife:
        As for :func:`clustered`.

    Notes
    -----
    The joint test is Hotelling's T-squared on the units' combinations, and with clusters its
    approximation of :func:`clustered`, on all combinations below each other. Weights must add up to
    zero: outcomes are taken as differences from the unit's first arm, so that a unit that is the
    same in all arms gives zero exactly.
    """

    def combine(weights: Vector) -> Coefficient:
        each = per_unit(wide, weights)
        if cluster is not None:
            return cr2(each, np.ones((len(each), 1)), cluster, jackknife)
        std_error = float(each.std(ddof=1) / np.sqrt(len(each)))
        return Coefficient(float(each.mean()), std_error, float(len(each) - 1))

    def wald(rows: Matrix) -> Wald:
        n, q = len(wide), len(rows)
        if n <= q:
            return UNTESTED
        each: Matrix = np.column_stack([per_unit(wide, row) for row in rows])
        if cluster is not None:
            parts: Matrix = np.repeat(np.eye(q), n, axis=0)
            return _hotelling_z(each.T.ravel(), parts, np.tile(cluster, q), np.eye(q))
        covariance = np.atleast_2d(np.cov(each.T, ddof=1)) / n
        squared = quadratic(each.mean(axis=0), covariance)
        return f_test(squared * (n - q) / (q * (n - 1)), q, n - q, "Hotelling's T-squared")

    means: Vector = wide.mean(axis=0)
    flags = ("cr3",) if jackknife and cluster is not None else ()
    return ArmMeans(means, combine, wald, "paired", flags, simple=cluster is None)


def per_unit(wide: Matrix, weights: Vector) -> Vector:
    """[units] each unit's own combination of its outcomes [units, k]."""
    each: Vector = (wide - wide[:, :1]) @ weights
    return each
