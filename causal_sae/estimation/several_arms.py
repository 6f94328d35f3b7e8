"""The units of several arms on one outcome: what a linear combination of means is made from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import stats

from causal_sae.errors import DataError, Place, SpecError
from causal_sae.estimation.choice import structure
from causal_sae.estimation.design_columns import CLEAN
from causal_sae.estimation.pool import unevenly_drawn
from causal_sae.estimation.sample import Codes, Mask, Matrix, Sample, Vector
from causal_sae.spec.rules.several_arms import (
    doses_are_known,
    factorial_has_cells,
    several_arms_are_estimated,
)

if TYPE_CHECKING:
    import pandas as pd

    from causal_sae.spec import Outcome, Trial


@dataclass(frozen=True)
class Arms:
    """One row per unit and arm, sorted by unit, then by arm in the order of ``names``."""

    names: tuple[str, ...]
    """The arms."""
    arm: Codes
    """[n] the arm of each row, an index into ``names``."""
    sample: Sample
    """The rows; its ``treated`` marks those of the last arm."""
    notes: tuple[str, ...] = ()
    """Flags about units that are not here."""

    def __len__(self) -> int:
        return len(self.arm)

    @property
    def counts(self) -> Codes:
        """[k] how many units each arm has."""
        return np.bincount(self.arm, minlength=len(self.names))

    @property
    def raw_means(self) -> Vector:
        """[k] the arms' unadjusted means; NaN where an arm has no unit."""
        sums = np.bincount(self.arm, weights=self.sample.outcome, minlength=len(self.names))
        blank = np.full(len(sums), np.nan)
        means: Vector = np.divide(sums, self.counts, out=blank, where=self.counts > 0)
        return means

    @property
    def wide(self) -> Matrix:
        """[units, k] the outcomes of units that are in every arm."""
        wide: Matrix = np.reshape(self.sample.outcome, (-1, len(self.names)))
        return wide

    def take(self, rows: Mask) -> Arms:
        """The arms with those rows only."""
        return Arms(self.names, self.arm[rows], self.sample.take(rows), self.notes)

    def flagged(self, *codes: str) -> Arms:
        """The same rows with further flags."""
        return Arms(self.names, self.arm, self.sample, (*self.notes, *codes))


def check_several_arms(trial: Trial) -> None:
    """Refuse analyses of several arms that could not be made.

    Raises
    ------
    SpecError
        Says what to use instead.
    """
    for rule in (factorial_has_cells, doses_are_known, several_arms_are_estimated):
        for problem in rule(trial):
            field = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in problem.path)
            raise SpecError(problem.message, Place(field=field.lstrip(".")))


def several_arms(
    trial: Trial, values: pd.DataFrame, outcome: Outcome, names: Sequence[str]
) -> Arms:
    """The units of an analysis of several arms, and flags about those that are missing from it.

    Parameters
    ----------
    trial:
        Says which design the analysis must respect.
    values:
        As :func:`causal_sae.estimation.contrasts.unit_values` returns them.
    outcome, names:
        What is compared.

    Raises
    ------
    DataError
        An arm has no row in the observations.
    """
    _present(values, names)
    of_arms = values[values["arm"].isin(list(names))]
    rows = of_arms[of_arms["outcome"] == outcome.name]
    place = rows["arm"].map({name: i for i, name in enumerate(names)}).astype("int64")
    rows = rows.assign(_arm=place).sort_values(["unit_id", "_arm"], kind="stable")
    usable = rows[rows["value"].notna()]
    codes = usable["_arm"].to_numpy(np.int64)
    arms = Arms(tuple(names), codes, _sample(trial, usable, codes == len(names) - 1))
    uneven = ("unweighted_sample",) if unevenly_drawn(arms.sample) else ()
    arms = arms.flagged(*_partial(rows), *uneven)
    return _complete(arms) if trial.within_unit else _shared(arms)


def _present(values: pd.DataFrame, names: Sequence[str]) -> None:
    present = set(values["arm"])
    for name in names:
        if name not in present:
            raise DataError(
                f"the observations must hold the arm {name!r} of the factorial or dose-response "
                f"analysis, but have no row of it; they hold: {', '.join(sorted(present))}.",
                Place(field="arm"),
            )


