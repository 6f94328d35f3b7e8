"""The linear mixed model with one random intercept: REML in closed form but for one variance ratio.

``y = X b + u[group] + e`` with ``var(u) = ratio * var(e)``. Given the ratio everything else is
weighted least squares: the residuals within groups count by 1, the mean of a group of n rows by
``n / (1 + ratio n)``. So the REML likelihood is a function of the ratio alone, and its derivatives
are short sums over groups. Bates et al. (2015), eq. 30-42; Kuznetsova, Brockhoff and Christensen
(2017) for Satterthwaite's degrees of freedom: ``lme4::lmer`` and ``lmerTest`` in R.

statsmodels' ``MixedLM`` is not used: it takes a z-test, seconds a fit, and may stop at a ratio of
0 that is not the maximum.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import optimize

from causal_sae.estimation.inference import NOISE_OF_LEVEL, NOISE_OF_RANGE
from causal_sae.estimation.sample import Codes, Matrix, Vector

RATIOS = np.concatenate([[0.0], np.logspace(-6, 24, 91)])
"""Where the likelihood's slope is looked at first: it may have more than one maximum."""


@dataclass(frozen=True)
class MixedFit:
    """The coefficient of the last column, and the variances."""

    estimate: float
    std_error: float
    df: float
    """Satterthwaite's."""
    ratio: float
    """The variance between groups over the variance within them."""
    variance: float
    """The variance within groups."""

    @property
    def singular(self) -> bool:
        """Whether groups are estimated to share nothing."""
        return self.ratio == 0


@dataclass(frozen=True)
class _Moments:
    """The data, split into what varies within groups and the groups' means."""

    within: Matrix
    """[k + 1, k + 1] cross-products within groups, of the columns and of the outcome."""
    means: Matrix
    """[groups, k + 1] the groups' means, of the same."""
    size: Vector
    """[groups] rows in each."""
    rows: int

    @property
    def free(self) -> int:
        """Rows minus columns."""
        return self.rows - int(self.means.shape[1]) + 1


@dataclass(frozen=True)
class _Point:
    """The restricted likelihood at one ratio; all per unit of the variance within groups."""

    coefficients: Vector
    """[k]"""
    inverse: Matrix
    """[k, k] the coefficients' covariance."""
    residual: float
    """The weighted sum of squares."""
    weight: Vector
    """[groups] of a group's mean."""
    of_means: Vector
    """[groups] the residual of each group's mean."""


def fit_random_intercept(y: Vector, x: Matrix, group: Codes) -> MixedFit:
    """Fit by REML.

    Parameters
    ----------
    y:
        [n] the outcome.
    x:
        [n, k] the design, of full rank, n > k; the column of interest is the last.
    group:
        [n] the unit or cluster of each row; some have several rows.

    Returns
    -------
    At a ratio of 0 the fit is that of least squares with n - k degrees of freedom, as lmerTest
    has it.
    """
    plain = np.linalg.lstsq(x, y, rcond=None)[0]
    moments = _moments(y - x @ plain, x, group)
    noise = NOISE_OF_RANGE * float(np.ptp(y)) + NOISE_OF_LEVEL * float(np.abs(y).max())
    if _within_squares(moments) <= len(y) * noise**2 and moments.size.max() > 1:
        return _without_noise(moments, float(plain[-1]))
    ratio = _best_ratio(moments)
    at = _point(moments, ratio)
    variance = at.residual / moments.free
    error = float(np.sqrt(variance * at.inverse[-1, -1]))
    estimate = float(plain[-1] + at.coefficients[-1])
    return MixedFit(estimate, error, _satterthwaite(moments, at), ratio, variance)


def _within_squares(moments: _Moments) -> float:
    """The squares that remain within groups after the columns."""
    cross = moments.within
    best = np.linalg.lstsq(cross[:-1, :-1], cross[:-1, -1], rcond=1e-12)[0]
    return float(cross[-1, -1] - cross[:-1, -1] @ best)


def _without_noise(moments: _Moments, plain: float) -> MixedFit:
    """Where nothing varies within groups: the likelihood has no maximum, its limit is this.

    If the column of interest varies within groups it is known without error. If no column does,
    the groups' means are the data, each of them one observation.
    """
    x, y = moments.means[:, :-1], moments.means[:, -1]
    cross = moments.within[:-1]
    if cross[-1, -2] > 0:
        best = np.linalg.lstsq(cross[:, :-1], cross[:, -1], rcond=1e-12)[0]
        return MixedFit(plain + float(best[-1]), 0.0, np.nan, np.inf, 0.0)
    free = len(y) - x.shape[1]
    if free < 1 or np.any(np.abs(cross[:, :-1]) > 0) or np.linalg.matrix_rank(x) < x.shape[1]:
        return MixedFit(np.nan, np.nan, np.nan, np.inf, 0.0)
    coefficients = np.linalg.lstsq(x, y, rcond=None)[0]
    variance = float(np.sum((y - x @ coefficients) ** 2)) / free
    error = float(np.sqrt(variance * np.linalg.inv(x.T @ x)[-1, -1]))
    return MixedFit(plain + float(coefficients[-1]), error, float(free), np.inf, 0.0)


