"""Which model of the arms' means a design gets, and the columns of its design matrix."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from causal_sae.estimation.arm_means import (
    ArmMeans,
    clustered,
    independent,
    with_covariance,
    within_units,
)
from causal_sae.estimation.choice import allows_jackknife, few_clusters, structure
from causal_sae.estimation.estimators.block import SAME
from causal_sae.estimation.linear_models import centred, indicators, robust_fit, usable_covariates
from causal_sae.estimation.sample import Codes, Matrix, Vector
from causal_sae.estimation.several_arms import Arms, cell_counts

if TYPE_CHECKING:
    from causal_sae.spec import Trial

Fitted = ArmMeans | tuple[str, ...]
"""A model; or, where there is none, the flags that say why."""


def fit_means(trial: Trial, arms: Arms) -> Fitted:
    """The model of the arms' means that the trial's design and estimator ask for.

    Parameters
    ----------
    trial:
        Declares the assignment, the estimator and the covariates.
    arms:
        The units analysed.
    """
    kind = structure(trial)
    if not len(arms) or np.any(arms.counts == 0):
        return ("too_few_units",)
    if kind == "within-unit":
        return _within(arms, _jackknife(trial, arms))
    if "clustered" in kind:
        return _clustered(arms, _jackknife(trial, arms))
    if kind == "blocked":
        return _blocked(arms, trial.analysis.estimator == "fixed_effects")
    return _plain(trial, arms)


def _jackknife(trial: Trial, arms: Arms) -> bool:
    """Whether ``auto`` takes CR3, as it does for two arms."""
    automatic = trial.analysis.estimator == "auto" and allows_jackknife(trial)
    return automatic and few_clusters(arms.sample)


def _within(arms: Arms, jackknife: bool) -> Fitted:
    cluster = arms.sample.cluster
    if len(arms.wide) < 2:
        return ("too_few_units",)
    if cluster is not None:
        cluster = cluster.reshape(arms.wide.shape)[:, 0]
        if len(np.unique(cluster)) < 2:
            return ("too_few_clusters",)
    return within_units(arms.wide, cluster, jackknife)


def _plain(trial: Trial, arms: Arms) -> Fitted:
    declared = trial.analysis.estimator
    if trial.analysis.covariates:
        return _least_squares(arms, "lin" if declared == "lin" else "ancova")
    if declared == "difference_in_means":
        return _least_squares(arms, declared)
    return independent(arms.sample.outcome, arms.arm, len(arms.names))


def _blocked(arms: Arms, fixed_effects: bool) -> Fitted:
    """The three cases of the estimator ``block``, with any number of arms."""
    cells = cell_counts(arms)
    cells = cells[cells.sum(axis=1) > 0]
    if fixed_effects:
        return _least_squares(arms, "fixed_effects", uneven=not _even(cells))
    if np.any(cells == 0):  # no block-size weights where an arm is missing from a block
        return _least_squares(arms, "block", uneven=True)
    if not arms.sample.covariate_names:
        if np.all(cells >= 2):
            return _within_blocks(arms, cells)
        if np.all(cells == 1):
            return _matched(arms, len(cells))
    if _even(cells):
        return _least_squares(arms, "block")
    _, block = np.unique(np.asarray(arms.sample.block), return_inverse=True)
    weights = cells.sum(axis=1)[block] / cells[block, arms.arm]
    return _least_squares(arms, "block", weights)


def _even(cells: Codes) -> bool:
    """Whether the arms have the same shares in all blocks; cells [blocks, k] are counts."""
    shares = cells / cells.sum(axis=1, keepdims=True)
    return bool(np.all(np.ptp(shares, axis=0) < SAME))


def _within_blocks(arms: Arms, cells: Codes) -> ArmMeans:
    """Means within blocks, weighted by the blocks' sizes; each cell with a variance of its own."""
    _, block = np.unique(np.asarray(arms.sample.block), return_inverse=True)
    blocks, k = cells.shape
    cell, y = block * k + arms.arm, arms.sample.outcome
    means = np.bincount(cell, weights=y, minlength=blocks * k) / cells.ravel()
    squares = np.bincount(cell, weights=(y - means[cell]) ** 2, minlength=blocks * k)
    variances = (squares / (cells.ravel() - 1) / cells.ravel()).reshape(blocks, k)
    weights = cells.sum(axis=1) / cells.sum()
    covariance = np.diag(weights**2 @ variances)
    df = float(len(y) - blocks * k)
    return with_covariance(weights @ means.reshape(blocks, k), covariance, df, "block")


