"""How often the interval of the effect in a pool holds it.

``python tests/estimation/test_enriched_coverage.py 2000`` prints the coverage by share of exposed
prompts, number drawn and shape of the effect.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from causal_sae.estimation.estimators import enriched
from causal_sae.estimation.estimators.sparse import wilson
from causal_sae.estimation.sample import Pool, Sample

POOL = 10_000
EFFECTS: dict[str, tuple[Any, float]] = {
    "lognormal": (lambda rng, m: rng.lognormal(size=m), float(np.exp(0.5))),
    "exponential": (lambda rng, m: rng.exponential(size=m), 1.0),
    "normal": (lambda rng, m: rng.normal(1, 1, size=m), 1.0),
    "null": (lambda rng, m: rng.normal(size=m), 0.0),
}


def coverage(
    share: float,
    drawn: int,
    kind: str,
    repetitions: int,
    seed: int,
    design: str = "crossover",
    pool: int = POOL,
) -> float:
    """How often the 95% interval holds the effect in the population that pools come from."""
    draw, mean = EFFECTS[kind]
    rng, hits, made = np.random.default_rng(seed), 0, 0
    for _ in range(repetitions):
        found = int(rng.binomial(pool, share))
        if found < drawn:
            continue  # such a trial is refused
        sample = _sample(draw(rng, drawn), found / pool, pool, design, rng)
        result = enriched.fit(sample, 0.05)
        hits += result.conf_low <= share * mean <= result.conf_high
        made += 1
    return hits / made if made else np.nan


def _sample(moved: np.ndarray, share: float, pool: int, design: str, rng: Any) -> Sample:
    """Exposed prompts only; ``parallel``: half of them are treated, and the outcome is noisy."""
    n = len(moved)
    if design == "crossover":
        unit, treated = np.repeat(np.arange(n), 2), np.tile([True, False], n)
        outcome = np.column_stack([moved, np.zeros(n)]).ravel()
    else:
        unit, treated = np.arange(n), rng.permutation(n) % 2 == 0
        outcome = rng.normal(size=n) / 2 + np.where(treated, moved, 0)
    rows = len(outcome)
    return Sample(
        unit=unit.astype(str),
        outcome=outcome,
        treated=treated,
        covariates=np.empty((rows, 0)),
        exposed=np.ones(rows, dtype=bool),
        weight=np.full(rows, share * pool / n),
        stratum_share=np.full(rows, share),
        pool=Pool(pool, finite=False, inert=True),
    )


def _within(hits: int, repetitions: int) -> bool:
    return abs(hits / repetitions - 0.95) <= 3.29 * np.sqrt(0.05 * 0.95 / repetitions)


@pytest.mark.parametrize("design", ["crossover", "parallel"])
def test_it_covers_skewed_effects(design: str) -> None:
    found = coverage(0.02, 80, "lognormal", 200, seed=4, design=design)
    assert _within(round(found * 200), 200)


def test_it_covers_where_both_strata_move() -> None:
    rng, hits = np.random.default_rng(6), 0
    for _ in range(200):
        found = int(rng.binomial(POOL, 0.05))
        moved = _sample(rng.lognormal(size=60), found / POOL, POOL, "crossover", rng)
        others = _sample(rng.normal(0.1, 0.5, 40), 1 - found / POOL, POOL, "crossover", rng)
        result = enriched.fit(_joined(moved, others), 0.05)
        hits += result.conf_low <= 0.05 * np.exp(0.5) + 0.95 * 0.1 <= result.conf_high
    assert _within(hits, 200)


def test_it_covers_the_effect_in_the_pool_itself() -> None:
    """One pool, drawn from again and again: without replacement, nothing else is uncertain."""
    rng, hits = np.random.default_rng(7), 0
    exposed = rng.exponential(size=150)
    for _ in range(200):
        drawn = rng.choice(exposed, 75, replace=False)
        sample = _sample(drawn, 0.15, 1000, "crossover", rng)
        sample = replace(sample, pool=Pool(1000, finite=True, inert=True))
        result = enriched.fit(sample, 0.05)
        hits += result.conf_low <= 0.15 * exposed.mean() <= result.conf_high
    assert _within(hits, 200)


def _joined(exposed: Sample, others: Sample) -> Sample:
    rows = len(others)
    both = {
        name: np.concatenate([getattr(exposed, name), getattr(others, name)])
        for name in ("outcome", "treated", "weight", "stratum_share", "covariates")
    }
    return replace(
        exposed,
        **both,
        unit=np.concatenate([exposed.unit, np.char.add("v", others.unit)]),
        exposed=np.concatenate([exposed.exposed, np.zeros(rows, dtype=bool)]),
        pool=Pool(POOL, finite=False, inert=False),
    )


def test_the_share_counts_in_the_interval() -> None:
    """Every exposed prompt has the same effect: what is left is the uncertainty of the share."""
    rng, hits = np.random.default_rng(8), 0
    for _ in range(200):
        found = int(rng.binomial(2000, 0.1))
        moved = 1 + 1e-6 * rng.normal(size=100)
        result = enriched.fit(_sample(moved, found / 2000, 2000, "crossover", rng), 0.05)
        hits += result.conf_low <= 0.1 <= result.conf_high
        low, high = wilson(found, 2000, 0.05)
        assert (result.conf_low, result.conf_high) == pytest.approx((low, high), rel=1e-4)
    assert _within(hits, 200)


if __name__ == "__main__":
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    for plan in ("crossover", "parallel"):
        for effect in EFFECTS:
            for part in (0.01, 0.02, 0.05, 0.1, 0.3):
                sizes = [m for m in (30, 50, 100, 200) if m <= part * POOL]
                said = (f"{m}: {coverage(part, m, effect, count, 1, plan):.3f}" for m in sizes)
                print(f"{plan:9} {effect:11} {part:4.0%}  {'  '.join(said)}", flush=True)  # noqa: T201
