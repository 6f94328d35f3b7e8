"""Families of tests: how often a correction lets any, or which share of, true hypotheses fall."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
import pandas as pd
from scipy import stats

from benchmarks.calibration.measure import ALPHA, Row, rate
from benchmarks.calibration.verdicts import verdict
from benchmarks.calibration.world import labels
from causal_sae.estimation.contrasts import Contrast
from causal_sae.estimation.effects import effect_row
from causal_sae.estimation.multiplicity import CORRECTIONS
from causal_sae.estimation.multiplicity.family import Family
from causal_sae.randomness import generator
from causal_sae.spec import Multiplicity, Trial

DISCOVERIES = frozenset({"bh", "by", "tsbh"})
"""They bound the expected share of false rejections; the others the chance of any."""
RHO = 0.5
"""The correlation of every two tests' statistics."""
SIZES, SPREADS = np.array([25, 15, 20, 30]), np.array([1.0, 2.0, 1.0, 0.5])
"""Units and standard deviations of the reference and three treatments."""


@dataclass(frozen=True)
class FamilyCell:
    """A correction on families of which it is known which hypotheses are true."""

    method: str
    world: str
    effects: tuple[float, ...]
    """[tests] in standard errors for p-values, in the outcome's units for arms."""

    @property
    def key(self) -> str:
        """A name that no other cell has."""
        return f"correction {self.method} | {self.world}"


def family_cells() -> list[FamilyCell]:
    """Every correction on a complete and on a partial null hypothesis."""
    found = []
    for method, correction in CORRECTIONS.items():
        if method == "none":
            continue
        if correction.needs_units:
            worlds = {"three arms, all null": (0.0,) * 3, "three arms, one effect": (0.0, 2.0, 0.0)}
        elif method in DISCOVERIES:
            mixed = (3.5,) * 20 + (0.0,) * 180
            worlds = {"200 tests, all null": (0.0,) * 200, "200 tests, 20 effects": mixed}
        else:
            worlds = {"5 tests, all null": (0.0,) * 5, "5 tests, two effects": (3, 3, 0.0, 0, 0)}
        found += [FamilyCell(method, world, effects) for world, effects in worlds.items()]
    return found


def measure_family(cell: FamilyCell, repetitions: int) -> Row:
    """The error rate of one correction."""
    started = time.perf_counter()
    rng = generator(0, cell.key)
    once = _of_arms if CORRECTIONS[cell.method].needs_units else _of_p_values
    errors, outside, found = [], [], []
    true = np.array(cell.effects) == 0
    for _ in range(repetitions):
        rejected, missed = once(cell, rng)
        false = rejected & true
        share = false.sum() / max(rejected.sum(), 1)
        errors.append(share if cell.method in DISCOVERIES else float(false.any()))
        outside.append(missed)
        found.append(rejected[~true].mean() if (~true).any() else np.nan)
    measured, missed_share = float(np.mean(errors)), rate(np.array(outside), np.array(outside))
    if not np.isnan(outside).all():
        missed_share = float(np.nanmean(outside))
    return Row(
        part="correction",
        subject=cell.method,
        structure="family",
        world=cell.world,
        quantity="FDR" if cell.method in DISCOVERIES else "FWER",
        default=cell.method == Multiplicity().method,
        repetitions=repetitions,
        type_1=measured,
        type_1_verdict=verdict(measured, ALPHA, repetitions),
        non_coverage=missed_share,
        non_coverage_verdict=verdict(missed_share, ALPHA, int(np.sum(~np.isnan(outside)))),
        power=float(np.mean(found)),
        no_inference=0.0,
        flags="",
        product_error=np.nan,
        seconds=time.perf_counter() - started,
    )


Once = Callable[[FamilyCell, np.random.Generator], tuple[np.ndarray, float]]


def _of_p_values(cell: FamilyCell, rng: np.random.Generator) -> tuple[np.ndarray, float]:
    """[tests] what is rejected, of two-sided tests whose statistics are correlated."""
    effects = np.array(cell.effects)
    shared, own = rng.normal(), rng.normal(size=len(effects))
    p_values = 2 * stats.norm.sf(np.abs(effects + np.sqrt(RHO) * shared + np.sqrt(1 - RHO) * own))
    rows = pd.DataFrame({"p_value": p_values, "flags": ""})
    rows["outcome"], rows["role"] = "y", "primary"
    family = Family(rows, Multiplicity.model_validate({"method": cell.method}), ALPHA)
    return CORRECTIONS[cell.method].adjust(family).p_values <= ALPHA, np.nan


def _of_arms(cell: FamilyCell, rng: np.random.Generator) -> tuple[np.ndarray, float]:
    """[tests] what is rejected, and whether simultaneous intervals leave out any true effect."""
    trial, effects = arms_trial(cell.method), np.array(cell.effects)
    arm = np.repeat(np.arange(4), SIZES)
    y = np.append(0.0, effects)[arm] + SPREADS[arm] * rng.normal(size=SIZES.sum())
    names = np.array([one.name for one in trial.arms])
    values = pd.DataFrame(
        {"unit_id": labels(len(y)), "outcome": "y", "arm": names[arm], "value": y, "lost": 0}
    )
    rows = pd.DataFrame(
        [effect_row(trial, values, Contrast(trial.outcomes[0], *pair)) for pair in trial.contrasts]
    )
    family = Family(rows, trial.analysis.multiplicity, ALPHA, trial, values)
    adjusted = CORRECTIONS[cell.method].adjust(family)
    if adjusted.intervals is None:
        return adjusted.p_values <= ALPHA, np.nan
    low, high = adjusted.intervals
    return adjusted.p_values <= ALPHA, float(np.any((effects < low) | (effects > high)))


@cache
def arms_trial(method: str) -> Trial:
    """Three treatments against one reference."""
    treatments = [
        {"name": f"t{i}", "intervention": {"kind": "scale", "features": [i], "factor": 2.0}}
        for i in range(3)
    ]
    control = {"name": "control", "intervention": {"kind": "none"}}
    return Trial.model_validate(
        {
            "schema": 1,
            "name": "calibration",
            "question": "Is the error rate of the family the one that is promised?",
            "arms": [control, *treatments],
            "outcomes": [{"name": "y", "role": "primary", "metric": "entropy"}],
            "analysis": {"multiplicity": {"method": method}},
        }
    )
