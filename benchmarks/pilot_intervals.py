"""How often the interval of a power that is planned from a small pilot holds the real power.

Run from the repository: ``python -m benchmarks.pilot_intervals``; twenty minutes on two CPU cores.
It writes ``docs/explanation/pilot-intervals.csv``.

Worlds are made up, so that the real power is known: as often as the trial, with its own estimator,
rejects in a thousand repetitions. Pilots of the same world, in the trial's design, are held
against it.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

import causal_sae as cs
from causal_sae.power.repetitions import repeat
from causal_sae.randomness import generator
from causal_sae.simulation import Drawn, Roster, simulate
from causal_sae.simulation.roster import names
from causal_sae.spec import Trial

RESULT = Path(__file__).parents[1] / "docs" / "explanation" / "pilot-intervals.csv"
SIZES, PILOTS, TRIALS = (20, 30, 50), 200, 1000
"""Units of a pilot, pilots of each size, and trials that tell the real power."""
EFFECT, SHARED, SHARE, MATES = 0.5, 0.2, 0.25, 4
"""The effect in standard deviations of the change; the intracluster correlation; the share of
exposed units where the feature is sparse; and units in a cluster."""

Values = Callable[[np.random.Generator, int], np.ndarray]


def _lognormal(rng: np.random.Generator, n: int) -> np.ndarray:
    square = 0.8**2
    spread = np.sqrt((np.exp(square) - 1) * np.exp(square))
    return (rng.lognormal(0, 0.8, n) - np.exp(square / 2)) / spread


SHAPES: dict[str, Values] = {
    "normal": lambda rng, n: rng.standard_normal(n),
    "long-tailed (t, 5 df)": lambda rng, n: rng.standard_t(5, n) / np.sqrt(5 / 3),
    "exponential": lambda rng, n: rng.exponential(size=n) - 1,
    "lognormal (skewness 3.7)": _lognormal,
}
"""Values with mean 0 and variance 1."""


@dataclass(frozen=True)
class Design:
    """One way to ask the question, at a size where the answer is open."""

    units: int
    assignment: dict[str, object]
    analysis: dict[str, object]
    share: float = 1.0
    clustered: bool = False

    def roster(self, n: int) -> Roster:
        """So many units, in clusters where the design has them."""
        cluster = np.array([f"c{i // MATES:04d}" for i in range(n)]) if self.clustered else None
        return Roster(names(n), None, cluster)


ADJUSTED = {"covariates": ["clean_outcome"]}
DESIGNS = {
    "crossover": Design(32, {"method": "crossover"}, {}),
    "crossover, sparse": Design(128, {"method": "crossover"}, {}, share=SHARE),
    "parallel": Design(128, {"method": "complete"}, {}),
    "parallel, adjusted": Design(64, {"method": "complete"}, ADJUSTED),
    "clusters": Design(200, {"method": "cluster", "cluster_by": "template"}, {}, clustered=True),
}


@dataclass(frozen=True)
class World:
    """Units whose outcomes, and the changes that an edit makes of them, have a given shape."""

    design: Design
    values: Values

    def draw(self, roster: Roster, repetition: int, scale: float = 1.0) -> Drawn:
        """One set of units."""
        rng, n = generator(11, "world", str(repetition)), len(roster)
        clean = self.values(rng, n)
        if roster.cluster is not None:
            home = np.unique(roster.cluster, return_inverse=True)[1]
            shared = self.values(rng, int(home.max()) + 1)[home]
            clean = np.sqrt(SHARED) * shared + np.sqrt(1 - SHARED) * clean
        exposed = rng.random(n) < self.design.share
        # Without a clean outcome or a second arm to hold against, the change is no noise.
        noise = 0.0 if self.design in (DESIGNS["parallel"], DESIGNS["clusters"]) else 1.0
        change = np.where(exposed, EFFECT * scale + noise * self.values(rng, n), 0.0)
        return Drawn(exposed, {"gap": clean}, {"gap": np.column_stack([clean, clean + change])})


def declared(design: Design, seed: int) -> Trial:
    """The trial, planned for the effect that the world has, in the outcome's units."""
    return Trial.model_validate(
        {
            "schema": 1,
            "name": "planned",
            "question": "Is the effect found?",
            "seed": seed,
            "assignment": design.assignment,
            "arms": [
                {"name": "control", "intervention": {"kind": "none"}},
                {"name": "ablate", "intervention": {"kind": "ablate", "features": [3]}},
            ],
            "outcomes": [{"name": "gap", "role": "primary", "metric": "entropy"}],
            "analysis": design.analysis,
            "power": {"effect": EFFECT, "unit": "outcome", "sd": 1.0},
        }
    )


def study(name: str, shape: str, pilots: int, trials: int) -> Iterator[dict[str, object]]:
    """One row for each size of the pilot."""
    design = DESIGNS[name]
    world = World(design, SHAPES[shape])
    real = repeat(declared(design, 0), world, design.roster(design.units), trials)
    achieved = real.rate([0])[0]
    for size in SIZES:
        found = np.array([_predicted(design, world, size, i) for i in range(pilots)])
        power, low, high = found.T
        yield {
            "design": name,
            "values": shape,
            "units": design.units,
            "achieved": achieved,
            "pilot": size,
            "predicted": np.median(power),
            "interval_low": np.median(low),
            "interval_high": np.median(high),
            "intervals_that_hold": np.mean((low <= achieved) & (achieved <= high)),
            "too_high": np.mean(low > achieved),
            "too_low": np.mean(high < achieved),
            "pilots": pilots,
            "trials": trials,
        }


def _predicted(design: Design, world: World, size: int, number: int) -> tuple[float, ...]:
    trial = declared(design, number)
    table = simulate(trial, world, design.roster(size), 100_000 + number)
    plan = cs.plan_power(
        trial.model_copy(update={"power": _sized(trial)}),
        pilot=table,
        n=design.units,
        repetitions=0,
    )
    row = plan.table.iloc[0]
    return float(row["power"]), float(row["power_low"]), float(row["power_high"])


def _sized(trial: Trial) -> object:
    assert trial.power is not None
    return trial.power.model_copy(update={"cluster_size": float(MATES)})


def main() -> None:
    """Run every world and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=TRIALS)
    parser.add_argument("--pilots", type=int, default=PILOTS)
    parser.add_argument("--only", default="", help="a part of the names of the designs to run")
    parser.add_argument("--out", type=Path, default=RESULT)
    given = parser.parse_args()
    rows: list[dict[str, object]] = []
    for name in DESIGNS:
        for shape in SHAPES if given.only in name else ():
            rows += study(name, shape, given.pilots, given.trials)
            print(pd.DataFrame(rows[-len(SIZES) :]).round(3).to_string(header=False), flush=True)
    pd.DataFrame(rows).round(4).to_csv(given.out, index=False)


if __name__ == "__main__":
    main()