def _matched(arms: Arms, blocks: int) -> Fitted:
    """Every block is one unit of each arm: the blocks are what units are within units."""
    if blocks < 2:
        return ("too_few_units",)
    order = np.lexsort((arms.arm, np.asarray(arms.sample.block)))
    wide = arms.sample.outcome[order].reshape(blocks, len(arms.names))
    model = within_units(wide, None)
    return ArmMeans(model.means, model.combine, model.wald, "block", ("matched_pairs",))


def _least_squares(
    arms: Arms, estimator: str, weights: Vector | None = None, uneven: bool = False
) -> Fitted:
    """Arm indicators, block indicators and covariates; HC2 (or HC3), n - p degrees of freedom."""
    dummies, blocks = _indicators(arms), _block_indicators(arms)
    covariates, flags = usable_covariates(arms.sample, np.hstack([dummies, blocks]))
    if estimator == "lin":
        covariates = _interacted(dummies, covariates)
    x, k = np.hstack([dummies, blocks, covariates]), len(arms.names)
    if len(x) <= x.shape[1] or np.linalg.matrix_rank(x) < x.shape[1]:
        return ("singular", *flags)
    centre = float(arms.sample.outcome.mean())
    fitted = robust_fit(arms.sample.outcome - centre, x, weights, arms.sample.se_type)
    if fitted is None:
        return ("singular", *flags)
    flags = (*flags, *(() if estimator != "block" else ("block_regression",)))
    flags = (*flags, *(() if weights is None else ("probability_weighted",)))
    flags = (*flags, *(("precision_weighted",) if uneven else ()))
    means, covariance = fitted[0][:k] + centre, fitted[1][:k, :k]
    return with_covariance(means, covariance, float(len(x) - x.shape[1]), estimator, flags)


def _indicators(arms: Arms) -> Matrix:
    """[n, k] one column for each arm, no intercept: coefficients are the arms' means."""
    dummies: Matrix = np.eye(len(arms.names))[arms.arm]
    return dummies


def _block_indicators(arms: Arms) -> Matrix:
    """[n, blocks - 1] centred, so that means are at the average block."""
    if arms.sample.block is None:
        return np.empty((len(arms), 0))
    return centred(indicators(arms.sample.block))


def _interacted(dummies: Matrix, columns: Matrix) -> Matrix:
    """[n, k * m] the columns [n, m] within each arm."""
    products: Matrix = (dummies[:, :, None] * columns[:, None, :]).reshape(len(dummies), -1)
    return products


def _clustered(arms: Arms, jackknife: bool) -> Fitted:
    """The model of the estimator ``cluster``, with any number of arms."""
    cluster = np.asarray(arms.sample.cluster)
    in_arms = np.unique(np.column_stack([cluster, arms.arm]), axis=0)
    if np.min(np.bincount(in_arms[:, 1], minlength=len(arms.names))) < 2:
        return ("too_few_clusters",)
    dummies = _indicators(arms)
    blocks, block_flags = _cluster_blocks(arms, dummies, len(in_arms) == len(np.unique(cluster)))
    covariates, flags = usable_covariates(arms.sample, np.hstack([dummies, blocks]))
    x = np.hstack([dummies, blocks, covariates])
    if len(x) <= x.shape[1] or np.linalg.matrix_rank(x) < x.shape[1]:
        return ("singular", *flags)
    centre = float(arms.sample.outcome.mean())
    y, told = arms.sample.outcome - centre, (*flags, *block_flags)
    model = clustered(y, x, cluster, len(arms.names), told, jackknife)
    return ArmMeans(model.means + centre, model.combine, model.wald, "cluster", model.flags)


def _cluster_blocks(arms: Arms, dummies: Matrix, whole: bool) -> tuple[Matrix, tuple[str, ...]]:
    """Block indicators, within each arm where the arms' shares differ between blocks.

    Parameters
    ----------
    arms, dummies:
        The rows, and the arms' indicators.
    whole:
        Whether clusters were assigned whole: then shares are of clusters, otherwise of units.
    """
    block = arms.sample.block
    if block is None or len(np.unique(block)) < 2:
        return np.empty((len(arms), 0)), ()
    _, block = np.unique(block, return_inverse=True)
    columns, k = _block_indicators(arms), len(arms.names)
    rows = np.unique(np.column_stack([block, np.asarray(arms.sample.cluster), arms.arm]), axis=0)
    shape = (int(block.max()) + 1, k)
    of_clusters = np.bincount(rows[:, 0] * k + rows[:, 2], minlength=shape[0] * k).reshape(shape)
    of_units = np.bincount(block * k + arms.arm, minlength=shape[0] * k).reshape(shape)
    if _even(of_clusters if whole else of_units):
        return columns, ()
    if np.min(of_clusters) < 2:
        return columns, ("precision_weighted",)
    return _interacted(dummies, columns), ("block_interactions",)
