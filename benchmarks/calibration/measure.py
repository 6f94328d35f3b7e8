"""How often an estimator rejects a true null hypothesis, and how often its interval covers."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import asdict, dataclass

import numpy as np

from benchmarks.calibration.cells import Cell
from benchmarks.calibration.product import compare
from benchmarks.calibration.verdicts import Verdict, verdict
from causal_sae.estimation.inference import Estimate
from causal_sae.flags import name as flag_name
from causal_sae.randomness import generator

ALPHA = 0.05
THROUGH_THE_PRODUCT = 6
"""So many samples of each cell also go through ``estimate``, as a table of observations."""
WHERE_IT_FAILS = 60
"""And so many where a rate does not hold, to see how often something warns of it."""


@dataclass(frozen=True)
class Row:
    """What was measured of one cell: a row of the table."""

    part: str
    subject: str
    """The estimator, correction or effect size."""
    structure: str
    world: str
    quantity: str
    default: bool
    """Whether ``auto`` takes this estimator here."""
    repetitions: int
    """Of the null and of the effect, each."""
    type_1: float
    """The share of true null hypotheses that was rejected; NaN where there is none."""
    type_1_verdict: Verdict
    non_coverage: float
    """The share of intervals that leave out the true effect."""
    non_coverage_verdict: Verdict
    power: float
    """The share of false null hypotheses that was rejected."""
    no_inference: float
    """The share of samples without a p-value or without an interval; left out of the rates."""
    flags: str
    """What the product says of such samples, and on which share of them."""
    product_error: float
    """The largest relative difference between the fast path and the product; NaN: not compared."""
    seconds: float
    code: str = ""
    """A fingerprint of the code that was measured."""

    def as_dict(self) -> dict[str, object]:
        """The row by column."""
        return asdict(self)


def measure(cell: Cell, repetitions: int) -> Row:
    """The rates of one cell; the same on every run.

    Parameters
    ----------
    cell:
        An estimator in a world.
    repetitions:
        How many samples are drawn at the null, and as many with an effect.
    """
    started = time.perf_counter()
    null, at_zero = _run(cell, False, repetitions)
    moved, _ = _run(cell, True, repetitions)
    p_null, p_moved = _p_values(null), _p_values(moved)
    outside = np.array([misses(fitted, truth) for fitted, truth in moved])
    type_1 = rate(p_null <= ALPHA, p_null) if at_zero else np.nan
    non_coverage = rate(outside == 1, outside)
    verdicts = (
        verdict(type_1, ALPHA, int(np.sum(~np.isnan(p_null)))),
        verdict(non_coverage, ALPHA, int(np.sum(~np.isnan(outside)))),
    )
    through = WHERE_IT_FAILS if "does not hold" in verdicts else THROUGH_THE_PRODUCT
    seen = compare(cell, ALPHA, min(through, repetitions))
    return Row(
        part="estimator",
        subject=cell.name,
        structure=cell.world.structure,
        world=cell.world.name,
        quantity=cell.quantity,
        default=seen.automatic == cell.name,
        repetitions=repetitions,
        type_1=type_1,
        type_1_verdict=verdicts[0],
        non_coverage=non_coverage,
        non_coverage_verdict=verdicts[1],
        power=rate(p_moved <= ALPHA, p_moved),
        no_inference=float(np.mean(np.isnan([*p_null, *outside]))),
        flags=shares([fitted.flags for fitted, _ in (*null, *moved)], seen.flags),
        product_error=seen.error,
        seconds=time.perf_counter() - started,
    )


def _run(cell: Cell, effect: bool, repetitions: int) -> tuple[list[tuple[Estimate, float]], bool]:
    """Estimates with their truths, and whether that is zero."""
    rng = generator(0, cell.key, "effect" if effect else "null")
    found = []
    for _ in range(repetitions):
        sample, truth = cell.draw(rng, effect)
        found.append((cell.fit(sample, ALPHA), truth[cell.quantity]))
    return found, all(abs(truth) < 1e-12 for _, truth in found)


def _p_values(found: list[tuple[Estimate, float]]) -> np.ndarray:
    return np.array([fitted.p_value for fitted, _ in found])


def misses(estimate: Estimate, truth: float) -> float:
    """1 when the interval leaves out the truth, 0 when it holds it, NaN when there is none."""
    if np.isnan(estimate.conf_low) or np.isnan(estimate.conf_high):
        return np.nan
    return float(not estimate.conf_low <= truth <= estimate.conf_high)


def rate(happened: np.ndarray, among: np.ndarray) -> float:
    """The share of what happened among what is known."""
    known = ~np.isnan(among)
    return float(np.mean(happened[known])) if known.any() else np.nan


def shares(fast: list[tuple[str, ...]], product: list[tuple[str, ...]]) -> str:
    """Which flags were raised, and on which share of the samples: ``few_active 0.95``.

    Parameters
    ----------
    fast:
        Those of every estimate.
    product:
        Those of the few samples that went through the product, which adds flags of its own.
    """
    counted = {**_shares(product), **_shares(fast)}
    return "; ".join(f"{code} {share:.2f}" for code, share in sorted(counted.items()))


def _shares(flags: list[tuple[str, ...]]) -> dict[str, float]:
    counted = Counter(found for cell in flags for found in {flag_name(code) for code in cell})
    return {code: n / len(flags) for code, n in counted.items()}
