"""How often screens err: ``python -m benchmarks.screen_errors``, some minutes.

Made-up screens of 300 features, 30 of them with an effect of one standard deviation where they
fire. Features fire on 2% to 60% of the prompts, rare ones as often as frequent ones on a
logarithmic scale.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from causal_sae.estimation.screens import Differences, adjusted, screened

Floats = NDArray[np.float64]
SCREENS, FEATURES, TRUE = 500, 300, 30


def noise(world: str, draw: np.random.Generator, units: int) -> Floats:
    """``[units, FEATURES]`` differences with mean 0 and about unit variance."""
    shape = (units, FEATURES)
    if world == "normal, shared by features":
        shared = draw.standard_normal((units, 1))
        return (draw.standard_normal(shape) + shared) / np.sqrt(2)
    if world == "heavy tails (t, 3 df)":
        return draw.standard_t(3, shape) / np.sqrt(3)
    return draw.exponential(size=shape) - 1


WORLDS = (
    "normal, shared by features",
    "heavy tails (t, 3 df)",
    "skewed (exponential)",
    "skewed, and some prompts easier to move",
)


def screen(world: str, draw: np.random.Generator, units: int, effects: Floats) -> Differences:
    """One made-up screen."""
    rate = np.exp(draw.uniform(*np.log([0.02, 0.6]), FEATURES))
    fires = draw.random((units, FEATURES)) < rate
    push = 0.5 + draw.exponential(0.5, size=(units, 1)) if "easier" in world else 1.0
    values = np.where(fires, push * (effects + noise(world, draw, units)), 0.0)
    unit, feature = fires.nonzero()
    return Differences(feature, unit, values[unit, feature], fires.sum(axis=0), units)


def main() -> None:
    """Print false discovery rate and power of each world."""
    effects = np.zeros(FEATURES)
    effects[:TRUE] = np.repeat([1.0, -1.0], TRUE // 2)
    for units in (100, 400):
        for world in WORLDS:
            draw = np.random.default_rng(2)
            found: dict[str, list[tuple[float, float]]] = {"bh": [], "by": []}
            for _ in range(SCREENS):
                p_values = screened(screen(world, draw, units, effects), 0.05).p_value
                for method, rows in found.items():
                    reject = adjusted(method, p_values, 0, 0.05) <= 0.05
                    false = reject[TRUE:].sum() / max(int(reject.sum()), 1)
                    rows.append((float(false), float(reject[:TRUE].mean())))
            told = " | ".join(
                f"{method} FDR {np.mean(rows, axis=0)[0]:.3f} power {np.mean(rows, axis=0)[1]:.2f}"
                for method, rows in found.items()
            )
            print(f"{units} | {world} | {told}", flush=True)


if __name__ == "__main__":
    main()
