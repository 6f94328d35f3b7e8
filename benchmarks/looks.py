"""How often trials with looks, and assignments drawn again, are right: the tables of the docs.

``python -m benchmarks.looks [TRIALS]`` (default 4,000; minutes). Every statistic is the product's;
only the bookkeeping of tables is left out, for speed.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

import numpy as np

from causal_sae.acceptance import distance, limit, whitened
from causal_sae.estimation.estimators import ESTIMATORS
from causal_sae.estimation.inference import Estimate
from causal_sae.estimation.sample import Redeal, Sample
from causal_sae.estimation.sequential import always_valid
from causal_sae.estimation.sequential.path import Stage, follow
from causal_sae.estimation.sequential.spending import planned_spending
from causal_sae.estimation.sequential.stagewise import as_normal, rank
from causal_sae.estimation.skewness import limits, third_cumulant

QUARTERS = (0.25, 0.5, 0.75, 1.0)
Draw = Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]
OUTCOMES: dict[str, Draw] = {
    "normal": lambda rng, shape: rng.standard_normal(shape),
    "lognormal": lambda rng, shape: rng.lognormal(size=shape),
    "zero on 95%": lambda rng, shape: (
        (rng.random(shape) < 0.05) * rng.exponential(size=shape) + 1e-6 * rng.standard_normal(shape)
    ),
}


def welch(first: np.ndarray, second: np.ndarray) -> Estimate:
    """The difference of two samples, with Welch's degrees of freedom."""
    parts = [y.var(ddof=1) / len(y) for y in (first, second)]
    df = sum(parts) ** 2 / sum(
        v**2 / (len(y) - 1) for v, y in zip(parts, (first, second), strict=True)
    )
    difference, error = first.mean() - second.mean(), np.sqrt(sum(parts))
    return Estimate(difference, error, difference / error, df)


def one_trial(
    effect: float, n: int, spent: np.ndarray, futility: float | None, rng: np.random.Generator
) -> tuple[list[Stage], Estimate]:
    """The stages of one trial, and the naive estimate at its stop."""
    first, second = rng.standard_normal(n) + effect, rng.standard_normal(n)
    sizes = [round(t * n) for t in QUARTERS]
    fits = [welch(first[:size], second[:size]) for size in sizes]
    z = [as_normal(fit.statistic, fit.df) for fit in fits]
    stages = follow(QUARTERS, spent, z, len(QUARTERS), futility)
    return stages, fits[len(stages) - 1]


def looks(trials: int) -> None:
    """False rejections, coverage and median of trials that stop early."""
    print("spending, n, futility, effect: rejects, covers, below the median, naive mean")
    for name in ("obrien_fleming", "pocock"):
        spent = planned_spending(name, 0.05, QUARTERS)
        for n in (20, 60):
            for futility in (None, 0.2):
                for effect in (0.0, 0.5):
                    rng = np.random.default_rng(1)
                    done = [one_trial(effect, n, spent, futility, rng) for _ in range(trials)]
                    ranks = np.array([rank(stages, fit, effect) for stages, fit in done])
                    rejects = np.mean([stages[-1].decision == "reject" for stages, _ in done])
                    covers = np.mean((ranks > 0.025) & (ranks < 0.975))
                    naive = np.mean([fit.estimate for _, fit in done])
                    numbers = f"{rejects:.4f} {covers:.4f} {np.mean(ranks < 0.5):.4f} {naive:.3f}"
                    print(f"{name} {n} {futility} {effect}: {numbers}", flush=True)


