"""How many of the effects of any set are real, at least: closed testing with Simes' local tests.

Goeman and Solari (2011): with probability ``1 - alpha``, and for all sets at once, so that a set
may be chosen after looking. Goeman, Meijer, Krebs and Solari (2019) give the shortcut that needs no
more than sorting. Simes' test asks for independent or positively dependent p-values, as ``bh``
does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from causal_sae.errors import DataError, Place
from causal_sae.estimation.sample import Mask, Vector

if TYPE_CHECKING:
    from causal_sae.spec import Trial

FEWEST = 5
"""Smaller families have no table: their adjusted p-values say it all."""


def true_discoveries(
    p_values: ArrayLike, alpha: float = 0.05, subset: ArrayLike | None = None
) -> int:
    """The lower confidence bound on the number of false null hypotheses in a set.

    Parameters
    ----------
    p_values:
        [tests] of the whole family; NaN are tests that do not exist.
    alpha:
        One minus the confidence, for all sets at once.
    subset:
        [tests] booleans, or the indices of the set; default: the whole family.

    Returns
    -------
    At most the number of tests in the set. The hommel package's ``discoveries``.

    Raises
    ------
    DataError
        A p-value outside [0, 1], or a set that is not one of the family's.
    """
    p = np.asarray(p_values, dtype=np.float64)
    chosen = _mask(subset, len(p))
    if np.any((p < 0) | (p > 1)):
        raise DataError("p-values must be between 0 and 1.", Place(field="p_values"))
    present = ~np.isnan(p)
    inside = np.sort(p[present & chosen])
    if not len(inside):
        return 0
    size = largest_null(p[present], alpha)
    rank = np.arange(1, len(inside) + 1)
    # max over u of 1 - u + #{p in the set: size * p <= u * alpha}
    below = np.searchsorted(size * inside, rank * alpha, side="right")
    return int(max(0, np.max(1 - rank + below)))


def largest_null(p_values: Vector, alpha: float) -> int:
    """The size of the largest set of hypotheses that Simes' test does not reject (Hommel's h).

    Parameters
    ----------
    p_values:
        [tests] none of them NaN.
    alpha:
        The level of the test.

    Notes
    -----
    Among sets of one size the one of the largest p-values is rejected last, and if it is not
    rejected neither are the smaller ones: sizes are found by bisection.
    """
    p = np.sort(p_values)
    low, high = 0, len(p)
    while low < high:
        middle = (low + high + 1) // 2
        kept = np.all(middle * p[len(p) - middle :] > alpha * np.arange(1, middle + 1))
        low, high = (middle, high) if kept else (low, middle - 1)
    return low


def _mask(subset: ArrayLike | None, tests: int) -> Mask:
    """[tests] whether each test is in the set."""
    if subset is None:
        return np.ones(tests, dtype=np.bool_)
    given = np.asarray(subset)
    place = Place(field="subset")
    if given.dtype == np.bool_:
        if given.shape != (tests,):
            raise DataError(
                f"a set given by booleans must have one for each of the {tests} tests, got "
                f"{given.size}.",
                place,
            )
        return given
    indices = given.astype(np.int64) if given.size else np.empty(0, dtype=np.int64)
    if np.any((indices < 0) | (indices >= tests)):
        raise DataError(f"a set's indices must be from 0 to {tests - 1}.", place)
    mask = np.zeros(tests, dtype=np.bool_)
    mask[indices] = True
    return mask


def true_discovery_table(
    trial: Trial, observations: pd.DataFrame, effects: pd.DataFrame
) -> pd.DataFrame:
    """The bounds of each family of five tests and more: of all, of the rejected, of each outcome.

    Parameters
    ----------
    trial:
        Its alpha is one minus the confidence.
    observations:
        Not used.
    effects:
        As :func:`causal_sae.estimation.estimate` returns them.

    Returns
    -------
    ``family``, ``of`` (``all tests``, ``rejected``, or an outcome), ``tests`` (in that set),
    ``rejected`` (of them), ``true_discoveries`` (the bound) and ``confidence``. Empty where all
    families are smaller.
    """
    del observations
    if effects.empty:
        return pd.DataFrame()
    alpha = trial.analysis.alpha
    tested = effects[effects["p_value"].notna()]
    rows = [
        {"family": family, **row, "confidence": 1 - alpha}
        for family, group in tested.groupby("family", sort=False)
        if len(group) >= FEWEST
        for row in _bounds(group, alpha)
    ]
    return pd.DataFrame(rows)


def _bounds(group: pd.DataFrame, alpha: float) -> list[dict[str, object]]:
    reject = group["reject"].fillna(False).to_numpy(bool)
    outcome = group["outcome"].to_numpy(str)
    sets = {"all tests": np.ones(len(group), dtype=np.bool_), "rejected": reject}
    sets |= {str(name): outcome == name for name in dict.fromkeys(outcome)}
    p_values = group["p_value"].to_numpy(np.float64)
    return [
        {
            "of": name,
            "tests": int(chosen.sum()),
            "rejected": int((chosen & reject).sum()),
            "true_discoveries": true_discoveries(p_values, alpha, chosen),
        }
        for name, chosen in sets.items()
    ]
