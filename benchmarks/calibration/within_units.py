"""Worlds in which every unit goes through both arms."""

from __future__ import annotations

from functools import partial

import numpy as np

from benchmarks.calibration.plain import LOGNORMAL_MEAN
from benchmarks.calibration.world import Generator, Truth, World, fires, noise, within
from causal_sae.estimation.sample import Sample, Vector

Drawn = tuple[Sample, Truth]


def normal(rng: Generator, effect: bool, units: int) -> Drawn:
    """Normal effects that differ from unit to unit."""
    base, size = 3 * rng.normal(size=units), 0.5 * effect
    treatment = base + size + rng.normal(size=units)
    return within(rng, treatment, base), {"mean": size, "location": size}


def skewed_levels(rng: Generator, effect: bool, units: int) -> Drawn:
    """Lognormal levels and errors in both arms: the differences are symmetric."""
    base, size = noise(rng, "lognormal", units), 0.5 * effect
    treatment = base + size + noise(rng, "lognormal", units)
    reference = base + noise(rng, "lognormal", units)
    return within(rng, treatment, reference), {"mean": size, "location": size}


def skewed_effects(rng: Generator, effect: bool, units: int) -> Drawn:
    """Lognormal effects, at the null centred at a mean of zero."""
    gain = noise(rng, "lognormal", units) - LOGNORMAL_MEAN * (not effect)
    base = rng.normal(size=units)
    return within(rng, base + gain, base), {"mean": LOGNORMAL_MEAN * effect}


def heteroscedastic(rng: Generator, effect: bool) -> Drawn:
    """One unit in five varies five times as much as the others."""
    spread, size = np.where(np.arange(50) % 5 == 0, 5.0, 1.0), 0.5 * effect
    base = rng.normal(size=50)
    treatment = base + size + spread * rng.normal(size=50)
    return within(rng, treatment, base), {"mean": size, "location": size}


def zero_inflated(rng: Generator, effect: bool, share: float, null: str) -> Drawn:
    """The edit moves exposed units only, by lognormal amounts.

    At the null their mean effect is zero: normal, or as skewed as elsewhere.
    """
    exposed, base = fires(rng, share, 200), rng.normal(size=200)
    if effect:
        gain = noise(rng, "lognormal", 200)
    else:
        gain = noise(rng, null, 200) - (LOGNORMAL_MEAN if null == "lognormal" else 0.0)
    treatment = np.where(exposed, base + gain, base)
    truth = {"mean": share * LOGNORMAL_MEAN * effect, "exposed": LOGNORMAL_MEAN * effect}
    return within(rng, treatment, base, exposed=exposed), truth


def clustered(rng: Generator, effect: bool, count: int) -> Drawn:
    """Effects that units of one cluster share, with an intracluster correlation of 0.2."""
    cluster, size = np.repeat(np.arange(count), np.resize([2, 4, 6, 8], count)), 0.5 * effect
    n = len(cluster)
    gain = size + np.sqrt(0.2) * rng.normal(size=count)[cluster] + np.sqrt(0.8) * rng.normal(size=n)
    base = 3 * rng.normal(size=n)
    return within(rng, base + gain, base, cluster=cluster), {"mean": size, "location": size}


def periods(rng: Generator, effect: bool, units: int, kind: str) -> Drawn:
    """Both orders equally often; whatever is run second comes out higher by 1."""
    first = np.repeat([True, False], [(units + 1) // 2, units // 2])[rng.permutation(units)]
    base, size = 3 * rng.normal(size=units), 0.5 * effect
    treatment = base + size + noise(rng, kind, units) + ~first
    reference = base + noise(rng, kind, units) + first
    order = np.column_stack([np.where(first, 1, 2), np.where(first, 2, 1)])
    return within(rng, treatment, reference, order=order), {"mean": size, "location": size}


def incomplete(rng: Generator, effect: bool) -> Drawn:
    """Forty units, of which each outcome is missing with a chance of 0.15."""
    sample, truth = normal(rng, effect, 40)
    return sample.take(rng.random(80) > 0.15), truth


def _latent(rng: Generator, units: int) -> tuple[Vector, Vector]:
    """[units] two uniform numbers per unit that agree on half of the units."""
    first, other = rng.random(units), rng.random(units)
    return first, np.where(rng.random(units) < 0.5, first, other)


def binary(rng: Generator, effect: bool, units: int, risk: float, gain: float) -> Drawn:
    """Outcomes of 0 and 1 that are correlated within units."""
    first, second = _latent(rng, units)
    treatment = (first < risk + gain * effect).astype(np.float64)
    return within(rng, treatment, (second < risk).astype(np.float64)), {"mean": gain * effect}


def counts(rng: Generator, effect: bool, units: int) -> Drawn:
    """Counts whose rates differ between units by a gamma distribution."""
    rate = 3 * rng.gamma(2, 0.5, size=units)
    treatment = rng.poisson(rate * (1 + 0.5 * effect)).astype(np.float64)
    return within(rng, treatment, rng.poisson(rate).astype(np.float64)), {"mean": 1.5 * effect}


def _world(name: str, make: object, **settings: object) -> World:
    return World(name, "within-unit", partial(make, **settings))  # type: ignore[operator]


WORLDS = (
    _world("normal, 10 units", normal, units=10),
    _world("normal, 50 units", normal, units=50),
    _world("skewed levels, 10 units", skewed_levels, units=10),
    _world("skewed levels, 50 units", skewed_levels, units=50),
    _world("skewed effects, 10 units", skewed_effects, units=10),
    _world("skewed effects, 50 units", skewed_effects, units=50),
    _world("skewed effects, 200 units", skewed_effects, units=200),
    _world("heteroscedastic, 50 units", heteroscedastic),
    _world("zero-inflated, 5% of 200 exposed", zero_inflated, share=0.05, null="normal"),
    _world("zero-inflated, 10% of 200 exposed", zero_inflated, share=0.1, null="normal"),
    _world("zero-inflated, 30% of 200 exposed", zero_inflated, share=0.3, null="normal"),
    _world(
        "zero-inflated, 10% of 200 exposed, skewed null",
        zero_inflated,
        share=0.1,
        null="lognormal",
    ),
    _world(
        "zero-inflated, 30% of 200 exposed, skewed null",
        zero_inflated,
        share=0.3,
        null="lognormal",
    ),
    _world("periods differ, 10 units", periods, units=10, kind="normal"),
    _world("periods differ, 40 units", periods, units=40, kind="normal"),
    _world("periods differ, skewed, 40 units", periods, units=40, kind="lognormal"),
    _world("outcomes missing, 40 units", incomplete),
    _world("binary, 20 units", binary, units=20, risk=0.3, gain=0.4),
    _world("binary, 80 units", binary, units=80, risk=0.3, gain=0.2),
    _world("binary, rare, 80 units", binary, units=80, risk=0.04, gain=0.1),
    _world("counts, 40 units", counts, units=40),
    _world("clustered, 8 clusters", clustered, count=8),
    _world("clustered, 20 clusters", clustered, count=20),
    _world("clustered, 50 clusters", clustered, count=50),
)
