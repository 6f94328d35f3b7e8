"""How a trial's units lie in arms, blocks and clusters, as far as the power depends on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from causal_sae.estimation.estimators.cluster import FEW
from causal_sae.estimation.linear_models import cr2, cr2_parts, design
from causal_sae.estimation.sample import Codes, Mask
from causal_sae.randomization.assignment import SCHEMES
from causal_sae.randomization.dealing import Arms
from causal_sae.spec.rules.analysis import CLUSTERED

if TYPE_CHECKING:
    from causal_sae.simulation import Roster
    from causal_sae.spec import Trial

SMALL_ARM = 2
"""Blocks with fewer units of an arm have no variance of their own."""


@dataclass(frozen=True)
class Layout:
    """The units of one contrast. Sizes other than the planned ones are scaled from it."""

    n_treatment: int
    n_reference: int
    within: bool = False
    """Whether every unit is in both arms."""
    whole: bool = False
    """Whether whole clusters were assigned."""
    clusters: int = 0
    """How many clusters the two arms have; 0 without clusters."""
    mates: float = 0.0
    """How many other units of its cluster a unit has, mean over units."""
    kept: float = 0.0
    """The share of pairs of units that lie in one cluster."""
    cluster_df: float = np.nan
    """Satterthwaite's degrees of freedom of the contrast."""
    jackknifed: float = 1.0
    """The variance that CR3 reports, over CR2's, where units are independent."""
    blocks: int = 0
    """How many blocks have both arms; 0 without blocks."""
    block_factor: float = 1.0
    """The variance of the blocked difference over that of equal units in one block."""
    block_rule: str = "regression"
    """How the block estimator counts degrees of freedom: within, pairs or regression."""

    @property
    def units(self) -> int:
        """How many units the contrast has."""
        return self.n_treatment if self.within else self.n_treatment + self.n_reference

    def df_of_clusters(self, units: float, parameters: int) -> float:
        """Satterthwaite's degrees of freedom with this many units, in clusters like these."""
        grown = (self.cluster_df + parameters) * units / self.units - parameters
        return max(float(grown), 0.0)

    def jackknife_inflation(self, units: float) -> float:
        """What CR3 multiplies the variance by with this many units, in clusters like these."""
        if self.clusters * units / self.units >= FEW:
            return 1.0
        return 1 + (self.jackknifed - 1) * self.units / units

    def df_of_blocks(self, units: float, covariates: int) -> float:
        """The block estimator's degrees of freedom with this many units, in as many blocks."""
        if self.block_rule == "pairs" and not covariates:
            return units / 2 - 1
        if self.block_rule == "within" and not covariates:
            return units - 2 * self.blocks
        return units - self.blocks - 1 - covariates


def planned(trial: Trial, roster: Roster) -> dict[tuple[str, str], Layout]:
    """For each contrast its layout under the assignment that the trial's seed deals.

    Parameters
    ----------
    trial:
        The declaration.
    roster:
        The units.
    """
    shares = [arm.share for arm in trial.arms]
    arms = SCHEMES[trial.assignment.method](roster.units, shares, trial.seed)
    return {pair: _layout(trial, roster, arms, pair) for pair in trial.contrasts}


def _layout(trial: Trial, roster: Roster, arms: Arms, pair: tuple[str, str]) -> Layout:
    names = [arm.name for arm in trial.arms]
    one, other = (names.index(name) for name in pair)
    if trial.within_unit:
        rows, treated = np.ones(len(roster), dtype=np.bool_), np.ones(len(roster), dtype=np.bool_)
        counts = (len(roster), len(roster))
    else:
        rows, treated = (arms == one) | (arms == other), arms == one
        counts = (int(np.sum(arms == one)), int(np.sum(arms == other)))
    treated = treated[rows]
    whole = trial.assignment.method in CLUSTERED
    found: dict[str, object] = {}
    if roster.cluster is not None:
        found |= _clusters(np.unique(roster.cluster[rows], return_inverse=True)[1], treated)
    if roster.block is not None:
        found |= _blocks(np.unique(roster.block[rows], return_inverse=True)[1], treated)
    return Layout(*counts, within=trial.within_unit, whole=whole, **found)  # type: ignore[arg-type]


def _clusters(cluster: Codes, treated: Mask) -> dict[str, object]:
    sizes = np.bincount(cluster)
    n, pairs = len(cluster), float(np.sum(sizes * (sizes - 1)))
    x = design(treated) if 0 < treated.sum() < n else np.ones((n, 1))
    possible = len(sizes) > x.shape[1]
    zeros, contrast = np.zeros(n), np.eye(x.shape[1])[:, -1:]
    # Under independent errors the trace of the gram is the expectation of the variance.
    of_cr2, of_cr3 = (
        float(np.trace(cr2_parts(zeros, x, cluster, contrast, jackknife).gram(0, 0)))
        for jackknife in (False, True)
    )
    return {
        "clusters": len(sizes),
        "mates": pairs / n,
        "kept": pairs / (n * (n - 1)) if n > 1 else 0.0,
        "cluster_df": cr2(np.zeros(n), x, cluster).df if possible else np.nan,
        "jackknifed": of_cr3 / of_cr2 if possible else 1.0,
    }


def _blocks(block: Codes, treated: Mask) -> dict[str, object]:
    total = np.bincount(block)
    ones = np.bincount(block, weights=treated)
    usable = (ones > 0) & (ones < total)
    if not usable.any():
        return {"blocks": len(total)}
    n, m = ones[usable], (total - ones)[usable]
    weight = (n + m) / np.sum(n + m)
    rule = "regression"
    if min(n.min(), m.min()) >= SMALL_ARM:
        rule = "within"
    elif np.all(n + m == 2):
        rule = "pairs"
    plain = 1 / n.sum() + 1 / m.sum()
    factor = float(np.sum(weight**2 * (1 / n + 1 / m)) / plain)
    return {"blocks": len(n), "block_factor": factor, "block_rule": rule}
