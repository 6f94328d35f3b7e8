"""Deal arms to positions with exact numbers and exact probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

Arms = NDArray[np.intp]


def probabilities(shares: Sequence[float]) -> list[Fraction]:
    """Each arm's probability: its share of the sum, without rounding."""
    exact = [Fraction(share) for share in shares]
    total = sum(exact)
    return [share / total for share in exact]


def arm_counts(shares: Sequence[float], n: int, rng: np.random.Generator) -> list[int]:
    """How many of ``n`` places each arm gets: its quota rounded down or up.

    The places that rounding down leaves over are dealt by systematic sampling, so an arm's expected
    number is exactly its quota, and the propensity of each place exactly the arm's share.

    Source: Madow (1949), On the theory of systematic sampling II.
    """
    quotas = [p * n for p in probabilities(shares)]
    counts = [int(quota) for quota in quotas]
    # A random order of the arms, or else neighbours could never both be rounded up.
    order = rng.permutation(len(quotas))
    passed = Fraction(float(rng.random()))
    for arm in order:
        reached = passed + quotas[arm] - counts[arm]
        counts[arm] += int(reached) - int(passed)
        passed = reached
    return counts


def deal(shares: Sequence[float], n: int, rng: np.random.Generator) -> Arms:
    """The arm of each of ``n`` places, as indices of shape ``[n]``, in random order."""
    counts = arm_counts(shares, n, rng)
    return rng.permutation(np.repeat(np.arange(len(counts)), counts))
