"""Worlds whose units are dealt into arms one by one, without blocks or clusters."""

from __future__ import annotations

from functools import partial

import numpy as np
from scipy.special import expit

from benchmarks.calibration.world import Generator, Truth, World, between, dealt, fires, noise
from causal_sae.estimation.sample import Sample

LOGNORMAL_MEAN = float(np.exp(0.5))
LOGNORMAL_SD = float(np.sqrt((np.e - 1) * np.e))
Drawn = tuple[Sample, Truth]


def shifted(rng: Generator, effect: bool, kind: str, treated: int, reference: int) -> Drawn:
    """The treatment adds the same to every unit."""
    z, size = dealt(rng, treated, reference), 0.7 * effect
    return between(rng, noise(rng, kind, len(z)) + size * z, z), {"mean": size, "location": size}


def multiplied(rng: Generator, effect: bool, each: int) -> Drawn:
    """The treatment doubles every unit's lognormal outcome: mean, spread and all."""
    z = dealt(rng, each, each)
    y = noise(rng, "lognormal", 2 * each) * (1 + effect * z)
    return between(rng, y, z), {"mean": LOGNORMAL_MEAN * effect}


def skewed_in_one_arm(rng: Generator, effect: bool, each: int) -> Drawn:
    """The treatment makes a normal outcome skewed, and leaves its mean and variance at the null."""
    z, size = dealt(rng, each, each), 0.7 * effect
    skewed = (noise(rng, "lognormal", 2 * each) - LOGNORMAL_MEAN) / LOGNORMAL_SD
    y = np.where(z == 1, skewed + size, rng.normal(size=2 * each))
    return between(rng, y, z), {"mean": size}


def heteroscedastic(rng: Generator, effect: bool) -> Drawn:
    """The smaller arm is three times as noisy."""
    z, size = dealt(rng, 20, 40), 1.5 * effect
    y = size * z + rng.normal(size=60) * (1 + 2 * z)
    return between(rng, y, z), {"mean": size, "location": size}


def zero_inflated(rng: Generator, effect: bool, share: float) -> Drawn:
    """The edit moves exposed units only, by lognormal amounts; at the null by N(0, 1)."""
    z, exposed, clean = dealt(rng, 100, 100), fires(rng, share, 200), rng.normal(size=200)
    gain = noise(rng, "lognormal", 200) if effect else rng.normal(size=200)
    y = clean + gain * exposed * z
    truth = {"mean": LOGNORMAL_MEAN * share * effect, "exposed": LOGNORMAL_MEAN * effect}
    return between(rng, y, z, exposed=exposed, clean=clean), truth


def binary(rng: Generator, effect: bool, each: int, risk: float, gain: float) -> Drawn:
    """Outcomes of 0 and 1."""
    z = dealt(rng, each, each)
    y = (rng.random(2 * each) < risk + gain * effect * z).astype(np.float64)
    return between(rng, y, z), {"mean": gain * effect}


def counts(rng: Generator, effect: bool, each: int, rate: float, shape: float) -> Drawn:
    """Counts whose unit rates are gamma distributed; an infinite shape makes them Poisson's."""
    z = dealt(rng, each, each)
    unit = np.ones(2 * each) if np.isinf(shape) else rng.gamma(shape, 1 / shape, size=2 * each)
    y = rng.poisson(rate * unit * (1 + effect * z)).astype(np.float64)
    return between(rng, y, z), {"mean": rate * effect}


def with_covariate(rng: Generator, effect: bool, kind: str, treated: int, reference: int) -> Drawn:
    """A strong covariate, as skewed as the errors."""
    z, size = dealt(rng, treated, reference), 0.7 * effect
    x = noise(rng, kind, len(z))
    y = 2 * x + size * z + noise(rng, kind, len(z))
    return between(rng, y, z, x), {"mean": size, "location": size}


def heteroscedastic_with_covariate(rng: Generator, effect: bool) -> Drawn:
    """Errors that grow with the covariate, three times as large in the smaller arm."""
    z, size, x = dealt(rng, 20, 40), 1.5 * effect, rng.normal(size=60)
    y = 2 * x + size * z + rng.normal(size=60) * (0.5 + np.abs(x)) * (1 + 2 * z)
    return between(rng, y, z, x), {"mean": size}


def effects_that_vary(rng: Generator, effect: bool, treated: int, reference: int) -> Drawn:
    """The covariate moves the treated outcome twice as steeply; its mean effect is the truth."""
    z, size = dealt(rng, treated, reference), 0.7 * effect
    x = rng.normal(size=len(z))
    y = x + (size + x) * z + rng.normal(size=len(z))
    return between(rng, y, z, x), {"mean": size}