def _sample(trial: Trial, rows: pd.DataFrame, treated: Mask) -> Sample:
    def encode(column: str, used: bool) -> Codes | None:
        return np.unique(rows[column].to_numpy(str), return_inverse=True)[1] if used else None

    names = trial.analysis.covariates
    exposed = "exposed" in rows and bool(rows["exposed"].notna().all())
    drawn = "sampling_probability"
    weighted = drawn in rows and bool(rows[drawn].notna().all())
    return Sample(
        unit=rows["unit_id"].to_numpy(str),
        outcome=rows["value"].to_numpy(np.float64),
        treated=treated,
        covariates=rows[list(names)].to_numpy(np.float64),
        covariate_names=tuple(names),
        block=encode("block", "blocked" in structure(trial)),
        cluster=encode("cluster", trial.assignment.cluster_by is not None),
        exposed=rows["exposed"].to_numpy(bool) if exposed else None,
        clean=rows[CLEAN].to_numpy(np.float64) if CLEAN in rows else None,
        weight=1 / rows[drawn].to_numpy(np.float64) if weighted else None,
        se_type=trial.analysis.se_type,
        seed=trial.seed,
    )


def _partial(rows: pd.DataFrame) -> tuple[str, ...]:
    partial = int(((rows["lost"] > 0) & rows["value"].notna()).sum())
    draws = int(rows["draws"].max()) if "draws" in rows and len(rows) else 0
    found = (f"partial_samples:{partial}",) if partial else ()
    return (*found, *((f"fixed_draws:{draws}",) if draws > 1 else ()))


def _complete(arms: Arms) -> Arms:
    """The units that are in every arm."""
    _, inverse, count = np.unique(arms.sample.unit, return_inverse=True, return_counts=True)
    lost = int(np.sum(count != len(arms.names)))
    kept = arms.take(count[inverse] == len(arms.names))
    return kept.flagged(f"incomplete_units:{lost}") if lost else kept


def _shared(arms: Arms) -> Arms:
    """The blocks that have units of two arms or more: the others compare nothing."""
    block = arms.sample.block
    if block is None or not len(arms):
        return arms
    several = np.sum(cell_counts(arms) > 0, axis=1) > 1
    lost = int(np.sum(~several))
    return arms.take(several[block]).flagged(f"blocks_dropped:{lost}") if lost else arms


def cell_counts(arms: Arms) -> Codes:
    """[blocks, k] how many units of each arm each block has; blocks as they are coded."""
    k = len(arms.names)
    block = np.zeros(len(arms), np.int64) if arms.sample.block is None else arms.sample.block
    blocks = int(block.max()) + 1 if len(block) else 0
    return np.bincount(block * k + arms.arm, minlength=blocks * k).reshape(blocks, k)


def missingness(
    trial: Trial, values: pd.DataFrame, outcome: Outcome, sides: Sequence[Sequence[str]]
) -> tuple[str, ...]:
    """Flags that count the units without a usable outcome in two groups of arms.

    Parameters
    ----------
    trial, values, outcome:
        As for :func:`several_arms`.
    sides:
        The arms that count for the treatment, and those that count for the reference.
    """
    found: list[str] = []
    counts: list[tuple[int, int]] = []
    both = values[values["arm"].isin([arm for side in sides for arm in side])]
    everyone = both["unit_id"].nunique()
    for label, side in zip(("treatment", "reference"), sides, strict=True):
        rows = both[both["arm"].isin(list(side))]
        seen = everyone if trial.within_unit else rows["unit_id"].nunique()
        usable = rows[(rows["outcome"] == outcome.name) & rows["value"].notna()]
        arms = usable.groupby("unit_id")["arm"].nunique()
        measured = int((arms == (len(side) if trial.within_unit else 1)).sum())
        counts.append((measured, seen - measured))
        found += [f"missing_{label}:{seen - measured}"] if seen > measured else []
    differ = found and not trial.within_unit and stats.fisher_exact(np.array(counts)).pvalue < 0.05
    return (*found, "differential_missing") if differ else tuple(found)
