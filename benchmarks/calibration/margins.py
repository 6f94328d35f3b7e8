"""Guardrails: how often harm exactly as large as the margin is declared excluded."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import numpy as np

from benchmarks.calibration.cells import WORLDS, Cell, fallback, quantity
from benchmarks.calibration.measure import ALPHA, Row, rate, shares
from benchmarks.calibration.product import trial
from benchmarks.calibration.verdicts import verdict
from causal_sae.estimation.estimators import ESTIMATORS
from causal_sae.estimation.guardrails import against_margin, beyond_of, interval_alpha
from causal_sae.estimation.skewness import skewness_flags
from causal_sae.randomness import generator

CASES: tuple[tuple[str, str], ...] = (
    ("hall", "plain: normal, 50 per arm"),
    ("hall", "plain: skewed, 15 and 60"),
    ("hall", "plain: heteroscedastic, 20 and 40"),
    ("hall", "plain: covariate, normal, 40 per arm"),
    ("hall", "blocked: normal, equal shares"),
    ("hall", "blocked: 30 matched pairs, skewed effects"),
    ("hall", "within-unit: normal, 50 units"),
    ("hall", "within-unit: skewed effects, 10 units"),
    ("hall", "within-unit: skewed effects, 50 units"),
    ("welch", "plain: normal, 50 per arm"),
    ("welch", "plain: skewed, 15 and 60"),
    ("paired", "within-unit: skewed effects, 50 units"),
    ("cluster", "clustered: normal, 20 clusters"),
    ("paired", "within-unit: clustered, 20 clusters"),
    ("sparse", "within-unit: zero-inflated, 30% of 200 exposed"),
    ("randomization", "within-unit: normal, 50 units"),
)


@dataclass(frozen=True)
class MarginCell:
    """A guardrail's test in a world whose true effect is the margin."""

    cell: Cell
    harm: str
    """``increase``, or ``decrease`` with all outcomes negated."""

    @property
    def key(self) -> str:
        """A name that no other cell has."""
        return f"margin, harm is {self.harm} | {self.cell.key}"


def margin_cells() -> list[MarginCell]:
    """The defaults of every design, randomisation inference, and what failed before."""
    worlds = {world.key: world for world in WORLDS}
    cells = [
        Cell(name, worlds[key], ESTIMATORS[name].for_margins, quantity(name, ESTIMATORS[name]))
        for name, key in CASES
    ]
    return [MarginCell(cell, harm) for cell in cells for harm in ("increase", "decrease")]


def measure_margin(cell: MarginCell, repetitions: int) -> Row:
    """The size of the test at the margin."""
    started = time.perf_counter()
    rng = generator(0, cell.key)
    tests = [_test(cell, rng) for _ in range(repetitions)]
    p_values = np.array([p_value for p_value, _ in tests])
    measured = rate(p_values <= ALPHA, p_values)
    known = int(np.sum(~np.isnan(p_values)))
    return Row(
        part="guardrail",
        subject=cell.cell.name,
        structure=cell.cell.world.structure,
        world=f"{cell.cell.world.name}; harm is {cell.harm}",
        quantity=cell.cell.quantity,
        default=cell.cell.name == fallback(cell.cell.world) or cell.cell.name == "sparse",
        repetitions=repetitions,
        type_1=measured,
        type_1_verdict=verdict(measured, ALPHA, known),
        non_coverage=np.nan,
        non_coverage_verdict="",
        power=np.nan,
        no_inference=1 - known / repetitions,
        flags=shares([flags for _, flags in tests], []),
        product_error=np.nan,
        seconds=time.perf_counter() - started,
    )


def _test(cell: MarginCell, rng: np.random.Generator) -> tuple[float, tuple[str, ...]]:
    """The p-value, and what warns of it."""
    sample, truth = cell.cell.draw(rng, effect=True)
    if cell.harm == "decrease":
        sample = replace(sample, outcome=-sample.outcome)
    declared = trial(cell.cell.world, sample, ALPHA, cell.cell.registered).outcomes[0]
    outcome = declared.model_copy(
        update={"role": "guardrail", "margin": truth[cell.cell.quantity], "harm": cell.harm}
    )
    alpha = interval_alpha(outcome, ALPHA)
    fitted = cell.cell.fit(sample, alpha)
    beyond = beyond_of(cell.cell.estimator, sample, fitted, alpha)
    shape = skewness_flags(sample) if cell.cell.estimator.students else ()
    return against_margin(fitted, outcome, beyond).p_value, (*fitted.flags, *shape)
