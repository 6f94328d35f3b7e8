"""The same samples as a table of observations, through the estimation of a whole trial."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from benchmarks.calibration.cells import Cell
from benchmarks.calibration.world import World
from causal_sae.estimation import estimate
from causal_sae.estimation.sample import Sample
from causal_sae.flags import split
from causal_sae.randomness import generator
from causal_sae.spec import Trial

ASSIGNMENTS: dict[str, dict[str, object]] = {
    "plain": {"method": "complete"},
    "blocked": {"method": "block", "block_by": ["block"]},
    "clustered": {"method": "cluster", "cluster_by": "cluster"},
    "blocked and clustered": {
        "method": "block_cluster",
        "block_by": ["block"],
        "cluster_by": "cluster",
    },
    "within-unit": {"method": "crossover"},
}
COMPARED = ("estimate", "std_error", "p_value", "conf_low", "conf_high")


@dataclass(frozen=True)
class Seen:
    """What the product makes of a cell's samples."""

    error: float
    """The largest relative difference from the fast path."""
    flags: list[tuple[str, ...]]
    """Those of each sample's row."""
    automatic: str
    """What ``auto`` takes."""


def compare(cell: Cell, alpha: float, samples: int) -> Seen:
    """Hold the fast path against the product.

    Parameters
    ----------
    cell:
        An estimator in a world.
    alpha:
        As in the measurement.
    samples:
        How many are compared, taking turns at the null and with an effect.
    """
    rng = generator(0, cell.key, "product")
    worst, flags, automatic = 0.0, [], ""
    for i in range(samples):
        sample, _ = cell.draw(rng, effect=i % 2 == 1)
        row = through(cell.world, sample, alpha, cell.registered)
        flags.append(split(row["flags"]))
        worst = max(worst, difference(cell, sample, row, alpha))
        if i == 1:
            auto = through(cell.world, sample, alpha, "auto")
            jackknife = " CR3" if "cr3" in split(auto["flags"]) else ""
            automatic = f"{auto['estimator']}{jackknife}"
    return Seen(worst, flags, automatic)


def through(world: World, sample: Sample, alpha: float, estimator: str) -> pd.Series:
    """The row of the table of effects that a trial with this sample gets."""
    return estimate(trial(world, sample, alpha, estimator), observations(sample)).iloc[0]


def difference(cell: Cell, sample: Sample, row: pd.Series, alpha: float) -> float:
    """The largest relative difference between the row and the fast path; NaN agrees with NaN."""
    fitted = cell.fit(sample, alpha)
    fast = np.array([getattr(fitted, column) for column in COMPARED])
    slow = row[list(COMPARED)].to_numpy(np.float64)
    if not np.array_equal(np.isnan(fast), np.isnan(slow)):
        return np.inf
    scale = np.maximum(np.nanmax(np.abs(fast[:2]), initial=0.0), np.abs(fast))
    with np.errstate(invalid="ignore", divide="ignore"):
        apart = np.where(fast == slow, 0.0, np.abs(fast - slow) / scale)
    return float(np.nanmax(apart, initial=0.0))


def trial(world: World, sample: Sample, alpha: float, estimator: str) -> Trial:
    """The declaration of a world's design, with two arms and one outcome."""
    assignment = dict(ASSIGNMENTS[world.structure])
    if world.structure == "within-unit" and sample.cluster is not None:
        assignment["cluster_by"] = "cluster"
    return Trial.model_validate(
        {
            "schema": 1,
            "name": "calibration",
            "question": "Is the error rate the one that is promised?",
            "seed": sample.seed,
            "arms": [
                {"name": "control", "intervention": _reference(sample)},
                {"name": "treated", "intervention": {"kind": "ablate", "features": [0]}},
            ],
            "outcomes": [{"name": "y", "role": "primary", "metric": "entropy"}],
            "assignment": assignment,
            "analysis": {
                "alpha": alpha,
                "reference": "control",
                "multiplicity": {"method": "none"},
                "estimator": estimator,
                "covariates": list(sample.covariate_names),
                "se_type": sample.se_type,
            },
        }
    )


def _reference(sample: Sample) -> dict[str, object]:
    if sample.draws is None:
        return {"kind": "none"}
    return {"kind": "random_direction", "norm_of": "treated", "draws": sample.draws.shape[1]}


def observations(sample: Sample) -> pd.DataFrame:
    """The sample in long form, with a row per draw where arms have several."""
    if sample.draws is not None:
        row, draw = np.nonzero(~np.isnan(sample.draws))
        return pd.DataFrame(
            {
                "unit_id": sample.unit[row],
                "arm": np.where(sample.treated[row], "treated", "control"),
                "outcome": "y",
                "value": sample.draws[row, draw],
                "draw": draw,
            }
        )
    table = pd.DataFrame(
        {
            "unit_id": sample.unit,
            "arm": np.where(sample.treated, "treated", "control"),
            "outcome": "y",
            "value": sample.outcome,
        }
    )
    for name, values in _columns(sample).items():
        if values is not None:
            table[name] = values
    for name, values in zip(sample.covariate_names, sample.covariates.T, strict=True):
        table[name] = values
    return table


def _columns(sample: Sample) -> dict[str, object]:
    return {
        "block": None if sample.block is None else np.char.mod("b%03d", sample.block),
        "cluster": None if sample.cluster is None else np.char.mod("c%03d", sample.cluster),
        "exposed": sample.exposed,
        "received": sample.received,
        "clean_outcome": sample.clean,
        "run_order": sample.order,
        "sampling_probability": None if sample.weight is None else 1 / sample.weight,
        "stratum_share": sample.stratum_share,
    }
