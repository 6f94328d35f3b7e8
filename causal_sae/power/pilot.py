"""A pilot: earlier observations, whose units stand in for those of the trial to come.

What the pilot shows of the effect is put aside: outcomes are taken about the mean of their arm.
Kept are their shape, how a unit's outcomes hang together, what clusters share, and which units
are exposed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from causal_sae.errors import DataError, Place, did_you_mean
from causal_sae.estimation.sample import Codes, Mask, Matrix, Vector
from causal_sae.piloting import unmasked
from causal_sae.power.declared import unit_of
from causal_sae.simulation import Assumptions, Shape, inert_when_silent, untouched
from causal_sae.spec.rules.analysis import CLUSTERED
from causal_sae.tables import OBSERVATIONS

if TYPE_CHECKING:
    from causal_sae.spec import Outcome, Trial
    from causal_sae.spec.analysis import Power

LEAST = 8
"""With fewer units a pilot says next to nothing of a standard deviation."""
MOST_ALIKE = 0.9999
CLEAN = "clean_outcome"


@dataclass(frozen=True)
class Pilot:
    """One row for each unit."""

    arms: tuple[str, ...]
    """The pilot's arms."""
    values: Mapping[str, Matrix]
    """Outcome -> [units, arms]; NaN where the unit was not in the arm."""
    clean: Mapping[str, Vector]
    """Outcome -> [units] of the untouched model; NaN where that was not recorded."""
    exposed: Mask
    """[units] whether the feature fires."""
    knows_exposed: bool
    block: Codes | None
    """[units] the block, as a code."""
    cluster: Codes | None
    """[units] the cluster, as a code."""
    block_names: tuple[str, ...] = ()
    fewest: int = LEAST // 2
    """How many values show a variance; one group less where units are left out to see what it
    hangs on."""

    def __len__(self) -> int:
        return len(self.exposed)

    def take(self, rows: Codes) -> Pilot:
        """The pilot of those units."""
        return replace(
            self,
            values={name: values[rows] for name, values in self.values.items()},
            clean={name: values[rows] for name, values in self.clean.items()},
            exposed=self.exposed[rows],
            block=None if self.block is None else self.block[rows],
            cluster=None if self.cluster is None else self.cluster[rows],
        )

    def without(self, rows: Codes) -> Pilot:
        """The pilot without some units, where one value less shows as much as before."""
        kept = np.setdiff1d(np.arange(len(self)), rows)
        return replace(self.take(kept), fewest=max(2, self.fewest - len(rows)))

    def rows_of(self, trial: Trial, arm: str) -> list[int]:
        """The columns of the pilot that stand for an arm: its own, or else all edited ones."""
        if arm in self.arms:
            return [self.arms.index(arm)]
        plain = {one.name for one in trial.arms if one.intervention.kind == "none"}
        return [i for i, name in enumerate(self.arms) if name not in plain] or list(
            range(len(self.arms))
        )


def read_pilot(trial: Trial, observations: pd.DataFrame) -> Pilot:
    """The units of a table of observations.

    Parameters
    ----------
    trial:
        The trial that is planned; outcomes are matched by name.
    observations:
        As for :func:`causal_sae.estimation.estimate`; other arms than the trial's may be in it.

    Raises
    ------
    DataError
        Where the table lacks a column, an outcome of the plan, or units.
    """
    frame = OBSERVATIONS.check(observations).reset_index(drop=True)
    usable = pd.to_numeric(frame["value"], errors="coerce").notna()
    if "status" in frame:
        usable &= frame["status"].fillna("ok").astype("string").eq("ok").to_numpy(bool)
    frame = frame.assign(arm=unmasked(trial, frame["arm"]))
    frame = frame[usable].assign(
        value=pd.to_numeric(frame.loc[usable, "value"]),
        unit_id=frame.loc[usable, "unit_id"].astype(str),
    )
    wanted = [outcome for outcome in trial.outcomes if outcome.role == "primary"]
    present = set(frame["outcome"].astype(str))
    for outcome in wanted:
        if outcome.name not in present:
            raise DataError(
                f"the pilot must hold the outcome {outcome.name!r}; "
                f"{did_you_mean(outcome.name, sorted(present)).replace('Allowed', 'It holds')}",
                Place(field="--pilot"),
            )
    outcomes = [o for o in trial.outcomes if o.name in present]
    pilot = _arranged(trial, frame, outcomes)
    if len(pilot) < LEAST:
        raise DataError(
            f"a pilot must have at least {LEAST} units with an outcome, not {len(pilot)}; its "
            "standard deviation would be a guess: declare `sd:` instead.",
            Place(field="--pilot"),
        )
    return pilot