def sequences(trials: int) -> None:
    """How many confidence sequences hold the truth at all looks, up to 500 units an arm."""
    rng = np.random.default_rng(1)
    for name, draw in OUTCOMES.items():
        for every in (5, 10, 25):
            first, second = (draw(rng, (trials, 500)) for _ in range(2))
            missed = np.zeros(trials, dtype=bool)
            for number, n in enumerate(range(every, 501, every), 1):
                parts = [y[:, :n].var(axis=1, ddof=1) / n for y in (first, second)]
                df = (parts[0] + parts[1]) ** 2 / ((parts[0] ** 2 + parts[1] ** 2) / (n - 1))
                t = (first[:, :n].mean(1) - second[:, :n].mean(1)) / np.sqrt(sum(parts))
                missed |= _beyond(t, df, number)
            print(f"{name}, two arms, every {every}: {1 - missed.mean():.4f}", flush=True)
    for every in (10, 25, 50):
        difference = rng.lognormal(size=(trials, 500)) - np.exp(0.5)
        missed = np.zeros(trials, dtype=bool)
        for number, n in enumerate(range(every, 501, every), 1):
            part = difference[:, :n]
            t = part.mean(1) / (part.std(1, ddof=1) / np.sqrt(n))
            missed |= _beyond(t, np.full(trials, n - 1.0), number)
        print(f"lognormal differences, every {every}: {1 - missed.mean():.4f}", flush=True)
    guarded(trials)


def guarded(trials: int) -> None:
    """How often sequences of the statistic that `auto` takes, with Hall's caution, hold."""
    rng = np.random.default_rng(5)
    values = {
        "lognormal": rng.lognormal(size=(trials, 500)) - np.exp(0.5),
        "exponential": rng.exponential(size=(trials, 500)) - 1,
        "normal": rng.standard_normal((trials, 500)),
    }
    for name, difference in values.items():
        for every in (10, 25, 50):
            missed = np.zeros(trials, dtype=bool)
            for number, n in enumerate(range(every, 501, every), 1):
                t = [_cautious(part) for part in difference[:, :n]]
                missed |= _beyond(np.array(t), np.full(trials, n - 1.0), number)
            print(f"{name} differences, hall, every {every}: {1 - missed.mean():.4f}", flush=True)


def _cautious(part: np.ndarray) -> float:
    error = float(part.std(ddof=1)) / np.sqrt(len(part))
    third = third_cumulant(part)
    return limits(float(part.mean()), error, len(part) - 1.0, third, 0.05).statistic


def _beyond(t: np.ndarray, df: np.ndarray, number: int) -> np.ndarray:
    bound = always_valid.boundary(0.05, number / 10)
    return np.array([abs(as_normal(a, b)) for a, b in zip(t, df, strict=True)]) >= bound


def drawn_again(trials: int) -> None:
    """False rejections and widths after an assignment that was drawn again; no effect."""
    rng, n, found = np.random.default_rng(4), 40, {}
    most = limit(0.05, 2, 2)
    for trial in range(trials):
        x = np.column_stack([rng.normal(size=n), rng.exponential(size=n)])
        white = whitened(x, np.zeros(n, dtype=int))
        y = x @ [3, 1] + rng.normal(size=n)
        treated = rng.permutation(n) < n // 2
        while distance(white, treated.astype(int), 2) > most:
            treated = rng.permutation(n) < n // 2
        redeal = Redeal(white, np.zeros((2, 2)), (n // 2, n // 2), 0.0, most)
        for name in ("welch", "ancova", "lin", "randomization"):
            if name == "randomization" and trial >= 300:
                continue
            adjusts = name in {"ancova", "lin"}
            covariates = (x, ("x", "w")) if adjusts else (np.empty((n, 0)), ())
            names = np.array([f"u{i:02d}" for i in range(n)])
            sample = Sample(names, y, treated, *covariates, seed=trial, redeal=redeal)
            fit = ESTIMATORS[name].fit(sample, 0.05)
            row = (fit.p_value <= 0.05, fit.conf_high - fit.conf_low)
            found.setdefault(name, []).append(row)
    for name, rows in found.items():
        rejects, width = np.mean(rows, axis=0)
        print(f"{name}: rejects {rejects:.4f}, width {width:.2f} ({len(rows)} trials)", flush=True)


if __name__ == "__main__":
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 4000
    looks(count)
    sequences(count)
    drawn_again(count // 2)
