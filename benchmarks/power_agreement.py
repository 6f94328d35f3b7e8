"""How far simulated powers lie from their formulas, for every design that has one.

Run from the repository: ``python -m benchmarks.power_agreement 2000``. With a run folder as second
argument also: do the powers planned from that pilot come true in trials resampled from it?
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import numpy as np

from causal_sae.power import plan_power
from causal_sae.power.repetitions import repeat
from causal_sae.run import load_run

HERE = Path(__file__).parents[1]


def cases() -> dict[str, object]:
    """The designs of the tests."""
    path = HERE / "tests" / "power" / "conftest.py"
    spec = importlib.util.spec_from_file_location("power_cases", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["power_cases"] = module
    spec.loader.exec_module(module)
    return dict(module.CASES)


def compare(repetitions: int) -> None:
    """Print the formula, the simulation, and their difference in standard errors."""
    for name, case in cases().items():
        plan = case.plan  # type: ignore[attr-defined]
        done = repeat(plan.trial, case.population, case.roster, repetitions)  # type: ignore[attr-defined]
        for at in range(len(plan.questions)):
            formula = plan.power(at)
            # At the formula's own level: what Holm adds is not its business.
            found = float(np.mean(done.p_values[:, at] <= plan.levels[at]))
            error = np.sqrt(formula * (1 - formula) / repetitions)
            z = (found - formula) / error
            print(f"{name:24s} {formula:.4f} {found:.4f} {z:+.1f}", flush=True)


def from_pilot(folder: str, repetitions: int) -> None:
    """Print what a pilot predicts, by formula, and the rejections in trials resampled from it."""
    run = load_run(folder)
    trial = run.trial
    units = run.observations["unit_id"].nunique()
    for n in (units // 2, units, 2 * units):
        table = plan_power(trial, pilot=folder, n=n, repetitions=repetitions).table
        columns = ["treatment", "reference", "method", "power", "power_low", "power_high"]
        print(f"n = {n}\n{table[columns].round(3).to_string(index=False)}", flush=True)


if __name__ == "__main__":
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    compare(count)
    if len(sys.argv) > 2:
        from_pilot(sys.argv[2], count)
