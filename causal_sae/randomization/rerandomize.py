"""An assignment drawn again until the arms are alike on covariates."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from causal_sae.acceptance import CollinearError, distance, limit, whitened
from causal_sae.errors import DataError, Place
from causal_sae.randomness import generator

if TYPE_CHECKING:
    import pandas as pd

    from causal_sae.randomization.dealing import Arms
    from causal_sae.randomization.units import Units
    from causal_sae.spec.design import Rerandomize
    from causal_sae.spec.trial import Trial

MOST = 100_000
"""No more assignments are drawn than this."""


def accepted(
    trial: Trial, rule: Rerandomize, frame: pd.DataFrame, units: Units, deal: Callable[[int], Arms]
) -> Arms:
    """[units] the first assignment whose distance is within the rule's limit.

    Parameters
    ----------
    trial:
        Declares the arms and the seed.
    rule:
        On which covariates, and how close.
    frame:
        The units with these columns, in any order.
    units:
        Sorted by name.
    deal:
        An assignment from a seed. The first is from the trial's own.

    Raises
    ------
    DataError
        A covariate is no number or does not vary, or no assignment is close enough.
    """
    white = whitened_units(rule, frame, units)
    count = len(trial.arms)
    most = rule.until.distance
    if most is None:
        most = limit(rule.until.probability or 1.0, len(rule.on), count)
    closest = np.inf
    for attempt in range(MOST):
        rng = generator(trial.seed, "rerandomize", str(attempt))
        arms = deal(trial.seed if attempt == 0 else int(rng.integers(2**32)))
        found = distance(white, arms, count)
        if found <= most:
            return arms
        closest = min(closest, found)
    raise DataError(
        f"none of {MOST:,} assignments came within the distance {most:.4g}; the closest was at "
        f"{closest:.4g}. Accept a larger distance, or balance on fewer covariates.",
        Place(field="assignment.rerandomize.until"),
    )


def whitened_units(
    rule: Rerandomize, frame: pd.DataFrame, units: Units
) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """[units, covariates] ready for distances."""
    import pandas as pd  # noqa: PLC0415 - what imports this module may not need tables

    named = frame.assign(unit_id=frame["unit_id"].astype(str)).set_index("unit_id")
    columns = []
    for i, name in enumerate(rule.on):
        place = Place(field=f"assignment.rerandomize.on[{i}]")
        if name not in named:
            raise DataError(f"the units must have the column {name!r}.", place)
        numbers = pd.to_numeric(named[name], errors="coerce").astype("float64")
        wrong = numbers.index[~np.isfinite(numbers)]
        if len(wrong):
            raise DataError(
                f"column {name!r} must be a number for every unit; it is "
                f"{str(named.loc[wrong[0], name])!r} for unit {wrong[0]!r}.",
                place,
            )
        columns.append(numbers.reindex(units.names.tolist()).to_numpy())
    try:
        return whitened(np.column_stack(columns), np.unique(units.blocks, return_inverse=True)[1])
    except CollinearError:
        raise DataError(
            "each covariate must vary (within blocks) and be no combination of the others; remove "
            "one.",
            Place(field="assignment.rerandomize.on"),
        ) from None
