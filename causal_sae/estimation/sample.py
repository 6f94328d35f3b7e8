"""The units of one contrast on one outcome: what every estimator is given."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

Vector: TypeAlias = NDArray[np.float64]
Matrix: TypeAlias = NDArray[np.float64]
Codes: TypeAlias = NDArray[np.int64]
Mask: TypeAlias = NDArray[np.bool_]
SEType: TypeAlias = Literal["HC2", "HC3"]


@dataclass(frozen=True)
class Pool:
    """Where the units of an enriched trial were drawn from."""

    size: int
    """How many prompts were eligible, exposed and unexposed."""
    finite: bool
    """Whether the claim is about these prompts, so that the share exposed is known."""
    inert: bool
    """Whether both arms are bound to give the same outcome on unexposed prompts."""


@dataclass(frozen=True)
class Redeal:
    """Which exchanges of a sample's units between its two arms the trial would have accepted.

    Covariates are whitened over all units of the trial; units that are not in the sample stay
    where they are.
    """

    covariates: Matrix
    """[n, k] of the sample's rows."""
    others: Matrix
    """[2, k] the sums over units of treatment and reference that are not in the sample."""
    sizes: tuple[int, int]
    """All units of treatment and reference."""
    elsewhere: float
    """The other arms' part of the distance."""
    limit: float
    """The largest distance that is accepted."""

    def accepts(self, treated: Matrix) -> Mask:
        """[draws] whether an assignment is close enough.

        Parameters
        ----------
        treated:
            [draws, n] 1 where a row is treated.
        """
        first = treated @ self.covariates
        second = self.covariates.sum(axis=0) - first + self.others[1]
        first = first + self.others[0]
        parts = [np.sum(s**2, axis=1) / n for s, n in zip((first, second), self.sizes, strict=True)]
        within: Mask = self.elsewhere + parts[0] + parts[1] <= self.limit * (1 + 1e-9)
        return within


@dataclass(frozen=True)
class Sample:
    """One row per unit and arm, sorted by unit, the treatment's row first.

    Blocks and clusters are integer codes; a design without them has None.
    """

    unit: NDArray[np.str_]
    """[n] the unit of each row."""
    outcome: Vector
    """[n] the outcome in its own units, never missing."""
    treated: Mask
    """[n] whether the row is of the treatment arm."""
    covariates: Matrix
    """[n, k] pre-treatment covariates; k may be 0."""
    covariate_names: tuple[str, ...] = ()
    """The k columns' names."""
    block: Codes | None = None
    """[n] the block of each row."""
    cluster: Codes | None = None
    """[n] the cluster of each row."""
    exposed: Mask | None = None
    """[n] whether the feature fires on the untouched prompt, where that was recorded."""
    clean: Vector | None = None
    """[n] the untouched model's outcome, where that was recorded."""
    received: Mask | None = None
    """[n] whether the edit was delivered to the unit, where that was recorded."""
    order: Codes | None = None
    """[n] at which place in its unit's sequence of arms the row was run, from 1, where recorded."""
    weight: Vector | None = None
    """[n] one over the probability with which the unit was sampled from its pool; None: all were
    taken."""
    stratum_share: Vector | None = None
    """[n] the share of the pool that is exposed as this unit is, where units were sampled."""
    pool: Pool | None = None
    """Where units were drawn from a pool with known probabilities."""
    draws: Matrix | None = None
    """[n, d] the outcome by draw, NaN where an arm has fewer; None: no arm has several."""
    redeal: Redeal | None = None
    """Where assignments were drawn again until arms were alike: which of them were accepted."""
    se_type: SEType = "HC2"
    """Which heteroskedasticity-robust standard error least squares gives."""
    seed: int = 0
    """The trial's seed, for inference that draws."""

    def __len__(self) -> int:
        return len(self.outcome)

    @property
    def arms(self) -> tuple[Vector, Vector]:
        """The outcomes of the treatment and of the reference."""
        return self.outcome[self.treated], self.outcome[~self.treated]

    def take(self, rows: Mask) -> Sample:
        """The sample of those rows."""
        columns = {column.name: getattr(self, column.name) for column in fields(self)}
        taken: dict[str, Any] = {
            name: values[rows] for name, values in columns.items() if isinstance(values, np.ndarray)
        }
        return replace(self, **taken)


def within_units(sample: Sample) -> bool:
    """Whether every unit has a row in each arm."""
    pairs = sample.unit.reshape(-1, 2) if len(sample) and len(sample) % 2 == 0 else None
    return pairs is not None and bool(np.all(pairs[:, 0] == pairs[:, 1]))


def exposed_units(sample: Sample) -> Sample:
    """The units on which the feature fires; all of them where that was not recorded."""
    return sample if sample.exposed is None else sample.take(sample.exposed)


def complete_pairs(sample: Sample) -> tuple[Sample, tuple[str, ...]]:
    """The units that have both arms, and a flag that counts the others."""
    _, inverse, count = np.unique(sample.unit, return_inverse=True, return_counts=True)
    lost = int(np.sum(count != 2))
    flags = (f"incomplete_pairs:{lost}",) if lost else ()
    return sample.take(count[inverse] == 2), flags


def shared_blocks(sample: Sample) -> tuple[Sample, tuple[str, ...]]:
    """The blocks that have units of both arms, and a flag that counts the others."""
    if sample.block is None or not len(sample):
        return sample, ()
    treated, total = block_counts(sample.block, sample.treated)
    present = total > 0
    usable = present & (treated > 0) & (treated < total)
    lost = int(np.sum(present & ~usable))
    flags = (f"blocks_dropped:{lost}",) if lost else ()
    return sample.take(usable[sample.block]), flags


def block_counts(block: Codes, treated: Mask) -> tuple[Codes, Codes]:
    """How many treated units, and how many units, each block has: two arrays [blocks]."""
    length = int(block.max()) + 1
    return (
        np.bincount(block, weights=treated, minlength=length).astype(np.int64),
        np.bincount(block, minlength=length).astype(np.int64),
    )


def differences(sample: Sample) -> Vector:
    """[pairs] treatment minus reference within each unit, in the order of the units."""
    return sample.outcome[sample.treated] - sample.outcome[~sample.treated]
