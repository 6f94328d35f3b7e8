"""Worlds with blocks, clusters, or both."""

from __future__ import annotations

from functools import partial

import numpy as np

from benchmarks.calibration.plain import LOGNORMAL_MEAN, LOGNORMAL_SD
from benchmarks.calibration.world import (
    Generator,
    Truth,
    World,
    between,
    dealt,
    dealt_in_blocks,
    fires,
    noise,
)
from causal_sae.estimation.sample import Codes, Sample, Vector

Drawn = tuple[Sample, Truth]
EQUAL = (np.array([10, 16, 20, 34]), np.array([5, 8, 10, 17]))
UNEQUAL = (np.array([10, 16, 20, 34]), np.array([4, 6, 10, 20]))
SMALL = (np.repeat([3], 15), np.repeat([1], 15))
SMALL_UNEQUAL = (np.tile([3, 4, 4], 6), np.tile([1, 1, 2], 6))
"""Sizes of blocks, and how many units of each are treated."""
ICC = 0.2


def blocked(
    rng: Generator,
    effect: bool,
    dealing: tuple[Codes, Codes],
    kind: str = "normal",
    varying: bool = False,
    spread: float = 0.0,
    covariate: bool = False,
) -> Drawn:
    """Blocks that differ in level; with ``varying``, in effect as well."""
    sizes, treated = dealing
    block = np.repeat(np.arange(len(sizes)), sizes)
    z = dealt_in_blocks(rng, sizes, treated)
    tilt = np.linspace(-1, 1, len(sizes)) if varying else np.zeros(len(sizes))
    by_size = sizes / sizes.sum()
    share = treated / sizes
    by_precision = sizes * share * (1 - share) / np.sum(sizes * share * (1 - share))
    gain = 0.8 * effect + tilt - by_size @ tilt
    x = rng.normal(size=len(z)) if covariate else None
    y = 2.0 * block + gain[block] * z + noise(rng, kind, len(z)) * (1 + spread * z)
    y = y if x is None else y + 2 * x
    truth = {"mean": float(by_size @ gain), "precision": float(by_precision @ gain)}
    return between(rng, y, z, x, block=block), truth


def matched(rng: Generator, effect: bool, pairs: int, kind: str) -> Drawn:
    """Blocks of two units, one in each arm; effects differ between pairs."""
    z = dealt_in_blocks(rng, np.repeat([2], pairs), np.repeat([1], pairs))
    block = np.repeat(np.arange(pairs), 2)
    own = noise(rng, kind, pairs) - (LOGNORMAL_MEAN if kind == "lognormal" else 0.0)
    gain = 0.8 * effect + own
    y = 2 * rng.normal(size=pairs)[block] + gain[block] * z + 0.5 * rng.normal(size=2 * pairs)
    return between(rng, y, z, block=block), {"mean": 0.8 * effect, "precision": 0.8 * effect}


def blocked_and_zero_inflated(rng: Generator, effect: bool) -> Drawn:
    """Exposed units are moved by lognormal amounts, at the null by N(0, 1)."""
    sizes, treated = np.array([40, 60, 100]), np.array([20, 30, 50])
    block, z = np.repeat(np.arange(3), sizes), dealt_in_blocks(rng, sizes, treated)
    exposed, clean = fires(rng, 0.3, 200), block + rng.normal(size=200)
    gain = noise(rng, "lognormal", 200) if effect else rng.normal(size=200)
    truth = {"mean": 0.3 * LOGNORMAL_MEAN * effect, "exposed": LOGNORMAL_MEAN * effect}
    y = clean + gain * exposed * z
    return between(rng, y, z, block=block, exposed=exposed, clean=clean), truth


def blocked_binary(rng: Generator, effect: bool) -> Drawn:
    """Outcomes of 0 and 1 whose risk differs between blocks."""
    sizes, treated = EQUAL
    block, z = np.repeat(np.arange(4), sizes), dealt_in_blocks(rng, sizes, treated)
    risk = np.array([0.1, 0.2, 0.4, 0.5])[block] + 0.25 * effect * z
    y = (rng.random(80) < risk).astype(np.float64)
    return between(rng, y, z, block=block), {"mean": 0.25 * effect, "precision": 0.25 * effect}


def _clusters(count: int) -> Codes:
    """[n] clusters of 2, 4, 6 and 8 units in turn."""
    return np.repeat(np.arange(count), np.resize([2, 4, 6, 8], count))


def _errors(rng: Generator, cluster: Codes, kind: str, scale: Vector) -> Vector:
    """[n] errors of variance 1, ICC of it the clusters' (times ``scale``, [clusters])."""
    shared = noise(rng, kind, int(cluster.max()) + 1)
    if kind == "lognormal":
        shared = (shared - LOGNORMAL_MEAN) / LOGNORMAL_SD
    own = rng.normal(size=len(cluster))
    return np.sqrt(ICC) * (shared * scale)[cluster] + np.sqrt(1 - ICC) * own


def clustered(
    rng: Generator,
    effect: bool,
    count: int,
    treated: int | None = None,
    kind: str = "normal",
    spread: float = 0.0,
    covariate: bool = False,
) -> Drawn:
    """Clusters of 2 to 8 units, assigned whole, with an intracluster correlation of 0.2."""
    cluster, size = _clusters(count), 0.8 * effect
    in_treatment = count // 2 if treated is None else treated
    z = dealt(rng, in_treatment, count - in_treatment)[cluster]
    x = rng.normal(size=count)[cluster] + rng.normal(size=len(cluster)) if covariate else None
    of_cluster = 1 + spread * z[np.unique(cluster, return_index=True)[1]]
    y = size * z + _errors(rng, cluster, kind, of_cluster)
    truth = {"mean": size} if spread or kind != "normal" else {"mean": size, "location": size}
    return between(rng, y + (0.0 if x is None else x), z, x, cluster=cluster), truth