def _arranged(trial: Trial, frame: pd.DataFrame, outcomes: list[Outcome]) -> Pilot:
    units = pd.Index(sorted(set(frame["unit_id"])))
    arms = tuple(sorted(set(frame["arm"].astype(str))))
    values, clean = {}, {}
    plain = [a.name for a in trial.arms if a.intervention.kind == "none" and a.name in arms]
    for outcome in outcomes:
        rows = frame[frame["outcome"].astype(str) == outcome.name]
        wide = rows.pivot_table(index="unit_id", columns="arm", values="value", aggfunc="mean")
        values[outcome.name] = wide.reindex(index=units, columns=arms).to_numpy(np.float64)
        known = np.full(len(units), np.nan)
        if CLEAN in rows:
            known = rows.groupby("unit_id")[CLEAN].mean().reindex(units).to_numpy(np.float64)
        for name in plain:
            own = values[outcome.name][:, arms.index(name)]
            known = np.where(np.isnan(known), own, known)
        clean[outcome.name] = known
    first = frame.drop_duplicates("unit_id").set_index("unit_id").reindex(units)
    knows = "exposed" in first and bool(first["exposed"].notna().all())
    exposed = first["exposed"].to_numpy(bool) if knows else np.ones(len(units), dtype=np.bool_)
    block = _codes(first, "block")
    names = tuple(sorted(set(first["block"].astype(str)))) if block is not None else ()
    return Pilot(arms, values, clean, exposed, knows, block, _codes(first, "cluster"), names)


def _codes(first: pd.DataFrame, column: str) -> Codes | None:
    if column not in first or first[column].isna().any():
        return None
    return np.unique(first[column].to_numpy(str), return_inverse=True)[1]


def assumptions_of(
    trial: Trial, power: Power, pilot: Pilot, outcome: Outcome, estimator: str
) -> Assumptions:
    """What the pilot says of an outcome, and for the rest what the file declares.

    Parameters
    ----------
    trial, power:
        The plan: its effect, and the numbers that the pilot cannot tell.
    pilot:
        The observations.
    outcome:
        One that the pilot has.
    estimator:
        The trial's.
    """
    sd = spread(pilot, outcome.name)
    if not sd > 0:
        raise DataError(
            f"the outcome {outcome.name!r} must vary within the pilot's arms, but it does not; "
            "take another pilot, or declare `sd:`.",
            Place(field="--pilot"),
        )
    active = power.active or 1.0
    drawn = trial.population is not None and trial.population.enrich is not None
    # How often a pilot's prompts are exposed says nothing of a pool that they were drawn from.
    if not drawn and pilot.knows_exposed and any(map(inert_when_silent, trial.arms)):
        active = max(float(pilot.exposed.mean()), 1 / (2 * len(pilot)))
    changes = {pair: change(trial, pilot, outcome, pair) / sd**2 for pair in trial.contrasts}
    changes = {pair: value for pair, value in changes.items() if not np.isnan(value)}
    rho = power.rho or 0.0
    if changes:
        rho = float(np.clip(1 - np.mean(list(changes.values())) / 2, -MOST_ALIKE, MOST_ALIKE))
    icc = shared(trial, pilot, outcome, estimator)
    return Assumptions(
        effect=power.effect * unit_of(power, sd),
        placebo_sd=(power.placebo_sd or 0.0) * unit_of(power, sd),
        sd=sd,
        rho=rho,
        icc=(power.icc or 0.0) if np.isnan(icc) else icc,
        active=active,
        measured=shapes(trial, pilot, outcome, sd, estimator == "cace"),
        changes=changes,
    )


