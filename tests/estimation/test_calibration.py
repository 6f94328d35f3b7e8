"""Do the estimators reject and cover as often as they say, on data that fit their design?

The tests use 400 repetitions; ``python tests/estimation/test_calibration.py 20000`` runs the
long version and prints the rates.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

import numpy as np
import pytest

from causal_sae.estimation.estimators import ESTIMATORS
from causal_sae.estimation.sample import Sample

ALPHA = 0.05
REPETITIONS = 400
Generator = np.random.Generator
Scenario = Callable[[Generator, float], tuple[Sample, float]]
"""A generator and a size of effect in, a sample and the true effect out."""


def _sample(y: np.ndarray, z: np.ndarray, x: np.ndarray | None = None, **design: object) -> Sample:
    covariates = np.empty((len(y), 0)) if x is None else x[:, None]
    names = () if x is None else ("x",)
    units = design.pop("unit", np.arange(len(y)).astype(str))
    return Sample(units, y, z.astype(bool), covariates, names, **design)  # type: ignore[arg-type]


def _complete(rng: Generator, n: int, treated: int) -> np.ndarray:
    return rng.permutation(np.repeat([1.0, 0.0], [treated, n - treated]))


def heteroscedastic(rng: Generator, effect: float) -> tuple[Sample, float]:
    """The smaller arm is three times as noisy."""
    z = _complete(rng, 60, 20)
    return _sample(effect * z + rng.normal(size=60) * (1 + 2 * z), z), effect


def varying_with_covariate(rng: Generator, effect: float) -> tuple[Sample, float]:
    """A strong covariate, errors that grow with it, and equal arms."""
    z, x = _complete(rng, 80, 40), rng.normal(size=80)
    return _sample(2 * x + effect * z + rng.normal(size=80) * (0.5 + np.abs(x)), z, x), effect


def blocked(rng: Generator, effect: float) -> tuple[Sample, float]:
    """Blocks that differ in level, size, share and effect; the truth is weighted by size."""
    sizes, treated = np.array([10, 16, 20, 34]), np.array([4, 6, 10, 20])
    block = np.repeat(np.arange(4), sizes)
    z = np.concatenate([_complete(rng, n, k) for n, k in zip(sizes, treated, strict=True)])
    by_block = effect * np.array([0.0, 1.0, 2.0, 3.0])
    y = 3.0 * block + by_block[block] * z + rng.normal(size=80) * (1 + z)
    return _sample(y, z, block=block), float(by_block @ sizes / 80)


def clustered(rng: Generator, effect: float) -> tuple[Sample, float]:
    """24 clusters of unequal size, assigned whole, ICC one half."""
    cluster = np.repeat(np.arange(24), np.tile([2, 4, 5, 7], 6))
    z = _complete(rng, 24, 12)[cluster]
    y = effect * z + rng.normal(size=24)[cluster] + rng.normal(size=len(cluster))
    return _sample(y, z, cluster=cluster), effect


def clustered_with_covariate(rng: Generator, effect: float) -> tuple[Sample, float]:
    """The same with a covariate that varies between and within clusters."""
    sample, _ = clustered(rng, effect)
    assert sample.cluster is not None
    x = rng.normal(size=24)[sample.cluster] + rng.normal(size=len(sample))
    y, z = sample.outcome + x, sample.treated.astype(float)
    return _sample(y, z, x, cluster=sample.cluster), effect


def blocks_of_clusters(rng: Generator, effect: float) -> tuple[Sample, float]:
    """Four blocks of six clusters, three of them treated."""
    cluster = np.repeat(np.arange(24), 4)
    z = np.concatenate([_complete(rng, 6, 3) for _ in range(4)])[cluster]
    block = cluster // 6
    y = 2.0 * block + effect * z + rng.normal(size=24)[cluster] + rng.normal(size=96)
    return _sample(y, z, block=block, cluster=cluster), effect


def _pairs(base: np.ndarray, gain: np.ndarray, cluster: np.ndarray | None = None) -> Sample:
    y = np.column_stack([base + gain, base]).ravel()
    units = np.repeat(np.arange(len(base)), 2)
    codes = None if cluster is None else np.repeat(cluster, 2)
    return _sample(y, np.tile([1.0, 0.0], len(base)), unit=units.astype(str), cluster=codes)


def paired(rng: Generator, effect: float) -> tuple[Sample, float]:
    """Effects that differ from unit to unit."""
    return _pairs(5 * rng.normal(size=40), effect + rng.normal(size=40)), effect


def paired_in_clusters(rng: Generator, effect: float) -> tuple[Sample, float]:
    """Effects that templates share."""
    cluster = np.repeat(np.arange(18), np.tile([2, 3, 7], 6))
    gain = effect + rng.normal(size=18)[cluster] + rng.normal(size=len(cluster))
    return _pairs(rng.normal(size=len(cluster)), gain, cluster), effect


SCENARIOS: dict[str, tuple[str, Scenario]] = {
    "welch": ("welch", heteroscedastic),
    "ancova": ("ancova", varying_with_covariate),
    "lin": ("lin", varying_with_covariate),
    "block": ("block", blocked),
    "cluster": ("cluster", clustered),
    "cluster with covariate": ("cluster", clustered_with_covariate),
    "blocks of clusters": ("cluster", blocks_of_clusters),
    "paired": ("paired", paired),
    "paired in clusters": ("paired", paired_in_clusters),
}


def rates(name: str, repetitions: int, seed: int) -> tuple[float, float]:
    """How often a true null is rejected, and how often the interval covers an effect."""
    estimator, scenario = SCENARIOS[name]
    rng = np.random.default_rng(seed)
    rejected = covered = 0
    for effect in (0.0, 0.7):
        for _ in range(repetitions):
            sample, truth = scenario(rng, effect)
            result = ESTIMATORS[estimator].fit(sample, ALPHA)
            if effect == 0:
                rejected += result.p_value <= ALPHA
            else:
                covered += result.conf_low <= truth <= result.conf_high
    return rejected / repetitions, covered / repetitions


def tolerance(repetitions: int) -> float:
    """3.29 standard errors of a rate: one false alarm in a thousand."""
    return 3.29 * float(np.sqrt(ALPHA * (1 - ALPHA) / repetitions))


@pytest.mark.parametrize("name", SCENARIOS)
def test_error_rate_and_coverage_are_nominal(name: str) -> None:
    rejection, coverage = rates(name, REPETITIONS, seed=20241)
    assert abs(rejection - ALPHA) <= tolerance(REPETITIONS)
    assert abs(coverage - (1 - ALPHA)) <= tolerance(REPETITIONS)


def test_ignoring_clusters_would_fail() -> None:
    """The check has teeth: the same data without their clusters reject far too often."""
    rng = np.random.default_rng(3)
    fit = ESTIMATORS["welch"].fit
    rejected = [fit(clustered(rng, 0.0)[0], ALPHA).p_value <= ALPHA for _ in range(300)]
    assert np.mean(rejected) > 0.2


if __name__ == "__main__":
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    print(f"{'scenario':24} {'rejects':>8} {'covers':>8}   tolerance {tolerance(count):.4f}")  # noqa: T201
    for case in SCENARIOS:
        print("{:24} {:8.4f} {:8.4f}".format(case, *rates(case, count, seed=1)))  # noqa: T201