def risk_difference(base: float, slope: float, gain: float) -> float:
    """The mean difference of risks over a standard normal covariate, by Gauss and Hermite."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    both = expit(base + slope * nodes + gain) - expit(base + slope * nodes)
    return float(weights @ both / weights.sum())


def binary_with_covariate(rng: Generator, effect: bool, each: int, base: float) -> Drawn:
    """Risks that are logistic in a covariate and the treatment."""
    z, x = dealt(rng, each, each), rng.normal(size=2 * each)
    y = rng.random(2 * each) < expit(base + x + 1.2 * effect * z)
    return between(rng, y.astype(np.float64), z, x), {
        "mean": risk_difference(base, 1.0, 1.2 * effect)
    }


def counts_with_covariate(rng: Generator, effect: bool, each: int) -> Drawn:
    """Rates that are log-linear in a covariate, with gamma rates of the units on top."""
    z, x = dealt(rng, each, each), rng.normal(size=2 * each)
    rate = np.exp(0.7 + 0.5 * x) * (1 + effect * z) * rng.gamma(2, 0.5, size=2 * each)
    mean = float(np.exp(0.7 + 0.125))
    return between(rng, rng.poisson(rate).astype(np.float64), z, x), {"mean": mean * effect}


def _world(name: str, make: object, covariates: bool = False, **settings: object) -> World:
    return World(name, "plain", partial(make, **settings), covariates)  # type: ignore[operator]


def _listed(name: str, kind: str) -> World:
    """A world whose 12,870 assignments can be listed for every sample."""
    make = partial(shifted, kind=kind, treated=8, reference=8)
    return World(name, "plain", make, of=frozenset({"randomization"}))


WORLDS = (
    _listed("normal, 8 per arm", "normal"),
    _listed("skewed, 8 per arm", "lognormal"),
    _world("normal, 10 per arm", shifted, kind="normal", treated=10, reference=10),
    _world("normal, 50 per arm", shifted, kind="normal", treated=50, reference=50),
    _world("skewed, 10 per arm", shifted, kind="lognormal", treated=10, reference=10),
    _world("skewed, 50 per arm", shifted, kind="lognormal", treated=50, reference=50),
    _world("skewed, 15 and 60", shifted, kind="lognormal", treated=15, reference=60),
    _world("skewed and doubled, 50 per arm", multiplied, each=50),
    _world("skewed in one arm, 20 per arm", skewed_in_one_arm, each=20),
    _world("skewed in one arm, 100 per arm", skewed_in_one_arm, each=100),
    _world("heteroscedastic, 20 and 40", heteroscedastic),
    _world("zero-inflated, 10% exposed, 100 per arm", zero_inflated, share=0.1),
    _world("zero-inflated, 30% exposed, 100 per arm", zero_inflated, share=0.3),
    _world("binary, 10 per arm", binary, each=10, risk=0.3, gain=0.4),
    _world("binary, 50 per arm", binary, each=50, risk=0.3, gain=0.2),
    _world("binary, rare, 50 per arm", binary, each=50, risk=0.04, gain=0.1),
    _world("counts, Poisson, 30 per arm", counts, each=30, rate=3.0, shape=np.inf),
    _world("counts, overdispersed, 30 per arm", counts, each=30, rate=3.0, shape=1.0),
    _world("counts, rare, 30 per arm", counts, each=30, rate=0.2, shape=np.inf),
    _world(
        "covariate, normal, 10 per arm",
        with_covariate,
        True,
        kind="normal",
        treated=10,
        reference=10,
    ),
    _world(
        "covariate, normal, 40 per arm",
        with_covariate,
        True,
        kind="normal",
        treated=40,
        reference=40,
    ),
    _world(
        "covariate, skewed, 40 per arm",
        with_covariate,
        True,
        kind="lognormal",
        treated=40,
        reference=40,
    ),
    _world("covariate, heteroscedastic, 20 and 40", heteroscedastic_with_covariate, True),
    _world(
        "covariate, effects vary, 40 per arm", effects_that_vary, True, treated=40, reference=40
    ),
    _world("covariate, effects vary, 20 and 60", effects_that_vary, True, treated=20, reference=60),
    _world("covariate, binary, 50 per arm", binary_with_covariate, True, each=50, base=-0.8),
    _world("covariate, binary, rare, 50 per arm", binary_with_covariate, True, each=50, base=-3.0),
    _world("covariate, counts, overdispersed, 40 per arm", counts_with_covariate, True, each=40),
)
