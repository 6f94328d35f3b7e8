"""Hold the power that a small pilot predicts against the rejections of real trials.

Run from the repository: ``python -m benchmarks.predicted_power``; two minutes to fetch the pack's
model, ten to run it once, and as many again. It writes ``docs/explanation/predicted-power.csv``.

The model is run once on 340 passages, each in every arm, so that the outcome of every passage in
every arm is known. These passages are then the population. A pilot of 30 of them, in the trial's
own design and blinded, gives the predicted power at n units; trials of n units, drawn from the
population with their arms dealt anew, give the achieved one. The plan is told the true effect: that
is what a plan assumes and a pilot does not know. All else is what the pilot shows.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

import causal_sae as cs
from causal_sae.estimation import estimate
from causal_sae.piloting import blinded
from causal_sae.randomization import assign
from causal_sae.spec import Trial

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "trials" / "scripture"
RESULT = ROOT / "docs" / "explanation" / "predicted-power.csv"
PILOT, PILOTS, TRIALS = 30, 20, 400
"""Units of a pilot, pilots of each design, and resampled trials of each."""
ARMS = {
    "control": {"kind": "none"},
    "ablate": {"kind": "ablate", "features": [2752]},
    "clamp": {"kind": "clamp", "features": [2752], "dose": {"multiple": 2, "of": "q99"}},
}
WORDS = (" unto", " thou", " thee", " thy", " ye", " hath", " shall", " LORD", " behold", " upon")
OUTCOMES = {
    "surprise": {"metric": "nll", "continuation": {"column": "tail"}},
    "register": {"metric": "token_set_prob", "tokens": list(WORDS)},
}


@dataclass(frozen=True)
class Case:
    """One design, one effect, and a size at which the outcome is open."""

    name: str
    treatment: str
    outcome: str
    units: int
    design: dict[str, object]
    analysis: dict[str, object]

    def trial(self, effect: float, seed: int) -> Trial:
        """The case as a trial that is planned to find an effect, in the outcome's units."""
        arms = [{"name": name, "intervention": ARMS[name]} for name in ("control", self.treatment)]
        return Trial.model_validate(
            {
                "schema": 1,
                "name": "resampled",
                "question": "Is the effect found?",
                "seed": seed,
                "assignment": self.design,
                "arms": arms,
                "outcomes": [{"name": self.outcome, "role": "primary", **OUTCOMES[self.outcome]}],
                "analysis": self.analysis,
                "power": {"effect": effect, "unit": "outcome", "sd": 1.0},
            }
        )


CROSSED = {"method": "crossover"}
ADJUSTED = {"covariates": ["clean_outcome"]}
CASES = (
    Case("crossover, ablate", "ablate", "surprise", 32, CROSSED, {}),
    Case("crossover, clamp", "clamp", "surprise", 42, CROSSED, {}),
    Case("parallel, adjusted, ablate", "ablate", "surprise", 64, {"method": "complete"}, ADJUSTED),
    Case("parallel, adjusted, clamp", "clamp", "surprise", 160, {"method": "complete"}, ADJUSTED),
    Case("simple, adjusted, ablate", "ablate", "surprise", 64, {"method": "simple"}, ADJUSTED),
    Case("crossover, ablate, skewed outcome", "ablate", "register", 60, CROSSED, {}),
)


def potential(folder: Path) -> pd.DataFrame:
    """Every passage's outcome in every arm, from one run of the real model."""
    if not (folder / "run" / "manifest.json").exists():
        folder.mkdir(parents=True, exist_ok=True)
        found = pd.read_csv(SOURCE / "discovery.csv")
        rows = [pd.read_csv(SOURCE / "prompts.csv"), found.assign(id="found-" + found["id"])]
        pd.concat(rows).to_csv(folder / "prompts.csv", index=False)
        (folder / "trial.yaml").write_text(yaml.safe_dump(_declared()))
        cs.run_trial(folder, out=folder / "run", resume=(folder / "run").exists())
    return cs.load_run(folder / "run").observations


