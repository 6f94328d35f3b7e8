"""Which prompts of a pool enter an enriched trial: exposed ones heavily, unexposed ones lightly."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from causal_sae.errors import DataError, Place
from causal_sae.randomness import generator

if TYPE_CHECKING:
    import pandas as pd

    from causal_sae.spec.design import Enrich

NAMES = {True: "exposed", False: "unexposed"}


def draw_units(enrich: Enrich, exposed: pd.Series[bool], seed: int) -> pd.DataFrame:
    """Draw from each stratum at random without replacement.

    Every prompt of a stratum has the same probability, and every set of prompts of the size asked
    for as well (simple random sampling in strata). Neither the order of the pool's rows nor the
    other stratum changes what is drawn.

    Parameters
    ----------
    enrich:
        How many prompts of each stratum.
    exposed:
        The eligible pool: for each ``unit_id`` (the index) whether the feature fires.
    seed:
        The trial's.

    Returns
    -------
    DataFrame
        ``unit_id``, ``exposed``, ``sampling_probability`` (drawn / in the stratum) and
        ``stratum_share`` (in the stratum / in the pool), one row a unit drawn, by name.

    Raises
    ------
    DataError
        When the pool has fewer prompts in a stratum than are asked for: says how many it has.
    """
    import pandas as pd  # noqa: PLC0415 - what imports this module may not need tables

    wanted = {True: enrich.exposed, False: enrich.unexposed}
    _enough(enrich, exposed, wanted)
    parts = []
    for stratum, number in wanted.items():
        members = np.sort(exposed.index[exposed == stratum].to_numpy(str))
        if not number:
            continue
        rng = generator(seed, "enrichment", NAMES[stratum])
        parts.append(
            pd.DataFrame(
                {
                    "unit_id": rng.choice(members, number, replace=False),
                    "exposed": stratum,
                    "sampling_probability": number / len(members),
                    "stratum_share": len(members) / len(exposed),
                }
            )
        )
    return pd.concat(parts).sort_values("unit_id", ignore_index=True)


def _enough(enrich: Enrich, exposed: pd.Series[bool], wanted: dict[bool, int]) -> None:
    found = {stratum: int((exposed == stratum).sum()) for stratum in wanted}
    for stratum, number in wanted.items():
        if found[stratum] < number:
            fires = "fires" if stratum else "is silent"
            raise DataError(
                f"the pool must have {number} prompts on which feature {enrich.feature} {fires}, "
                f"but {found[stratum]} of its {len(exposed):,} eligible prompts are so "
                f"({found[True]:,} exposed, {found[False]:,} unexposed); give a larger pool, or "
                "ask for fewer.",
                Place(field=f"population.enrich.{NAMES[stratum]}"),
            )
