"""Every unit goes through every arm; places and carry-over are balanced."""

from __future__ import annotations

import numpy as np

from causal_sae.randomization.dealing import Arms
from causal_sae.randomization.units import Units
from causal_sae.randomness import generator


def williams_squares(k: int) -> list[Arms]:
    """Latin squares in which, together, each arm follows each other arm equally often.

    Parameters
    ----------
    k:
        The number of arms, at least 2.

    Returns
    -------
    list of arrays of shape ``[k sequences, k places]``
        One square for an even ``k``; two, of which one is the other read backwards, for an odd.

    Notes
    -----
    Source: Williams (1949), Experimental designs balanced for the estimation of residual effects
    of treatments. The first row is 0, 1, k-1, 2, k-2, ...; each next one adds 1 modulo k.
    """
    first = [(place + 1) // 2 if place % 2 else (k - place // 2) % k for place in range(k)]
    square = (np.array(first) + np.arange(k)[:, None]) % k
    return [square] if k % 2 == 0 else [square, square[:, ::-1]]


def latin_square(units: Units, shares: list[float], seed: int) -> Arms:
    """Williams sequences, dealt out evenly; shape ``[units, arms]``, column = place.

    Whatever the number of units, each arm's numbers at two places differ by at most one.
    """
    rng = generator(seed, "assignment", "latin_square")
    names = rng.permutation(len(shares))
    dealt: list[Arms] = []
    while len(dealt) < len(units):
        squares = williams_squares(len(shares))
        # One square is used up before the next is begun: that keeps the places balanced.
        for index in rng.permutation(len(squares)):
            dealt.extend(rng.permutation(squares[index]))
    sequences = np.array(dealt[: len(units)], dtype=np.intp)
    arms: Arms = names[rng.permutation(sequences)]
    return arms
