"""Which estimator is measured in which world: read off what the estimators declare."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from benchmarks.calibration import drawn, grouped, plain, within_units
from benchmarks.calibration.world import Truth, World
from causal_sae.errors import CausalSAEError
from causal_sae.estimation.choice import PREFERRED
from causal_sae.estimation.estimators import ESTIMATORS
from causal_sae.estimation.estimators.base import Estimator, Structure
from causal_sae.estimation.estimators.cluster import FEW
from causal_sae.estimation.inference import Estimate, settle
from causal_sae.estimation.sample import Sample, complete_pairs, exposed_units, shared_blocks
from causal_sae.randomness import generator
from causal_sae.spec.rules.analysis import ROBUST

WORLDS: tuple[World, ...] = (
    *plain.WORLDS,
    *grouped.BLOCKED,
    *grouped.CLUSTERED,
    *within_units.WORLDS,
    *drawn.WORLDS,
)

QUANTITIES: dict[str, str] = {
    "fixed_effects": "precision",
    "wilcoxon": "location",
    "mann_whitney": "location",
    "placebo_draws": "beyond placebos",
}
"""What an estimator estimates, where it is not the mean effect over its stratum."""

SLOW: dict[str, tuple[str, ...]] = {
    "randomization": (
        "plain: normal, 8 per arm",
        "plain: skewed, 8 per arm",
        "plain: skewed, 15 and 60",
        "plain: heteroscedastic, 20 and 40",
        "blocked: heteroscedastic, effects vary, unequal shares",
        "blocked: 10 matched pairs, normal",
        "clustered: normal, 8 clusters",
        "clustered: skewed, 24 clusters",
        "blocked and clustered: 4 blocks of 6 clusters",
        "within-unit: normal, 10 units",
        "within-unit: skewed effects, 10 units",
        "within-unit: skewed effects, 50 units",
        "within-unit: clustered, 8 clusters",
    ),
    "dowhy": (
        "plain: normal, 10 per arm",
        "plain: heteroscedastic, 20 and 40",
        "plain: covariate, heteroscedastic, 20 and 40",
    ),
    "dowhy_iv": ("plain: zero-inflated, 30% exposed, 100 per arm",),
}
"""Estimators that take tens of milliseconds a sample, and the only worlds they are measured in."""


@dataclass(frozen=True)
class Cell:
    """One estimator in one world."""

    name: str
    """The estimator's name in the registry, and its standard error where it is not the default."""
    world: World
    estimator: Estimator
    quantity: str
    """The key of the truth that it is held against."""
    se_type: str = "HC2"

    @property
    def key(self) -> str:
        """A name that no other cell has."""
        return f"{self.name} | {self.world.key}"

    @property
    def registered(self) -> str:
        """The name by which a trial declares the estimator."""
        return "auto" if self.name.endswith("CR3") else self.name.partition(" ")[0]

    def draw(self, rng: np.random.Generator, effect: bool) -> tuple[Sample, Truth]:
        """A sample of the cell's world, and the truth."""
        sample, truth = self.world.make(rng, effect)
        return replace(sample, se_type=self.se_type), truth  # type: ignore[arg-type]

    def fit(self, sample: Sample, alpha: float) -> Estimate:
        """What the estimation of a trial would make of the sample: see ``effect_row``."""
        kept = sample
        if self.world.structure == "within-unit" and not self.estimator.incomplete:
            kept, _ = complete_pairs(sample)
        elif self.world.structure in {"blocked", "blocked and clustered"}:
            kept, _ = shared_blocks(sample)
        estimator = self.estimator
        if estimator.applies is not None and not estimator.applies(kept):
            estimator = ESTIMATORS[fallback(self.world)]
        if estimator.stratum == "exposed":
            kept = exposed_units(kept)
            if self.world.structure != "within-unit":
                kept, _ = shared_blocks(kept)
        if estimator.instrument and kept.exposed is not None:
            kept = replace(kept, received=kept.treated & kept.exposed)
        return settle(estimator.fit(kept, alpha), kept.outcome)


def fallback(world: World) -> str:
    """The estimator of a world's outcomes that another one is not for."""
    preferred = PREFERRED[world.structure]
    return preferred if preferred == "cluster" or _clustered(world) else "hall"


def _clustered(world: World) -> bool:
    """Whether units within which arms are compared come in clusters."""
    return world.name.startswith("clustered")


def quantity(name: str, estimator: Estimator) -> str:
    """What the estimator estimates: a key of :data:`benchmarks.calibration.world.Truth`."""
    return QUANTITIES.get(name, "mean" if estimator.speaks_of == "all" else "exposed")


def fits(world: World, name: str, estimator: Estimator) -> bool:
    """Whether an estimator declares that it is for the design and the covariates of a world."""
    if world.of is not None and name not in world.of:
        return False
    if name in SLOW and world.key not in SLOW[name]:
        return False
    if world.structure not in estimator.structures or (name == "hall" and _clustered(world)):
        return False
    if estimator.covariates == "allowed":
        return True
    return world.covariates == (estimator.covariates == "required")


def cells(estimators: Mapping[str, Estimator] = ESTIMATORS) -> list[Cell]:
    """Every estimator in every world that it declares to be for and whose truth it estimates."""
    found = []
    for name, estimator in estimators.items():
        for world in WORLDS:
            if not fits(world, name, estimator):
                continue
            cell = Cell(name, world, estimator, quantity(name, estimator))
            if answers(cell):
                found.append(cell)
                if estimator.few_fit is not None and _few(cell):
                    jackknife = replace(estimator, fit=estimator.few_fit)
                    found.append(replace(cell, name=f"{name} CR3", estimator=jackknife))
                if name in ROBUST and "heteroscedastic" in world.name:
                    found.append(replace(cell, name=f"{name} HC3", se_type="HC3"))
    return found


def _few(cell: Cell) -> bool:
    """Whether ``auto`` takes CR3 in the cell's world."""
    sample, _ = cell.draw(generator(0, "probe", cell.key), effect=True)
    return sample.cluster is not None and len(np.unique(sample.cluster)) < FEW


def answers(cell: Cell) -> bool:
    """Whether the world knows the estimator's truth, and the estimator makes an inference there."""
    rng = generator(0, "probe", cell.key)
    for _ in range(3):
        sample, truth = cell.draw(rng, effect=True)
        if cell.quantity not in truth:
            return False
        if cell.estimator.applies is not None and not cell.estimator.applies(sample):
            continue
        try:
            if not np.isnan(cell.fit(sample, 0.05).p_value):
                return True
        except CausalSAEError:  # it needs columns that this world does not have
            return False
    return False


def unmeasured(found: list[Cell]) -> dict[str, tuple[Structure, ...]]:
    """Estimator -> the designs that it declares and in which no cell measures it."""
    gaps: dict[str, tuple[Structure, ...]] = {}
    for name, estimator in ESTIMATORS.items():
        seen = {cell.world.structure for cell in found if cell.registered == name}
        gaps[name] = tuple(sorted(estimator.structures - seen))
    return {name: structures for name, structures in gaps.items() if structures}


@cache
def by_key() -> dict[str, Cell]:
    """The cells of the registry by their names."""
    return {cell.key: cell for cell in cells()}
