"""Worlds of units drawn from a pool by exposure, and of references made of placebo draws."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np

from benchmarks.calibration.plain import LOGNORMAL_MEAN
from benchmarks.calibration.world import Generator, Truth, World, between, dealt, noise, within
from causal_sae.estimation.sample import Pool, Sample

Drawn = tuple[Sample, Truth]
POOL = 2000
SCANNED = Pool(POOL, finite=False, inert=True)
ENRICHED = frozenset({"enriched"})
PLACEBO = frozenset({"placebo_draws"})


def _strata(rng: Generator, share: float, exposed: int, others: int) -> dict[str, np.ndarray]:
    """By unit: exposure, weight and share of the stratum, of units drawn from a pool."""
    have = rng.binomial(POOL, share)
    fires = np.arange(exposed + others) < exposed
    taken = np.where(fires, exposed / have, others / (POOL - have) if others else 1.0)
    rate = np.where(fires, have / POOL, 1 - have / POOL)
    return {"exposed": fires, "weight": 1 / taken, "stratum_share": rate}


def enriched_pairs(rng: Generator, effect: bool, share: float, others: int) -> Drawn:
    """Sixty exposed units of a pool of 2,000, moved by lognormal amounts; at the null N(0, 1)."""
    columns = _strata(rng, share, 60, others)
    n, fires = 60 + others, columns["exposed"]
    base = rng.normal(size=n)
    gain = noise(rng, "lognormal", n) if effect else rng.normal(size=n)
    sample = within(rng, np.where(fires, base + gain, base), base, **columns)
    return replace(sample, pool=SCANNED), {"mean": share * LOGNORMAL_MEAN * effect}


def enriched_arms(rng: Generator, effect: bool, share: float, others: int) -> Drawn:
    """The same with a unit per arm: eighty exposed units, half of them treated."""
    columns = _strata(rng, share, 80, others)
    n, z = 80 + others, np.concatenate([dealt(rng, 40, 40), dealt(rng, others // 2, others // 2)])
    clean = rng.normal(size=n)
    gain = noise(rng, "lognormal", n) if effect else rng.normal(size=n)
    sample = between(rng, clean + gain * columns["exposed"] * z, z, clean=clean, **columns)
    return replace(sample, pool=SCANNED), {"mean": share * LOGNORMAL_MEAN * effect}


def placebo_pairs(rng: Generator, effect: bool, draws: int, kind: str) -> Drawn:
    """Fifty units under a feature and under draws of placebos, whose effects differ."""
    n, size = 50, 2.0 * effect
    base = 3 * rng.normal(size=n)
    own, of_draws = noise(rng, kind, draws + 1)[-1], noise(rng, kind, draws)
    feature = base + own + size + 0.5 * rng.normal(size=n)
    placebos = base[:, None] + of_draws + 0.5 * rng.normal(size=(n, draws))
    by_row = np.full((n, 2, draws), np.nan)
    by_row[:, 0, 0], by_row[:, 1, :] = feature, placebos
    sample = within(rng, feature, placebos.mean(axis=1))
    return replace(sample, draws=by_row.reshape(2 * n, draws)), {"beyond placebos": size}


def placebo_arms(rng: Generator, effect: bool, draws: int) -> Drawn:
    """Units under one draw each: 40 under the feature, 10 under every placebo."""
    size, z = 2.0 * effect, np.repeat([1.0, 0.0], [40, 10 * draws])
    draw = np.concatenate([np.zeros(40, dtype=np.int64), np.repeat(np.arange(draws), 10)])
    own, of_draws = rng.normal(), rng.normal(size=draws)
    y = np.where(z == 1, own + size, of_draws[draw]) + 0.5 * rng.normal(size=len(z))
    by_row = np.full((len(z), draws), np.nan)
    by_row[np.arange(len(z)), draw] = y
    return replace(between(rng, y, z), draws=by_row), {"beyond placebos": size}


WORLDS = (
    World(
        "pool, 5% exposed, 60 drawn",
        "within-unit",
        partial(enriched_pairs, share=0.05, others=0),
        of=ENRICHED,
    ),
    World(
        "pool, 20% exposed, 60 and 40 drawn",
        "within-unit",
        partial(enriched_pairs, share=0.2, others=40),
        of=ENRICHED,
    ),
    World(
        "pool, 10% exposed, 80 drawn",
        "plain",
        partial(enriched_arms, share=0.1, others=0),
        of=ENRICHED,
    ),
    World(
        "pool, 10% exposed, 80 and 40 drawn",
        "plain",
        partial(enriched_arms, share=0.1, others=40),
        of=ENRICHED,
    ),
    World(
        "19 placebos, normal",
        "within-unit",
        partial(placebo_pairs, draws=19, kind="normal"),
        of=PLACEBO,
    ),
    World(
        "39 placebos, normal",
        "within-unit",
        partial(placebo_pairs, draws=39, kind="normal"),
        of=PLACEBO,
    ),
    World(
        "39 placebos, skewed",
        "within-unit",
        partial(placebo_pairs, draws=39, kind="lognormal"),
        of=PLACEBO,
    ),
    World("39 placebos, 10 units each", "plain", partial(placebo_arms, draws=39), of=PLACEBO),
)
