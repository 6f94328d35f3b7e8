"""How far apart arms are on covariates, and how far apart an assignment may leave them.

Morgan and Rubin (2012), Rerandomization to improve covariate balance in experiments; Annals of
Statistics 40, 1263. For several arms the distance is the trace form of their section on multiple
treatments: the sum over arms of n times the squared Mahalanobis distance of the arm's mean from
that of all units. With two arms it is the Mahalanobis distance between their means. With blocks
everything is taken within them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtri

Matrix = NDArray[np.float64]
Codes = NDArray[np.intp]

LEAST = 1e-10
"""Below this share of the largest eigenvalue a direction of the covariates does not vary."""


class CollinearError(ValueError):
    """A covariate does not vary (within blocks), or is a combination of others."""


def whitened(covariates: Matrix, block: Codes) -> Matrix:
    """[n, k] the covariates centred in their blocks, with the identity as pooled covariance.

    Parameters
    ----------
    covariates:
        [n, k] one row for each unit.
    block:
        [n] codes; all the same without blocks.

    Raises
    ------
    CollinearError
        The covariates have no covariance that could be inverted.
    """
    blocks = np.unique(block, return_inverse=True)[1]
    count = np.bincount(blocks)
    means = np.stack([np.bincount(blocks, column) / count for column in covariates.T], axis=1)
    centred = covariates - means[blocks]
    scale = centred.std(axis=0)
    if (scale <= 1e-12 * np.abs(covariates).max(axis=0)).any():
        raise CollinearError
    centred = centred / scale
    values, vectors = np.linalg.eigh(centred.T @ centred / max(1, len(centred) - len(count)))
    if values.min() <= LEAST * values.max():
        raise CollinearError
    found: Matrix = centred @ (vectors / np.sqrt(values))
    return found


def distance(white: Matrix, arms: Codes, count: int) -> float:
    """The distance of an assignment.

    Parameters
    ----------
    white:
        [n, k] as :func:`whitened` returns them.
    arms:
        [n] the arm of each unit.
    count:
        How many arms there are.
    """
    sizes = np.maximum(np.bincount(arms, minlength=count), 1)
    sums = np.stack([np.bincount(arms, column, count) for column in white.T], axis=1)
    return float(np.sum(sums**2 / sizes[:, None]))


def limit(probability: float, covariates: int, arms: int) -> float:
    """The distance that a plain assignment stays within with a probability, in large samples.

    Parameters
    ----------
    probability:
        Of acceptance.
    covariates, arms:
        Their numbers: the distance is chi-square with ``covariates * (arms - 1)`` degrees.
    """
    return float(chdtri(covariates * (arms - 1), 1 - probability))