def _moments(y: Vector, x: Matrix, group: Codes) -> _Moments:
    _, code, size = np.unique(group, return_inverse=True, return_counts=True)
    columns = np.column_stack([x, y])
    sums = np.stack([np.bincount(code, weights=column) for column in columns.T], axis=1)
    means = sums / size[:, None]
    deviations = columns - means[code]
    return _Moments(deviations.T @ deviations, means, size.astype(np.float64), len(y))


def _point(moments: _Moments, ratio: float) -> _Point:
    weight = moments.size / (1 + ratio * moments.size)
    cross = moments.within + (moments.means * weight[:, None]).T @ moments.means
    inverse = np.asarray(np.linalg.inv(cross[:-1, :-1]), dtype=np.float64)
    coefficients = inverse @ cross[:-1, -1]
    residual = float(cross[-1, -1] - cross[:-1, -1] @ coefficients)
    of_means = moments.means[:, -1] - moments.means[:, :-1] @ coefficients
    return _Point(coefficients, inverse, residual, weight, of_means)


def _deviance(moments: _Moments, ratio: float) -> float:
    """Minus twice the restricted log-likelihood, up to a constant."""
    at = _point(moments, ratio)
    spread = float(np.sum(np.log1p(ratio * moments.size)))
    volume = -float(np.linalg.slogdet(at.inverse)[1])
    return spread + volume + moments.free * float(np.log(max(at.residual, 1e-300)))


def _slope(moments: _Moments, ratio: float) -> float:
    """The derivative of the deviance by the ratio."""
    at = _point(moments, ratio)
    first = -_pull(moments, at.weight**2)
    loss = -float(np.sum((at.weight * at.of_means) ** 2))
    trace = float(np.sum(at.inverse * first))
    return float(at.weight.sum()) + trace + moments.free * loss / at.residual


def _pull(moments: _Moments, weight: Vector) -> Matrix:
    """[k, k] the weighted cross-products of the groups' means."""
    x = moments.means[:, :-1]
    product: Matrix = (x * weight[:, None]).T @ x
    return product


def _best_ratio(moments: _Moments) -> float:
    """Where the restricted likelihood is largest; 0 where it only falls."""
    if moments.size.max() == 1:  # nothing tells the two variances apart
        return 0.0
    slopes = [_slope(moments, float(ratio)) for ratio in RATIOS]
    found = [0.0] if slopes[0] >= 0 else []
    for low, high, below, above in zip(RATIOS, RATIOS[1:], slopes, slopes[1:], strict=False):
        if below < 0 <= above:
            root = optimize.brentq(
                lambda ratio: _slope(moments, ratio), low, high, xtol=1e-14 * high, rtol=1e-14
            )
            found.append(float(root))
    found = found or [float(RATIOS[-1])]
    return min(found, key=lambda ratio: _deviance(moments, ratio))


def _satterthwaite(moments: _Moments, at: _Point) -> float:
    """``2 V^2 / var(V)`` for the last coefficient's variance V, by the delta method.

    The variance of the two variance parameters is twice the inverse of the deviance's Hessian,
    here by the variance within groups and by the ratio. At a ratio of 0, where the likelihood is
    not flat, only the former counts, as in lmerTest.
    """
    variance = at.residual / moments.free
    if np.array_equal(at.weight, moments.size):  # a ratio of 0
        return float(moments.free)
    squares, cubes = at.weight**2, at.weight**3
    first, second = -_pull(moments, squares), 2 * _pull(moments, cubes)
    turned = at.inverse @ first
    trace = float(np.trace(at.inverse @ second)) - float(np.sum(turned * turned.T))
    gradient = moments.means[:, :-1].T @ (squares * at.of_means)
    bend = 2 * float(np.sum(cubes * at.of_means**2)) - 2 * float(gradient @ at.inverse @ gradient)
    loss = -float(np.sum(squares * at.of_means**2))
    of_ratio = trace - float(np.sum(squares)) + bend / variance
    hessian = np.array(
        [[moments.free / variance**2, -loss / variance**2], [-loss / variance**2, of_ratio]]
    )
    own = float(at.inverse[-1, -1])
    by_ratio = -variance * float(at.inverse[-1] @ first @ at.inverse[:, -1])
    slope = np.array([own, by_ratio])
    if np.linalg.det(hessian) <= 0:
        return np.nan
    return float((variance * own) ** 2 / (slope @ np.linalg.solve(hessian, slope)))