def clustered_binary(rng: Generator, effect: bool) -> Drawn:
    """Outcomes of 0 and 1 with clusters' risks drawn from a beta distribution of ICC 0.2."""
    cluster = _clusters(20)
    arm = dealt(rng, 10, 10)
    risk = 0.3 + 0.25 * effect * arm
    of_cluster = rng.beta(4 * risk, 4 * (1 - risk))
    y = (rng.random(len(cluster)) < of_cluster[cluster]).astype(np.float64)
    return between(rng, y, arm[cluster], cluster=cluster), {"mean": 0.25 * effect}


def clustered_and_zero_inflated(rng: Generator, effect: bool) -> Drawn:
    """Exposed units of 24 clusters are moved by lognormal amounts, at the null by N(0, 1)."""
    cluster = _clusters(24)
    z, n = dealt(rng, 12, 12)[cluster], len(cluster)
    exposed, clean = fires(rng, 0.3, n), _errors(rng, cluster, "normal", np.ones(24))
    gain = noise(rng, "lognormal", n) if effect else rng.normal(size=n)
    truth = {"mean": 0.3 * LOGNORMAL_MEAN * effect, "exposed": LOGNORMAL_MEAN * effect}
    y = clean + gain * exposed * z
    return between(rng, y, z, cluster=cluster, exposed=exposed, clean=clean), truth


def blocks_of_clusters(
    rng: Generator, effect: bool, clusters: Codes, treated: Codes, varying: bool
) -> Drawn:
    """Blocks of clusters of four units; with ``varying``, blocks differ in effect."""
    block = np.repeat(np.arange(len(clusters)), clusters)
    arm = dealt_in_blocks(rng, clusters, treated)
    cluster = np.repeat(np.arange(len(block)), 4)
    z = arm[cluster]
    tilt = np.linspace(-1, 1, len(clusters)) if varying else np.zeros(len(clusters))
    gain = 0.8 * effect + tilt - clusters @ tilt / clusters.sum()
    of_row = block[cluster]
    y = 2.0 * of_row + gain[of_row] * z + _errors(rng, cluster, "normal", np.ones(len(arm)))
    return between(rng, y, z, block=of_row, cluster=cluster), {"mean": 0.8 * effect}


BLOCKED = (
    World("normal, equal shares", "blocked", partial(blocked, dealing=EQUAL)),
    World(
        "heteroscedastic, effects vary, unequal shares",
        "blocked",
        partial(blocked, dealing=UNEQUAL, varying=True, spread=2.0),
    ),
    World("skewed, unequal shares", "blocked", partial(blocked, dealing=UNEQUAL, kind="lognormal")),
    World("normal, 15 blocks of three", "blocked", partial(blocked, dealing=SMALL)),
    World(
        "heteroscedastic, 15 blocks of three",
        "blocked",
        partial(blocked, dealing=SMALL, spread=2.0),
    ),
    World(
        "effects vary, 18 small blocks of unequal shares",
        "blocked",
        partial(blocked, dealing=SMALL_UNEQUAL, varying=True),
    ),
    World("10 matched pairs, normal", "blocked", partial(matched, pairs=10, kind="normal")),
    World(
        "30 matched pairs, skewed effects", "blocked", partial(matched, pairs=30, kind="lognormal")
    ),
    World("binary, equal shares", "blocked", blocked_binary),
    World("zero-inflated, 30% exposed", "blocked", blocked_and_zero_inflated),
    World(
        "covariate, equal shares", "blocked", partial(blocked, dealing=EQUAL, covariate=True), True
    ),
    World(
        "covariate, heteroscedastic, effects vary, unequal shares",
        "blocked",
        partial(blocked, dealing=UNEQUAL, varying=True, spread=2.0, covariate=True),
        True,
    ),
)

CLUSTERED = (
    World("normal, 8 clusters", "clustered", partial(clustered, count=8)),
    World("normal, 20 clusters", "clustered", partial(clustered, count=20)),
    World("normal, 24 clusters, 6 treated", "clustered", partial(clustered, count=24, treated=6)),
    World("normal, 50 clusters", "clustered", partial(clustered, count=50)),
    World("skewed, 8 clusters", "clustered", partial(clustered, count=8, kind="lognormal")),
    World("skewed, 24 clusters", "clustered", partial(clustered, count=24, kind="lognormal")),
    World("heteroscedastic, 24 clusters", "clustered", partial(clustered, count=24, spread=2.0)),
    World("binary, 20 clusters", "clustered", clustered_binary),
    World("zero-inflated, 30% exposed, 24 clusters", "clustered", clustered_and_zero_inflated),
    World("covariate, 8 clusters", "clustered", partial(clustered, count=8, covariate=True), True),
    World(
        "covariate, 20 clusters", "clustered", partial(clustered, count=20, covariate=True), True
    ),
    World(
        "4 blocks of 6 clusters",
        "blocked and clustered",
        partial(
            blocks_of_clusters,
            clusters=np.array([6, 6, 6, 6]),
            treated=np.array([3, 3, 3, 3]),
            varying=False,
        ),
    ),
    World(
        "4 blocks, effects vary, unequal shares",
        "blocked and clustered",
        partial(
            blocks_of_clusters,
            clusters=np.array([6, 6, 8, 10]),
            treated=np.array([2, 3, 4, 7]),
            varying=True,
        ),
    ),
)
