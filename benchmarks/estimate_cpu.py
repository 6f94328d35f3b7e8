"""CPU seconds of `causal-sae estimate` on tables of 10,000 rows and more, imports included.

Run ``python benchmarks/estimate_cpu.py``: it prints one line for each design and format. The aim
is five seconds of user and system time together, without refuters.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

ARMS = ("control", "sham", "ablate", "amplify")
HEAD = """schema: 1
name: cpu
question: How long does it take?
arms:
  - {name: control, intervention: {kind: none}}
  - {name: sham, intervention: {kind: splice}}
  - {name: ablate, intervention: {kind: ablate, features: [3]}}
"""
FOURTH = "  - {name: amplify, intervention: {kind: scale, features: [3], factor: 2}}\n"
OUTCOMES = """outcomes:
  - {name: gap, role: primary, metric: entropy}
"""
GUARDRAIL = "  - {name: drift, role: guardrail, metric: nll, continuation: x, margin: 0.1}\n"
TRIALS = {
    "parallel": HEAD + OUTCOMES + GUARDRAIL + "analysis: {covariates: [x]}\n",
    "crossover": HEAD + FOURTH + OUTCOMES + "assignment: {method: crossover}\n",
    "clustered": HEAD
    + OUTCOMES
    + GUARDRAIL
    + "assignment: {method: cluster, cluster_by: template}\n",
}


def table(design: str, units: int) -> pd.DataFrame:
    """A long table of made-up outcomes: all arms of every unit in a crossover, one otherwise."""
    rng = np.random.default_rng(1)
    x = rng.normal(size=units)
    frame = pd.DataFrame({"unit_id": [f"u{i}" for i in range(units)], "x": x})
    if design == "crossover":
        parts = [frame.assign(arm=arm, value=x + rng.normal(size=units)) for arm in ARMS]
        return pd.concat(parts).assign(outcome="gap")
    cluster = np.arange(units) // 25
    of_arm = rng.permutation(np.arange(units if design == "parallel" else units // 25) % 3)
    arm = np.array(ARMS)[of_arm if design == "parallel" else of_arm[cluster]]
    parts = [
        frame.assign(arm=arm, cluster=cluster, outcome=name, value=x + rng.normal(size=units))
        for name in ("gap", "drift")
    ]
    return pd.concat(parts)


def seconds(trial: Path, observations: Path, out: Path) -> float:
    """User and system seconds of one run of the command, on one thread."""
    before = os.times()
    words = ["estimate", "--trial", trial, "--observations", observations, "--out", out]
    code = "import sys; from causal_sae.cli import main; sys.argv[0] = 'causal-sae'; main()"
    threads = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, "-c", code, *map(str, words)]
    subprocess.run(command, check=True, capture_output=True, env={**os.environ, **threads})
    after = os.times()
    return (after.children_user - before.children_user) + (
        after.children_system - before.children_system
    )


def main() -> None:
    """Print design, format, rows and CPU seconds."""
    print(f"{'design':<10} {'format':<8} {'rows':>6} {'CPU s':>6}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for design, text in TRIALS.items():
            trial = folder / f"{design}.yaml"
            trial.write_text(text)
            frame = table(design, 2_500 if design == "crossover" else 10_000)
            for suffix in ("csv", "parquet"):
                file = folder / f"{design}.{suffix}"
                if suffix == "csv":
                    frame.to_csv(file, index=False)
                else:
                    frame.to_parquet(file, index=False)
                took = seconds(trial, file, folder / f"{design}-{suffix}")
                print(f"{design:<10} {suffix:<8} {len(frame):>6} {took:>6.2f}")


if __name__ == "__main__":
    main()