def _declared() -> dict[str, object]:
    source = yaml.safe_load((SOURCE / "trial.yaml").read_text(encoding="utf-8"))
    return {
        **{key: source[key] for key in ("schema", "model", "positions")},
        "sae": {"source": {"path": str((SOURCE / source["sae"]["source"]["path"]).resolve())}},
        "name": "potential",
        "question": "What is every passage's outcome in every arm?",
        "seed": 4,
        "population": {"prompts": "prompts.csv", "unit": "id"},
        "assignment": {"method": "crossover"},
        "arms": [{"name": name, "intervention": edit} for name, edit in ARMS.items()],
        "outcomes": [
            {"name": name, "role": "primary" if name == "surprise" else "secondary", **metric}
            for name, metric in OUTCOMES.items()
        ],
    }


def observed(trial: Trial, everything: pd.DataFrame, units: np.ndarray) -> pd.DataFrame:
    """A trial on these units: arms dealt as declared, outcomes as they really were."""
    names = [f"unit {i:04d}" for i in range(len(units))]
    drawn = pd.DataFrame({"unit_id": names, "source": units})
    dealt = assign(trial, drawn[["unit_id"]])
    rows = dealt[["unit_id", "arm", "run_order"]].merge(drawn, on="unit_id")
    seen = everything.rename(columns={"unit_id": "source"})
    kept = ["source", "arm", "outcome", "value", "clean_outcome", "exposed", "received", "status"]
    return rows.merge(seen[kept], on=["source", "arm"]).drop(columns="source")


def study(case: Case, everything: pd.DataFrame, trials: int, pilots: int) -> dict[str, object]:
    """Predicted against achieved power of one case."""
    own = everything[everything["outcome"] == case.outcome]
    wide = own.pivot_table(index="unit_id", columns="arm", values="value")
    effect = float((wide[case.treatment] - wide["control"]).mean())
    population = wide.index.to_numpy()
    rng = np.random.default_rng(2026)
    predicted = np.array(list(_predictions(case, own, effect, population, rng, pilots)))
    hits = 0
    for seed in range(trials):
        trial = case.trial(effect, seed)
        drawn = rng.choice(population, size=case.units)
        hits += bool(estimate(trial, observed(trial, own, drawn))["reject"].iloc[0])
    achieved = hits / trials
    error = 1.96 * np.sqrt(achieved * (1 - achieved) / trials)
    middle, low, high = predicted.T
    return {
        "design": case.name,
        "effect": effect,
        "units": case.units,
        "pilots": pilots,
        "predicted": middle.mean(),
        "predicted_least": middle.min(),
        "predicted_most": middle.max(),
        "interval_low": low.mean(),
        "interval_high": high.mean(),
        "intervals_that_hold": float(np.mean((low <= achieved) & (achieved <= high))),
        "trials": trials,
        "achieved": achieved,
        "achieved_low": achieved - error,
        "achieved_high": achieved + error,
    }


def _predictions(
    case: Case,
    own: pd.DataFrame,
    effect: float,
    population: np.ndarray,
    rng: np.random.Generator,
    pilots: int,
) -> Iterator[tuple[float, float, float]]:
    """The power that each pilot predicts, with its interval."""
    for number in range(pilots):
        trial = case.trial(effect, 10_000 + number)
        units = rng.choice(population, size=PILOT, replace=False)
        table = blinded(trial, observed(trial, own, units))
        forecast = cs.plan_power(trial, pilot=table, n=case.units, repetitions=0)
        row = forecast.table.iloc[0]
        yield row["power"], row["power_low"], row["power_high"]


def main() -> None:
    """Run every case and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cache", type=Path, default=Path("runs") / "potential")
    parser.add_argument("--trials", type=int, default=TRIALS)
    parser.add_argument("--pilots", type=int, default=PILOTS)
    parser.add_argument("--only", default="", help="a part of the names of the cases to run")
    parser.add_argument("--out", type=Path, default=RESULT)
    given = parser.parse_args()
    everything = potential(given.cache)
    for case in CASES:
        if given.only in case.name:
            keep(study(case, everything, given.trials, given.pilots), given.out)


def keep(row: dict[str, object], path: Path) -> None:
    """Write a case's row into the table, in place of an earlier one."""
    print(pd.Series(row).to_string(), "\n", flush=True)
    table = pd.DataFrame([row]).round(4)
    if path.exists():
        before = pd.read_csv(path)
        table = pd.concat([before[before["design"] != row["design"]], table])
    table.to_csv(path, index=False)


if __name__ == "__main__":
    main()