def spread(pilot: Pilot, outcome: str) -> float:
    """The standard deviation within arms, pooled over the pilot's arms."""
    values = pilot.values[outcome]
    count = np.sum(~np.isnan(values), axis=0)
    return float(np.sqrt(np.nansum(about_means(values) ** 2) / np.sum(count[count > 0] - 1)))


def about_means(values: Matrix) -> Matrix:
    """The values minus the mean of their arm; NaN stays NaN."""
    count = np.maximum(np.sum(~np.isnan(values), axis=0), 1)
    result: Matrix = values - np.nansum(values, axis=0) / count
    return result


def change(trial: Trial, pilot: Pilot, outcome: Outcome, pair: tuple[str, str]) -> float:
    """The variance of the differences within units between two arms; NaN where it is not shown.

    Of the units themselves where they were in both arms. Otherwise the sum of both arms' variances
    about the clean outcome, as if nothing else of a unit were the same in them. Units that neither
    arm can reach are left out.
    """
    found = within(trial, pilot, outcome, pair)
    if np.sum(~np.isnan(found)) >= pilot.fewest:
        return float(np.nanvar(found, ddof=1))
    apart = [from_clean(trial, pilot, outcome, name, reached(trial, pilot, pair)) for name in pair]
    if min(np.sum(~np.isnan(one)) for one in apart) < pilot.fewest:
        return np.nan
    return float(sum(np.nanvar(one, ddof=1) for one in apart))


def within(trial: Trial, pilot: Pilot, outcome: Outcome, pair: tuple[str, str]) -> Vector:
    """[units] the difference between two arms; NaN where a unit was not in both, or not reached."""
    if not set(pair) <= set(pilot.arms):
        return np.full(len(pilot), np.nan)
    values = pilot.values[outcome.name]
    one, other = (values[:, pilot.arms.index(name)] for name in pair)
    return np.where(reached(trial, pilot, pair), one - other, np.nan)


def reached(trial: Trial, pilot: Pilot, pair: Sequence[str]) -> Mask:
    """[units] where one of these arms does anything."""
    arms = [trial.arm(name) for name in pair]
    only = [inert_when_silent(arm) or arm.intervention.kind == "none" for arm in arms]
    edited = any(map(inert_when_silent, arms))
    every = np.ones(len(pilot), dtype=np.bool_)
    return pilot.exposed if pilot.knows_exposed and edited and all(only) else every


def from_clean(trial: Trial, pilot: Pilot, outcome: Outcome, name: str, among: Mask) -> Vector:
    """[rows] an arm's outcomes minus the clean outcome, each about the mean of its source."""
    if untouched(trial, trial.arm(name), outcome):
        return np.zeros(len(pilot))
    values = pilot.values[outcome.name][:, pilot.rows_of(trial, name)]
    found = values - pilot.clean[outcome.name][:, None]
    return about_means(np.where(among[:, None], found, np.nan)).ravel()


def informative(trial: Trial, pilot: Pilot, outcome: Outcome, pair: tuple[str, str]) -> float:
    """How many units show the spread of a contrast: reached by it, and seen in an arm, on average.

    An arm without an edit is not counted where the clean outcome, which it is, is known anyway.
    """
    rows = reached(trial, pilot, pair)
    edited = [name for name in pair if not untouched(trial, trial.arm(name), outcome)]
    columns = sorted({c for name in edited or pair for c in pilot.rows_of(trial, name)})
    seen = ~np.isnan(pilot.values[outcome.name][rows][:, columns])
    return float(seen.sum(axis=0).mean())


