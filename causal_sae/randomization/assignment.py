"""Who gets which arm."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from math import ceil, log
from typing import TYPE_CHECKING

import numpy as np

from causal_sae.errors import DataError, Place
from causal_sae.randomization.block import block
from causal_sae.randomization.block_cluster import block_cluster
from causal_sae.randomization.cluster import cluster
from causal_sae.randomization.complete import complete
from causal_sae.randomization.crossover import crossover
from causal_sae.randomization.dealing import Arms, probabilities
from causal_sae.randomization.factorial import factorial
from causal_sae.randomization.latin_square import latin_square
from causal_sae.randomization.looks import deal_looks, require_first_look
from causal_sae.randomization.rerandomize import accepted
from causal_sae.randomization.simple import simple
from causal_sae.randomization.units import Units, sorted_units
from causal_sae.spec.prompt_checks import check_units
from causal_sae.spec.trial import Trial
from causal_sae.tables import ASSIGNMENT

if TYPE_CHECKING:
    import pandas as pd

Scheme = Callable[[Units, list[float], int], Arms]

SCHEMES: Mapping[str, Scheme] = {
    "simple": simple,
    "complete": complete,
    "block": block,
    "cluster": cluster,
    "block_cluster": block_cluster,
    "crossover": crossover,
    "latin_square": latin_square,
    "factorial": factorial,
}
"""From units, shares and seed to arm indices: one for each unit, or one for each unit and place."""


def assign(trial: Trial, units: pd.DataFrame) -> pd.DataFrame:
    """Deal the arms of a trial to its units.

    Parameters
    ----------
    trial:
        Says the scheme, the arms' shares and the seed.
    units:
        One row for each unit: ``unit_id`` and the columns of blocks and clusters. Neither the order
        of the rows nor other columns matter.

    Returns
    -------
    DataFrame
        The table ``ASSIGNMENT``, sorted by unit and place. ``propensity`` is the probability with
        which the unit was to get this arm: 1 where every unit goes through every arm.

    Raises
    ------
    DataError
        If a column is missing or has empty cells, or if there are too few units for every arm to
        have one.
    """
    check_units(trial, units)
    ordered = sorted_units(trial, units)
    shares = [arm.share for arm in trial.arms]
    scheme, rule = SCHEMES[trial.assignment.method], trial.rerandomize
    if rule is None:
        arms = scheme(ordered, shares, trial.seed)
    else:
        arms = accepted(trial, rule, units, ordered, partial(scheme, ordered, shares))
    if not trial.within_unit:
        _refuse_empty_arms(trial, ordered, arms)
    table = ASSIGNMENT.conform(_table(trial, ordered, arms))
    require_first_look(trial, table)
    return table


def _table(trial: Trial, units: Units, arms: Arms) -> pd.DataFrame:
    import pandas as pd  # noqa: PLC0415 - what imports this module may not need tables

    places = arms.shape[1] if arms.ndim == 2 else 1
    names = np.array([arm.name for arm in trial.arms], dtype=object)
    shares = np.array([float(p) for p in probabilities([arm.share for arm in trial.arms])])
    looks = deal_looks(trial, units, arms)
    has_blocks, has_clusters = any(units.blocks), any(units.clusters)
    return pd.DataFrame(
        {
            "unit_id": np.repeat(units.names, places),
            "arm": names[arms.ravel()],
            "block": np.repeat(units.blocks, places) if has_blocks else None,
            "cluster": np.repeat(units.clusters, places) if has_clusters else None,
            "propensity": 1.0 if trial.within_unit else shares[arms],
            "run_order": np.tile(np.arange(1, places + 1), len(units))
            if trial.within_unit
            else None,
            "look": None if looks is None else np.repeat(looks, places),
        }
    )


def _refuse_empty_arms(trial: Trial, units: Units, arms: Arms) -> None:
    sizes = np.bincount(arms, minlength=len(trial.arms))
    empty = [arm.name for arm, size in zip(trial.arms, sizes, strict=True) if size == 0]
    if empty:
        raise DataError(
            f"every arm must get at least one unit, but {_names(empty)} got none of "
            f"{len(units)}; {_remedy(trial)}.",
            Place(field="arms"),
        )


def _names(arms: list[str]) -> str:
    return f"arm {arms[0]!r}" if len(arms) == 1 else f"arms {', '.join(map(repr, arms))}"


def _remedy(trial: Trial) -> str:
    least = min(probabilities([arm.share for arm in trial.arms]))
    enough = ceil(1 / least)
    method = trial.assignment.method
    if method == "simple":
        enough = ceil(log(0.001 / len(trial.arms)) / log(1 - float(least)))
        return f"use `method: complete`, or give at least {enough} units"
    if "cluster" in method:
        where = " in one block" if method == "block_cluster" else ""
        return f"with these shares it takes at least {enough} clusters{where}"
    where = " in one block" if getattr(trial.assignment, "block_by", None) else ""
    return f"with these shares it takes at least {enough} units{where}"
