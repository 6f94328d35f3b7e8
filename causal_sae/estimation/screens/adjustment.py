"""Corrections over all features of a screen."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from causal_sae.estimation.multiplicity.maxt import step_down
from causal_sae.estimation.multiplicity.p_values import OfPValues, none, statsmodels
from causal_sae.estimation.screens.effects import Differences

Floats = NDArray[np.float64]

METHODS: dict[str, OfPValues] = {
    "none": none,
    "bonferroni": partial(statsmodels, "bonferroni"),
    "holm": partial(statsmodels, "holm"),
    "hochberg": partial(statsmodels, "simes-hochberg"),
    "bh": partial(statsmodels, "fdr_bh"),
    "by": partial(statsmodels, "fdr_by"),
    "tsbh": partial(statsmodels, "fdr_tsbky"),
}
"""The corrections of p-values that a screen may declare; beside them ``maxt``."""

FLIPS = 999
CELLS = 1 << 24
"""Sums that are in memory together."""


def adjusted(method: str, p_values: Floats, unmeasured: int, alpha: float) -> Floats:
    """``[tests]`` adjusted p-values; NaN stays NaN and does not count.

    Parameters
    ----------
    method:
        One of :data:`METHODS`.
    p_values:
        ``[tests]``
    unmeasured:
        How many tests more belong to the family although they were not made: features that the
        shortlist left out, on the very units that the others are tested on. They count as tests
        with a p-value of 1, so that choosing by the outcome costs what it must.
    alpha:
        The level, for corrections that depend on it.
    """
    result = np.full(len(p_values), np.nan)
    present = ~np.isnan(p_values)
    if present.any():
        whole = np.concatenate([p_values[present], np.ones(unmeasured)])
        result[present] = METHODS[method](whole, alpha)[: int(present.sum())]
    return result


def sign_flips(
    differences: Differences,
    tested: NDArray[np.bool_],
    rng: np.random.Generator,
    advance: Callable[[int], None] = lambda _n: None,
) -> Floats:
    """``[F]`` step-down adjusted p-values from flipping the signs of whole units.

    The largest ``|t|`` over features of the data is held against that of data in which a unit's
    differences, of all features together, have changed sign at random (Westfall and Young 1993;
    Winkler et al. 2014). The dependence between features is kept as it is. It is exact where a
    unit's differences are as likely to be of one sign as of the other; skewed differences make it
    approximate.

    Parameters
    ----------
    differences:
        What was measured.
    tested:
        ``[F]`` which features are tests of the family.
    rng:
        Draws the signs.
    advance:
        Called with the number of flips done.

    Returns
    -------
    NaN where not tested; at least ``1 / (1 + FLIPS)``.
    """
    place = np.cumsum(tested) - 1
    chosen = tested[differences.feature]
    column, unit = place[differences.feature[chosen]], differences.unit[chosen]
    value = differences.value[chosen].astype(np.float32)
    width = int(tested.sum())
    matrix = sparse.csr_matrix((value, (column, unit)), shape=(width, differences.units))
    m = np.bincount(column, minlength=width).astype(np.float64)
    square = np.bincount(column, value.astype(np.float64) ** 2, minlength=width)

    def student(total: Floats) -> Floats:
        spread = np.maximum(square - total**2 / m, 1e-30) / (m - 1)
        return np.abs(total) / np.sqrt(m * spread)

    total = np.bincount(column, value.astype(np.float64), minlength=width).astype(np.float64)
    observed = student(total)
    drawn = np.empty((FLIPS, width))
    step = max(1, CELLS // max(width, differences.units))
    for start in range(0, FLIPS, step):
        count = min(step, FLIPS - start)
        signs = rng.integers(0, 2, (differences.units, count)).astype(np.float32) * 2 - 1
        drawn[start : start + count] = student((matrix @ signs).T.astype(np.float64))
        advance(count)
    result = np.full(len(tested), np.nan)
    result[tested] = step_down(observed, drawn, listed=False)
    return result