def shapes(
    trial: Trial, pilot: Pilot, outcome: Outcome, sd: float, only_exposed: bool
) -> dict[str, Shape]:
    """Arm -> its variance, and its covariance with the clean outcome, over the variance ``sd^2``.

    Empty where the clean outcome was not recorded, or an arm is not shown.
    """
    clean = pilot.clean[outcome.name]
    among = pilot.exposed if only_exposed and pilot.knows_exposed else pilot.exposed | True
    found = {}
    for arm in trial.arms:
        if untouched(trial, arm, outcome):
            found[arm.name] = Shape()
            continue
        values = pilot.values[outcome.name][:, pilot.rows_of(trial, arm.name)]
        known = ~np.isnan(values) & ~np.isnan(clean)[:, None] & among[:, None]
        if known.sum() < pilot.fewest:
            return {}
        about = about_means(np.where(known, values, np.nan))[known]
        beside = np.broadcast_to(clean[:, None], values.shape)[known]
        scale = float(np.var(beside, ddof=1))
        if scale == 0:
            return {}
        covariance = float(about @ (beside - beside.mean())) / (len(about) - 1) / scale
        # On one scale for all arms: a sample whose clean outcomes vary less has no less noise.
        left = float(np.var(about - covariance * beside, ddof=1)) / sd**2
        found[arm.name] = Shape(left + covariance**2, covariance)
    return found


def shared(trial: Trial, pilot: Pilot, outcome: Outcome, estimator: str) -> float:
    """The intracluster (without clusters: intrablock) correlation by analysis of variance.

    Of what the design compares: the outcome; the differences within units, where every unit is in
    every arm; the changes from the clean outcome, where whole clusters are adjusted for it.

    Source: Donner (1986), A review of inference procedures for the intraclass correlation
    coefficient. Negative estimates count as 0; NaN where the pilot has no such groups.
    """
    by_cluster = trial.assignment.cluster_by is not None
    groups = pilot.cluster if by_cluster else pilot.block
    if groups is None or not (by_cluster or getattr(trial.assignment, "block_by", None)):
        return np.nan
    about = _compared(trial, pilot, outcome, estimator)
    known = ~np.isnan(about)
    rows = known.any(axis=1)
    if not rows.any():
        return np.nan
    value = np.nansum(about[rows], axis=1) / known[rows].sum(axis=1)
    return intraclass(value, np.unique(groups[rows], return_inverse=True)[1])


def _compared(trial: Trial, pilot: Pilot, outcome: Outcome, estimator: str) -> Matrix:
    """[units, columns] the values about their means that a design compares."""
    values = pilot.values[outcome.name]
    if trial.within_unit:
        columns = [within(trial, pilot, outcome, pair) for pair in trial.contrasts]
        found = np.column_stack(columns)
        values = found if not np.isnan(found).all() else values
    elif trial.assignment.method in CLUSTERED and CLEAN in trial.analysis.covariates:
        found = values - pilot.clean[outcome.name][:, None]
        plain = [untouched(trial, arm, outcome) for arm in trial.arms if arm.name in pilot.arms]
        names = [arm.name for arm in trial.arms if arm.name in pilot.arms]
        hidden = [pilot.arms.index(n) for n, p in zip(names, plain, strict=True) if p]
        found[:, hidden] = np.nan
        values = found if estimator == "cluster" and not np.isnan(found).all() else values
    return about_means(values)


def intraclass(value: Vector, group: Codes) -> float:
    """The ANOVA estimate of the intraclass correlation; NaN with one group, or one unit in each.

    Parameters
    ----------
    value:
        [n]
    group:
        [n] codes from 0.
    """
    size = np.bincount(group)
    n, k = len(value), len(size)
    if k < 2 or n <= k:
        return np.nan
    mean = np.bincount(group, weights=value) / size
    between = float(size @ (mean - value.mean()) ** 2) / (k - 1)
    inside = float(np.sum((value - mean[group]) ** 2)) / (n - k)
    typical = (n - float(np.sum(size**2)) / n) / (k - 1)
    total = between + (typical - 1) * inside
    return float(np.clip((between - inside) / total, 0.0, MOST_ALIKE)) if total > 0 else np.nan
