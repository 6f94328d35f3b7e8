"""The pool that an enriched trial's units were drawn from, as its observations tell of it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from causal_sae.errors import DataError, Place
from causal_sae.estimation.effect_sizes import EffectSize
from causal_sae.estimation.sample import Mask, Sample, differences, within_units

if TYPE_CHECKING:
    from causal_sae.estimation.inference import Estimate

COLUMNS = ("sampling_probability", "stratum_share")
"""How likely a unit was drawn, and how much of the pool is exposed as it is."""
SAME = 1e-6
"""Probabilities and shares that differ by less are the same."""


def pool_size(frame: pd.DataFrame) -> float:
    """How many prompts the pool has; NaN where units were not drawn from one.

    A stratum of which n units were drawn with probability p, and which is a share s of the pool,
    means a pool of n / (p s). Units that are missing altogether make that smaller, so the largest
    of the strata's answers is taken.

    Parameters
    ----------
    frame:
        As :func:`causal_sae.estimation.observations.check` returns it.

    Raises
    ------
    DataError
        The columns contradict themselves: names what must hold.
    """
    given = [column for column in COLUMNS if column in frame and frame[column].notna().any()]
    if "stratum_share" not in given:
        return np.nan
    known = "exposed" in frame and bool(frame["exposed"].notna().all())
    if len(given) < len(COLUMNS) or not known or frame[[*COLUMNS]].isna().to_numpy().any():
        raise _bad(
            "units drawn from a pool must have sampling_probability, stratum_share and exposed in "
            "every row; fill them in, or leave out all of sampling_probability and stratum_share.",
            next((c for c in COLUMNS if c not in given), "exposed" if not known else COLUMNS[0]),
        )
    numbers = frame[list(COLUMNS)].apply(pd.to_numeric, errors="coerce").astype("float64")
    for column in COLUMNS:
        if not numbers[column].between(0, 1 + SAME, inclusive="right").all():
            raise _bad(f"{column} must be above 0 and at most 1.", column)
    units = numbers.assign(unit_id=frame["unit_id"], exposed=frame["exposed"].astype(bool))
    strata = units.drop_duplicates("unit_id").groupby("exposed")
    _constant(units)
    shares = strata["stratum_share"].first()
    if (len(shares) == 2 and abs(shares.sum() - 1) > SAME) or shares.sum() > 1 + SAME:
        raise _bad(
            "the stratum_share of exposed and of unexposed units must sum to 1, got "
            f"{', '.join(f'{share:g}' for share in shares)}.",
            "stratum_share",
        )
    sizes = strata.size() / (strata["sampling_probability"].first() * shares)
    return float(np.round(sizes.to_numpy(np.float64).max()))


def _constant(units: pd.DataFrame) -> None:
    strata = units.groupby("exposed")
    for column in COLUMNS:
        spread = strata[column].max() - strata[column].min()
        if (spread > SAME).any():
            raise _bad(
                f"{column} must be the same for all exposed units, and for all unexposed ones: "
                "each of the two strata is drawn with one probability.",
                column,
            )


def seen_whole(sample: Sample) -> bool:
    """Whether every prompt of the pool that an effect is possible on was drawn."""
    if sample.pool is None or sample.weight is None or sample.exposed is None:
        return True
    relevant = sample.exposed if sample.pool.inert else np.ones(len(sample), dtype=np.bool_)
    return bool(np.all(sample.weight[relevant] < 1 + SAME))


def arm_means(sample: Sample) -> tuple[float, float]:
    """The mean outcome in the pool under treatment and reference; NaN where a stratum is unseen."""
    means = [_weighted(sample, sample.treated), _weighted(sample, ~sample.treated)]
    return means[0][0], means[1][0]


def effect_size(sample: Sample, fitted: Estimate) -> EffectSize:
    """The effect in the pool by the standard deviation in the pool, and its own interval.

    Within units the standard deviation is that of the differences, which are 0 for unexposed
    prompts that were bound to be unchanged and not drawn; between units that of the outcome within
    arms. An effect on outcomes of 0 and 1 is a difference of risks as it is.
    """
    low, high = fitted.conf_low, fitted.conf_high
    if len(sample) and np.all((sample.outcome == 0) | (sample.outcome == 1)):
        return EffectSize(fitted.estimate, "risk_difference", low, high)
    within = within_units(sample)
    kind = "cohen_dz_adjusted" if within else "hedges_g_adjusted"
    if within:
        pairs = replace(sample.take(sample.treated), outcome=differences(sample))
        mean, square = _weighted(pairs, pairs.treated, zero=True)
        variance = square - mean**2
    else:
        arms = (_weighted(sample, sample.treated), _weighted(sample, ~sample.treated))
        variance = sum(square - mean**2 for mean, square in arms) / 2
    sd = float(np.sqrt(max(variance, 0.0)))
    scale = 1 / sd if sd > 0 else np.nan
    return EffectSize(fitted.estimate * scale, kind, low * scale, high * scale)


def _weighted(sample: Sample, rows: Mask, zero: bool = False) -> tuple[float, float]:
    """Mean and mean square of the outcome in the pool; ``zero``: it is 0 in a stratum not drawn."""
    if sample.exposed is None or sample.stratum_share is None:
        return np.nan, np.nan
    mean = square = covered = 0.0
    for stratum in (True, False):
        chosen = rows & (sample.exposed == stratum)
        if not chosen.any():
            continue
        share = float(sample.stratum_share[chosen][0])
        covered += share
        mean += share * float(sample.outcome[chosen].mean())
        square += share * float((sample.outcome[chosen] ** 2).mean())
    seen = zero or abs(covered - 1) < SAME
    return (mean, square) if seen else (np.nan, np.nan)


def unevenly_drawn(sample: Sample) -> bool:
    """Whether the units stand for other numbers of prompts, or a stratum is not among them."""
    if sample.weight is None or not len(sample):
        return False
    uneven = bool(np.ptp(sample.weight) > SAME * sample.weight.max())
    if uneven or sample.stratum_share is None or sample.exposed is None:
        return uneven
    strata = [sample.stratum_share[sample.exposed == stratum] for stratum in (True, False)]
    return abs(sum(float(share[0]) for share in strata if len(share)) - 1) > SAME


def _bad(sentence: str, column: str) -> DataError:
    return DataError(sentence, Place(field=column))
