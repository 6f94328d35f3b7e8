"""At which look each unit comes in: an order drawn from the seed, every arm and block in step."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from causal_sae.errors import DataError, Place
from causal_sae.randomization.dealing import Arms
from causal_sae.randomization.units import Labels, Units, members
from causal_sae.randomness import generator

if TYPE_CHECKING:
    import pandas as pd

    from causal_sae.spec.analysis import Looks
    from causal_sae.spec.trial import Trial

FEWEST = 2
"""Units of each arm that a test takes."""
WHOLE = frozenset({"cluster", "block_cluster"})
"""The methods in which all units of a cluster are in one arm."""


def deal_looks(trial: Trial, units: Units, arms: Arms) -> NDArray[np.intp] | None:
    """[units] the look from which a unit counts, from 1; None without looks before the end.

    Parameters
    ----------
    trial:
        Declares ``analysis.looks`` and the seed.
    units:
        Sorted by name.
    arms:
        [units] the arm of each, or [units, places] where every unit is in every arm.

    Notes
    -----
    Clusters come in whole. Units (or clusters) of one arm and block stand in random order, evenly
    spread over the interval from 0 to 1 from a start of their own, and the starts are spread evenly
    too. So up to each look every arm of every block has its share of its units, give or take one,
    and the trial has its share exactly (with clusters, give or take half a cluster).
    """
    looks = trial.analysis.looks
    if looks is None:
        return None
    cell = np.array(_cells(trial, units, arms), dtype=object)
    item = units.clusters if trial.assignment.cluster_by is not None else units.names
    first = np.unique(item.astype(str), return_index=True)[1]
    place = dict(zip(item[first], _places(cell[first], trial.seed), strict=True))
    return _cut(looks, np.array([place[name] for name in item]), item)


def require_first_look(trial: Trial, assignment: pd.DataFrame) -> None:
    """Pass when every arm has units to test at the first look.

    Raises
    ------
    DataError
        Names the arm, and how many units it has by then.
    """
    if trial.analysis.looks is None:
        return
    first = assignment.loc[assignment["look"] == 1, "arm"].value_counts()
    for arm in trial.arms:
        if first.get(arm.name, 0) < FEWEST:
            field = "every" if trial.analysis.looks.at is None else "at[0]"
            raise DataError(
                f"at the first look every arm must have at least {FEWEST} units, but arm "
                f"{arm.name!r} has {first.get(arm.name, 0)} of {len(assignment)}; look later.",
                Place(field=f"analysis.looks.{field}"),
            )


def _cells(trial: Trial, units: Units, arms: Arms) -> list[str]:
    """What comes in step: arm and block, or the block alone where an item is in several arms."""
    several = trial.within_unit or (
        trial.assignment.cluster_by is not None and trial.assignment.method not in WHOLE
    )
    if several:
        return [str(block) for block in units.blocks]
    return [f"{arm}\x1f{block}" for arm, block in zip(arms, units.blocks, strict=True)]


def _places(cell: Labels, seed: int) -> NDArray[np.float64]:
    """[items] where in the order an item stands, from 0 to 1."""
    groups = members(cell)
    rng = generator(seed, "looks", "starts")
    starts = (rng.permutation(len(groups)) + rng.random()) / len(groups)
    places = np.empty(len(cell))
    for start, (label, rows) in zip(starts, groups.items(), strict=True):
        order = generator(seed, "looks", label).permutation(len(rows))
        places[rows] = (order + start) / len(rows)
    return places


def _cut(looks: Looks, place: NDArray[np.float64], item: Labels) -> NDArray[np.intp]:
    """[units] the first look whose share of the units an item lies within."""
    # Items of one place (those of equal cells) stand by name.
    order = np.lexsort((item.astype(str), place))
    count = len(order)
    ahead = np.empty(count)
    for rows in _runs(item[order]):
        ahead[order[rows]] = (rows.start + rows.stop) / 2
    if looks.at is None:
        return (ahead // (looks.every or count)).astype(np.intp) + 1
    return np.searchsorted(np.array(looks.at) * count, ahead).astype(np.intp) + 1


def _runs(items: Labels) -> list[slice]:
    """The stretches of equal neighbours."""
    starts = [0, *(np.flatnonzero(items[1:] != items[:-1]) + 1).tolist(), len(items)]
    return [slice(a, b) for a, b in pairwise(starts) if a < b]
