"""The largest of several correlated t statistics: its tail and its quantiles.

With ``Z`` normal of correlation ``R`` and a chi-square of ``df`` degrees of freedom for the
standard error, ``Z = r A u`` where ``A A' = R``, ``u`` is a direction of ``rank(R)`` dimensions and
``r^2 / rank`` over the chi-square's mean square is F-distributed. Given the direction the tail is
that of F, so only directions are drawn (Deak 1980): :data:`DIRECTIONS` points of Sobol's sequence,
scrambled by a fixed seed, the same on every run. With one statistic there is nothing to draw and
the tail is Student's.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import optimize, special, stats

from causal_sae.estimation.sample import Matrix, Vector

DIRECTIONS, FEW = 2**18, 2**16
"""How many directions are drawn: the fewer for up to five dimensions. Over scramblings a
tail of .05 then has a standard deviation below 2e-5, and of 6e-5 with twenty statistics."""
COORDINATES = 2**23
"""No more directions than this over the dimensions are drawn."""
BINS = 2**11
"""Directions of nearly the same reach are taken together."""
SEED = 20_090_115
NOISE = 1e-12
"""Eigenvalues below this share of the largest are rounding."""


@dataclass(frozen=True)
class JointT:
    """The maximum of the absolute values of correlated t statistics."""

    reach: Vector
    """[bins] the largest coordinate of ``A u``, of equally many directions each."""
    rank: int
    """The dimensions of the directions."""

    def tail(self, limit: float, df: float) -> float:
        """The probability that some statistic exceeds a limit in size.

        Parameters
        ----------
        limit:
            At least zero.
        df:
            The degrees of freedom that all statistics are taken to have.
        """
        ratio = (limit / self.reach) ** 2 / self.rank
        return float(np.mean(special.fdtrc(self.rank, df, ratio)))

    def critical(self, alpha: float, df: float, tests: int) -> float:
        """The limit that all statistics stay within with probability ``1 - alpha``.

        Parameters
        ----------
        alpha:
            The error rate.
        df:
            As for :meth:`tail`.
        tests:
            How many statistics there are: the limit is at most Bonferroni's.
        """
        low, high = (float(stats.t.isf(alpha / 2 / m, df)) for m in (1, tests))
        if self.tail(low, df) <= alpha:
            return low
        if self.tail(high, df) >= alpha:
            return high
        return float(optimize.brentq(lambda x: self.tail(x, df) - alpha, low, high, xtol=1e-10))


def joint_t(correlation: Matrix, seed: int = SEED) -> JointT:
    """The maximum of statistics with these correlations.

    Parameters
    ----------
    correlation:
        [k, k] positive semi-definite; may be singular, as where two statistics are the same.
    seed:
        Scrambles the directions.
    """
    values, vectors = np.linalg.eigh(correlation)
    kept = values > NOISE * values[-1]
    root = vectors[:, kept] * np.sqrt(values[kept])
    root /= np.linalg.norm(root, axis=1, keepdims=True)
    rank = int(kept.sum())
    if rank == 1:
        return JointT(np.ones(1), 1)
    affordable = 2 ** int(np.log2(COORDINATES / rank))
    count = FEW if rank <= 5 else max(BINS, min(DIRECTIONS, affordable))
    points = stats.qmc.Sobol(rank, seed=seed).random(count)
    normal = special.ndtri(np.clip(points, 2.0**-53, 1 - 2.0**-53))
    reach = np.abs(normal @ root.T).max(axis=1) / np.linalg.norm(normal, axis=1)
    return JointT(np.sort(reach).reshape(BINS, -1).mean(axis=1), rank)
