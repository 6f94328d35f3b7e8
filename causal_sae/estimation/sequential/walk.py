"""The statistic's way through the looks: the density of what has not stopped yet.

Recursive numerical integration (Armitage, McPherson and Rowe 1969; Jennison and Turnbull 2000,
ch. 19), on Gauss and Legendre's nodes.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import ceil, sqrt

import numpy as np
from scipy import special

from causal_sae.estimation.sample import Matrix, Vector

FAR = 9.0
"""Standard deviations beyond which a normal variable is never found in double precision."""
PANEL = 16
"""Nodes on each panel; a panel is at most as wide as the standard deviation of an increment."""
MOST_PANELS = 200


@dataclass(frozen=True)
class Walk:
    """What is left of the statistic on one path, after the looks so far.

    Values are ``B = Z sqrt(t)``, whose increments are independent.
    """

    drift: float
    """The mean of Z at full information."""
    time: float = 0.0
    """The information fraction of the last look; 0 before the first."""
    nodes: Vector | None = None
    """[nodes] values of B at the last look; None before the first, when B is 0."""
    mass: Vector | None = None
    """[nodes] the density there times the node's weight."""
    above: float = 0.0
    """The probability of having left the path upwards."""
    below: float = 0.0
    """The probability of having left it downwards."""

    def upper(self, time: float, z: float) -> float:
        """The probability of still being on the path and finding Z at least z at ``time``."""
        return self._beyond(time, z, 1.0)

    def lower(self, time: float, z: float) -> float:
        """The probability of still being on the path and finding Z at most z at ``time``."""
        return self._beyond(time, z, -1.0)

    def _beyond(self, time: float, z: float, side: float) -> float:
        spread = sqrt(time - self.time)
        start = np.zeros(1) if self.nodes is None else self.nodes
        mass = np.ones(1) if self.mass is None else self.mass
        centre = start + self.drift * (time - self.time)
        return float(mass @ special.ndtr(side * (centre - z * sqrt(time)) / spread))

    def kept(self, time: float, low: float, high: float) -> Walk:
        """The walk after a look at ``time`` that goes on where Z is between ``low`` and ``high``.

        Parameters
        ----------
        time:
            The look's information fraction.
        low, high:
            In units of Z; may be infinite.
        """
        spread = sqrt(time - self.time)
        start = np.zeros(1) if self.nodes is None else self.nodes
        mass = np.ones(1) if self.mass is None else self.mass
        centre = start + self.drift * (time - self.time)
        bottom = max(low * sqrt(time), float(centre.min()) - FAR * spread)
        top = min(high * sqrt(time), float(centre.max()) + FAR * spread)
        above = self.above + (self.upper(time, high) if np.isfinite(high) else 0.0)
        below = self.below + (self.lower(time, low) if np.isfinite(low) else 0.0)
        if not bottom < top:
            return Walk(self.drift, time, np.zeros(1), np.zeros(1), above, below)
        nodes, weights = _grid(bottom, top, spread)
        density = mass @ _normal_density(nodes[None, :] - centre[:, None], spread)
        return Walk(self.drift, time, nodes, weights * density, above, below)


def _normal_density(distance: Matrix, spread: float) -> Matrix:
    found: Matrix = np.exp(-0.5 * (distance / spread) ** 2) / (spread * sqrt(2 * np.pi))
    return found


def _grid(bottom: float, top: float, spread: float) -> tuple[Vector, Vector]:
    """Nodes and weights on an interval, in panels no wider than ``spread`` where that is few."""
    panels = min(MOST_PANELS, max(1, ceil((top - bottom) / spread)))
    x, w = _legendre()
    edges = np.linspace(bottom, top, panels + 1)
    half = (top - bottom) / panels / 2
    centres = (edges[:-1] + edges[1:]) / 2
    nodes = (centres[:, None] + half * x[None, :]).ravel()
    return nodes, np.tile(half * w, panels)


@lru_cache(maxsize=1)
def _legendre() -> tuple[Vector, Vector]:
    x, w = np.polynomial.legendre.leggauss(PANEL)
    return x, w
