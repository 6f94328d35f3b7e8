"""Effect sizes: how often their intervals leave out the true one, without and with an effect."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from scipy import stats

from benchmarks.calibration.cells import WORLDS, fallback
from benchmarks.calibration.measure import ALPHA, Row, rate, shares
from benchmarks.calibration.plain import LOGNORMAL_MEAN, LOGNORMAL_SD
from benchmarks.calibration.verdicts import verdict
from benchmarks.calibration.world import World
from causal_sae.estimation.effect_sizes import KINDS, effect_size
from causal_sae.estimation.effect_sizes.standardised_means import size_flags
from causal_sae.estimation.estimators import ESTIMATORS
from causal_sae.estimation.sample import complete_pairs
from causal_sae.randomness import generator

UNEQUAL_SD = float(np.sqrt((19 * 9 + 39) / 58))
"""The arms' pooled standard deviation in the heteroscedastic world."""


def superiority(shift: float) -> float:
    """How often a lognormal value plus a shift exceeds another lognormal value."""
    q = (np.arange(20_000) + 0.5) / 20_000
    above = np.exp(stats.norm.ppf(q)) + shift
    return float(np.mean(stats.norm.cdf(np.log(above))))


def _dominance() -> dict[str, dict[str, float]]:
    """Cliff's delta and the chance of superiority, by world."""
    chance = {
        "plain: normal, 10 per arm": float(stats.norm.cdf(0.7 / np.sqrt(2))),
        "plain: normal, 50 per arm": float(stats.norm.cdf(0.7 / np.sqrt(2))),
        "plain: skewed, 50 per arm": superiority(0.7),
        "plain: heteroscedastic, 20 and 40": float(stats.norm.cdf(1.5 / np.sqrt(10))),
    }
    return {
        "cles": chance,
        "cliff_delta": {world: 2 * p - 1 for world, p in chance.items()},
    }


STANDARDISED = {
    "plain: normal, 10 per arm": 0.7,
    "plain: normal, 50 per arm": 0.7,
    "plain: skewed, 50 per arm": 0.7 / LOGNORMAL_SD,
    "plain: heteroscedastic, 20 and 40": 1.5 / UNEQUAL_SD,
}
BINARY = {
    "plain: binary, 10 per arm": (0.3, 0.7),
    "plain: binary, 50 per arm": (0.3, 0.5),
    "plain: binary, rare, 50 per arm": (0.04, 0.14),
}
PAIRED_BINARY = {
    "within-unit: binary, 20 units": 0.4,
    "within-unit: binary, 80 units": 0.2,
    "within-unit: binary, rare, 80 units": 0.1,
}
TRUTHS: dict[str, dict[str, float]] = {
    "hedges_g": STANDARDISED,
    "hedges_g_av": {**STANDARDISED, "plain: heteroscedastic, 20 and 40": 1.5 / np.sqrt(5)},
    "cohen_d": STANDARDISED,
    "glass_delta": {**STANDARDISED, "plain: heteroscedastic, 20 and 40": 1.5},
    "cohen_dz": {
        "within-unit: normal, 10 units": 0.5,
        "within-unit: normal, 50 units": 0.5,
        "within-unit: skewed effects, 50 units": LOGNORMAL_MEAN / LOGNORMAL_SD,
    },
    **_dominance(),
    "risk_difference": {**{world: b - a for world, (a, b) in BINARY.items()}, **PAIRED_BINARY},
    "risk_ratio": {world: b / a for world, (a, b) in BINARY.items()},
    "odds_ratio": {world: b / (1 - b) / (a / (1 - a)) for world, (a, b) in BINARY.items()},
    "rate_ratio": {
        "plain: counts, Poisson, 30 per arm": 2.0,
        "plain: counts, overdispersed, 30 per arm": 2.0,
        "plain: counts, rare, 30 per arm": 2.0,
    },
}
"""Kind -> world -> the true effect size with an effect."""
NULLS = {"cles": 0.5, "risk_ratio": 1.0, "odds_ratio": 1.0, "rate_ratio": 1.0}
"""The effect size where there is no effect; 0 where it is not here."""


AUTOMATIC = frozenset({"hedges_g_av", "cohen_dz", "risk_difference"})
"""The kinds that ``auto`` takes."""


@dataclass(frozen=True)
class SizeCell:
    """One kind of effect size in one world."""

    kind: str
    world: World
    automatic: bool = False
    """Whether the trial declares ``auto``, which takes this kind."""

    @property
    def key(self) -> str:
        """A name that no other cell has."""
        return f"effect size {'auto, ' * self.automatic}{self.kind} | {self.world.key}"


@cache
def size_cells() -> tuple[SizeCell, ...]:
    """Every kind that a trial can declare, in the worlds whose truth is known."""
    worlds = {world.key: world for world in WORLDS}
    declared = [SizeCell(kind, worlds[key]) for kind in KINDS for key in TRUTHS.get(kind, {})]
    automatic = [
        replace(cell, automatic=True)
        for cell in declared
        if cell.kind in AUTOMATIC and (cell.kind == "risk_difference" or "binary" not in cell.key)
    ]
    return (*declared, *automatic)


def measure_size(cell: SizeCell, repetitions: int) -> Row:
    """How often the intervals of one cell leave out the truth."""
    started = time.perf_counter()
    null = _outside(cell, False, NULLS.get(cell.kind, 0.0), repetitions)
    moved = _outside(cell, True, TRUTHS[cell.kind][cell.world.key], repetitions)
    found = [null[0], moved[0]]
    without = float(np.mean(np.isnan(found)))
    if cell.automatic:
        # Which samples get an interval depends on them: what counts is given and wrong.
        found = [np.nan_to_num(outside, nan=0.0) for outside in found]
    rates = [rate(outside == 1, outside) for outside in found]
    known = [int(np.sum(~np.isnan(outside))) for outside in found]
    return Row(
        part="effect size",
        subject=f"auto: {cell.kind}" if cell.automatic else cell.kind,
        structure=cell.world.structure,
        world=cell.world.name,
        quantity=cell.kind,
        default=cell.automatic,
        repetitions=repetitions,
        type_1=rates[0],
        type_1_verdict=verdict(rates[0], ALPHA, known[0]),
        non_coverage=rates[1],
        non_coverage_verdict=verdict(rates[1], ALPHA, known[1]),
        power=np.nan,
        no_inference=without,
        flags=shares([*null[1], *moved[1]], []),
        product_error=np.nan,
        seconds=time.perf_counter() - started,
    )


Outside = tuple[np.ndarray, list[tuple[str, ...]]]


def _outside(cell: SizeCell, effect: bool, truth: float, repetitions: int) -> Outside:
    """[repetitions] 1 where the interval leaves out the truth, NaN where there is none; flags."""
    rng = generator(0, cell.key, str(effect))
    estimator = ESTIMATORS[fallback(cell.world)]
    found, flags = np.full(repetitions, np.nan), []
    for i in range(repetitions):
        sample, _ = cell.world.make(rng, effect)
        if cell.world.structure == "within-unit":
            sample, _ = complete_pairs(sample)
        fitted = estimator.fit(sample, ALPHA)
        wanted = "auto" if cell.automatic else cell.kind
        size = effect_size(sample, fitted, cell.world.structure, ALPHA, wanted)
        if size.kind == cell.kind and not (np.isnan(size.low) or np.isnan(size.high)):
            found[i] = float(not size.low <= truth <= size.high)
        flags.append((*fitted.flags, *size_flags(size, sample)))
    return found, flags
