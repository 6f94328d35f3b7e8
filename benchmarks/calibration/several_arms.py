"""Analyses of several arms: joint tests of factorial effects, trends over doses, and ED50."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial

import numpy as np
import pandas as pd

from benchmarks.calibration.measure import ALPHA, Row, rate, shares
from benchmarks.calibration.plain import LOGNORMAL_MEAN
from benchmarks.calibration.verdicts import verdict
from benchmarks.calibration.world import labels
from causal_sae.estimation.dose_response import dose_response
from causal_sae.estimation.factorial import factorial
from causal_sae.flags import split
from causal_sae.randomness import generator
from causal_sae.spec import Trial
from causal_sae.spec.combinations import TIMES

Generator = np.random.Generator
DOSES = (0.0, 1.0, 2.0, 4.0, 8.0)
SIZES, SPREADS = np.array([20, 8, 12, 16, 10, 14]), np.array([1.0, 3.0, 1.0, 2.0, 2.5, 0.5])
"""Units and standard deviations of the cells of a 2 by 3 design."""
ED50 = 2.0
CELLS = tuple((a, b) for a in range(2) for b in range(3))


@dataclass(frozen=True)
class SeveralCell:
    """One row of a table about several arms, in one world."""

    subject: str
    structure: str
    world: str
    trial: Callable[[], Trial]
    draw: Callable[[Generator, bool], pd.DataFrame]
    """A generator and whether there is an effect in, a table of observations out."""
    pick: tuple[str, str]
    """The column and the value that name the row."""
    truth: float = np.nan
    """Of the estimate with an effect; NaN where there is no interval."""

    @property
    def key(self) -> str:
        """A name that no other cell has."""
        return f"several arms: {self.subject} | {self.structure}: {self.world}"


def measure_several(cell: SeveralCell, repetitions: int) -> Row:
    """The rates of one cell."""
    started = time.perf_counter()
    null, moved = (_run(cell, effect, repetitions) for effect in (False, True))
    p_null, p_moved = null["p_value"].to_numpy(float), moved["p_value"].to_numpy(float)
    outside = np.full(repetitions, np.nan)
    if not np.isnan(cell.truth):
        low, high = (moved[side].to_numpy(float) for side in ("conf_low", "conf_high"))
        missed = ~((low <= cell.truth) & (cell.truth <= high))
        outside = np.where(np.isnan(low) | np.isnan(high), np.nan, missed)
    rates = rate(p_null <= ALPHA, p_null), rate(outside == 1, outside)
    known = [int(np.sum(~np.isnan(found))) for found in (p_null, outside)]
    relevant = [p_null] * (known[0] > 0) + [outside] * (known[1] > 0)
    return Row(
        part="several arms",
        subject=cell.subject,
        structure=cell.structure,
        world=cell.world,
        quantity=cell.pick[1],
        default=True,
        repetitions=repetitions,
        type_1=rates[0],
        type_1_verdict=verdict(rates[0], ALPHA, known[0]),
        non_coverage=rates[1],
        non_coverage_verdict=verdict(rates[1], ALPHA, known[1]),
        power=rate(p_moved <= ALPHA, p_moved),
        no_inference=float(np.mean(np.isnan(relevant))) if relevant else 1.0,
        flags=shares([split(text) for text in (*null["flags"], *moved["flags"])], []),
        product_error=np.nan,
        seconds=time.perf_counter() - started,
    )


def _run(cell: SeveralCell, effect: bool, repetitions: int) -> pd.DataFrame:
    rng = generator(0, cell.key, "effect" if effect else "null")
    trial = cell.trial()
    rows = [_row(cell, trial, cell.draw(rng, effect)) for _ in range(repetitions)]
    columns = ["p_value", "conf_low", "conf_high", "flags"]
    return pd.DataFrame(rows).reindex(columns=columns)


def _row(cell: SeveralCell, trial: Trial, observations: pd.DataFrame) -> pd.Series:
    table = (factorial if cell.pick[0] == "term" else dose_response)(
        trial, observations, pd.DataFrame()
    )
    return table[table[cell.pick[0]] == cell.pick[1]].iloc[0]


# ---- factorial -----------------------------------------------------------------------------------


@cache
def _crossed(method: str, cluster: bool, covariate: bool) -> Trial:
    arms = [
        {
            "name": f"a{a}b{b}",
            "intervention": {"kind": "none"},
            "levels": {"a": str(a), "b": str(b)},
        }
        for a, b in CELLS
    ]
    assignment = {"method": method, **({"cluster_by": "cluster"} if cluster else {})}
    covariates = {"covariates": ["x"]} if covariate else {}
    return _declared(arms, assignment, {"factorial": "two_way", "reference": "a0b0", **covariates})


def _declared(arms: object, assignment: object, analysis: object) -> Trial:
    return Trial.model_validate(
        {
            "schema": 1,
            "name": "calibration",
            "question": "Are tests and intervals of several arms right as often as they say?",
            "arms": arms,
            "outcomes": [{"name": "y", "role": "primary", "metric": "entropy"}],
            "assignment": assignment,
            "analysis": analysis,
        }
    )


def _table(arm: np.ndarray, y: np.ndarray, unit: np.ndarray, **columns: object) -> pd.DataFrame:
    return pd.DataFrame({"unit_id": unit, "arm": arm, "outcome": "y", "value": y, **columns})


def _interaction(effect: bool, size: float) -> np.ndarray:
    """[cells] means with an interaction of that size in one cell."""
    return effect * size * np.array([0.0, 0.0, 0.0, 0.0, 0.0, 1.0])


def unequal_cells(rng: Generator, effect: bool, covariate: bool = False) -> pd.DataFrame:
    """Cells of 8 to 20 units whose standard deviations are 0.5 to 3."""
    cell = np.repeat(np.arange(6), SIZES)
    x = rng.normal(size=len(cell))
    y = _interaction(effect, 4.0)[cell] + SPREADS[cell] * rng.normal(size=len(cell)) + covariate * x
    names = np.array([f"a{a}b{b}" for a, b in CELLS])
    return _table(names[cell], y, labels(len(y)), x=x)


def whole_clusters(rng: Generator, effect: bool) -> pd.DataFrame:
    """Six clusters of 2 to 7 units in each cell, with an intracluster correlation of 0.2."""
    cluster = np.repeat(np.arange(36), np.tile([2, 5, 3, 7, 4, 6], 6))
    cell = cluster // 6
    y = 0.5 * rng.normal(size=36)[cluster] + rng.normal(size=len(cluster))
    names = np.array([f"a{a}b{b}" for a, b in CELLS])
    moved = y + _interaction(effect, 1.5)[cell]
    return _table(names[cell], moved, labels(len(y)), cluster=cluster.astype(str))


def all_cells(rng: Generator, effect: bool, clusters: int = 0) -> pd.DataFrame:
    """Thirty units (or 40 in clusters), each in all six cells, whose spreads differ."""
    n = 40 if clusters else 30
    group = np.arange(n) % max(clusters, 1)
    shared = rng.normal(size=(max(clusters, 1), 6))[group] * 0.5 * bool(clusters)
    wide = rng.normal(size=(n, 1)) + shared + SPREADS * rng.normal(size=(n, 6))
    wide = wide + _interaction(effect, 2.5)
    names = np.array([f"a{a}b{b}" for a, b in CELLS])
    more = {"cluster": np.repeat(group, 6).astype(str)} if clusters else {}
    return _table(np.tile(names, n), wide.ravel(), np.repeat(labels(n), 6), **more)


# ---- doses ---------------------------------------------------------------------------------------


@cache
def _ladder(method: str) -> Trial:
    names = [f"d{dose:g}" for dose in DOSES]
    arms: list[dict[str, object]] = [{"name": names[0], "intervention": {"kind": "none"}}]
    arms += [
        {"name": name, "intervention": {"kind": "clamp", "features": [3], "dose": dose}}
        for name, dose in zip(names[1:], DOSES[1:], strict=True)
    ]
    analysis = {"contrasts": [["d8", "d0"]], "dose_response": [{"arms": names}]}
    return _declared(arms, {"method": method}, analysis)


def _response(effect: bool) -> np.ndarray:
    dose = np.array(DOSES)
    return effect * 4.0 * dose / (ED50 + dose)


def doses_apart(rng: Generator, effect: bool, skewed: bool = False) -> pd.DataFrame:
    """Twenty units at each dose, whose spread grows with it; or lognormal ones of one spread."""
    rung = np.repeat(np.arange(5), 20)
    if skewed:
        noise = np.exp(rng.normal(size=100)) - LOGNORMAL_MEAN
    else:
        noise = (0.8 + np.array(DOSES)[rung] / 8) * rng.normal(size=100)
    names = np.array([f"d{dose:g}" for dose in DOSES])
    return _table(names[rung], _response(effect)[rung] + noise, labels(100))


def doses_within(rng: Generator, effect: bool) -> pd.DataFrame:
    """Thirty units at every dose."""
    wide = rng.normal(size=(30, 1)) + _response(effect) + 0.8 * rng.normal(size=(30, 5))
    names = np.array([f"d{dose:g}" for dose in DOSES])
    return _table(np.tile(names, 30), wide.ravel(), np.repeat(labels(30), 5))


SLOPE = float(
    (np.array(DOSES) - np.mean(DOSES))
    @ _response(True)
    / np.sum((np.array(DOSES) - np.mean(DOSES)) ** 2)
)
CROSSED = partial(_crossed, "factorial", False, False)
ADJUSTED = partial(_crossed, "factorial", False, True)
CLUSTERED = partial(_crossed, "factorial", True, False)
CROSSOVER = partial(_crossed, "crossover", False, False)
IN_CLUSTERS = partial(_crossed, "crossover", True, False)
APART, WITHIN = partial(_ladder, "complete"), partial(_ladder, "crossover")
WITH_X = partial(unequal_cells, covariate=True)
FEW_CLUSTERS = partial(all_cells, clusters=10)
LOGNORMAL = partial(doses_apart, skewed=True)
INTERACTION, TREND = ("term", f"a{TIMES}b"), ("quantity", "z")
LINEAR, HALF = ("quantity", "slope per unit of dose"), ("quantity", "ED50")
CELLS_OF = "unequal cells of 8 to 20"
GROWING, SKEWED = "five doses, 20 each, spread grows", "five doses, 20 each, skewed"
UNITS = "five doses, 30 units"


def several_cells() -> list[SeveralCell]:
    """Every analysis of several arms in the designs that have it."""
    return [
        SeveralCell("Welch-James F", "plain", CELLS_OF, CROSSED, unequal_cells, INTERACTION),
        SeveralCell("Wald F", "plain", f"{CELLS_OF}, covariate", ADJUSTED, WITH_X, INTERACTION),
        SeveralCell("HTZ", "clustered", "36 clusters", CLUSTERED, whole_clusters, INTERACTION),
        SeveralCell("Hotelling T2", "within-unit", "30 units", CROSSOVER, all_cells, INTERACTION),
        SeveralCell("HTZ", "within-unit", "10 clusters", IN_CLUSTERS, FEW_CLUSTERS, INTERACTION),
        SeveralCell("linear trend", "plain", GROWING, APART, doses_apart, LINEAR, SLOPE),
        SeveralCell("linear trend", "plain", SKEWED, APART, LOGNORMAL, LINEAR, SLOPE),
        SeveralCell("linear trend", "within-unit", UNITS, WITHIN, doses_within, LINEAR, SLOPE),
        SeveralCell("Jonckheere-Terpstra", "plain", SKEWED, APART, LOGNORMAL, TREND),
        SeveralCell("Page", "within-unit", UNITS, WITHIN, doses_within, TREND),
        SeveralCell("Emax ED50", "plain", GROWING, APART, doses_apart, HALF, ED50),
        SeveralCell("Emax ED50", "within-unit", UNITS, WITHIN, doses_within, HALF, ED50),
    ]
