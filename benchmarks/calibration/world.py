"""A world: a way to draw samples of which the true effect is known."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeAlias

import numpy as np

from causal_sae.estimation.estimators.base import Structure
from causal_sae.estimation.sample import Codes, Mask, Sample, Vector

Generator: TypeAlias = np.random.Generator
Truth: TypeAlias = Mapping[str, float]
"""What is estimated -> its true value, in the superpopulation that the sample is drawn from.

``mean``: the mean effect over all units; ``exposed``: over units on which the feature fires;
``location``: the median of the differences between two arms, or the pseudo-median of those within
units (Hodges and Lehmann); ``precision``: the mean effect with blocks weighted as least squares on
block indicators weights them; ``beyond placebos``: how much a feature does beyond features drawn
like the placebos. A quantity that a world does not know is left out.
"""
Make: TypeAlias = Callable[[Generator, bool], tuple[Sample, Truth]]
"""A generator, and whether there is an effect; a sample and the truth out."""


@dataclass(frozen=True)
class World:
    """Where samples come from."""

    name: str
    """What is special about it, for people; unique within its structure."""
    structure: Structure
    """The design that its samples have."""
    make: Make
    """Draws one sample."""
    covariates: bool = False
    """Whether the samples have covariates."""
    of: frozenset[str] | None = None
    """The only estimators that it is for; None: all that fit it."""

    @property
    def key(self) -> str:
        """A name that no other world has."""
        return f"{self.structure}: {self.name}"


@cache
def labels(count: int) -> np.ndarray[Any, np.dtype[np.str_]]:
    """[count] names of units that sort as they are numbered."""
    return np.array([f"u{i:05d}" for i in range(count)])


def between(
    rng: Generator, y: Vector, z: Vector, x: Vector | None = None, **columns: Any
) -> Sample:
    """A sample with a unit per row.

    Parameters
    ----------
    rng:
        Draws the seed of inference that draws.
    y, z:
        [n] outcomes, and whether each unit is treated.
    x:
        [n] a covariate.
    columns:
        Further fields of :class:`causal_sae.estimation.sample.Sample`.
    """
    n = len(y)
    return Sample(
        unit=labels(n),
        outcome=y,
        treated=z.astype(bool),
        covariates=np.empty((n, 0)) if x is None else x[:, None],
        covariate_names=() if x is None else ("x",),
        seed=int(rng.integers(1 << 30)),
        **columns,
    )


def within(rng: Generator, treatment: Vector, reference: Vector, **columns: Any) -> Sample:
    """A sample with two rows per unit.

    Parameters
    ----------
    rng:
        As in :func:`between`.
    treatment, reference:
        [units] the outcomes in both arms.
    columns:
        Further fields by unit ([units]), or by row where they differ within a unit ([units, 2],
        the treatment's first).
    """
    n = len(treatment)
    rows = {
        name: values.ravel() if values.ndim == 2 else np.repeat(values, 2)
        for name, values in columns.items()
    }
    return Sample(
        unit=np.repeat(labels(n), 2),
        outcome=np.column_stack([treatment, reference]).ravel(),
        treated=np.tile([True, False], n),
        covariates=np.empty((2 * n, 0)),
        seed=int(rng.integers(1 << 30)),
        **rows,
    )


def dealt(rng: Generator, treated: int, reference: int) -> Vector:
    """[n] a complete assignment: 1 for the treatment."""
    return rng.permutation(np.repeat([1.0, 0.0], [treated, reference]))


def dealt_in_blocks(rng: Generator, sizes: Codes, treated: Codes) -> Vector:
    """[n] a complete assignment within each block."""
    return np.concatenate(
        [dealt(rng, int(k), int(n - k)) for n, k in zip(sizes, treated, strict=True)]
    )


def noise(rng: Generator, kind: str, size: int) -> Vector:
    """[size] independent errors: ``normal`` (0, 1), or ``lognormal``, whose skewness is 6."""
    drawn = rng.normal(size=size)
    return np.exp(drawn) if kind == "lognormal" else drawn


def fires(rng: Generator, share: float, size: int) -> Mask:
    """[size] on which units the feature fires."""
    fired: Mask = rng.random(size) < share
    return fired
