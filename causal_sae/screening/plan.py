"""Which features are ablated on which prompts, and what that costs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from causal_sae.estimation.screens.effects import FEWEST
from causal_sae.execution.screens.attribution import Attribution
from causal_sae.randomness import generator

SUBSET = 40
"""Features drawn at random, on which attribution is held against the exact effect."""


@dataclass(frozen=True, eq=False)
class ExactPlan:
    """The exact stage."""

    pairs: pd.DataFrame
    """unit_id, feature: what is ablated where."""
    random: frozenset[int]
    """Features of the random subset."""
    testable: NDArray[np.bool_]
    """``[F]`` features with enough exposed units for a test, measured or not."""
    apart: bool = False
    """Whether other prompts chose the features: then those that were left out are no tests."""

    @property
    def measured(self) -> NDArray[np.int64]:
        """The features, each once."""
        found: NDArray[np.int64] = np.unique(self.pairs["feature"].to_numpy(np.int64))
        return found

    @property
    def unmeasured(self) -> int:
        """Testable features that were left out by the very prompts that test the others."""
        return 0 if self.apart else int(self.testable.sum()) - len(self.measured)

    def by_unit(self) -> dict[str, list[int]]:
        """For each unit the features that are ablated on it."""
        groups = self.pairs.sort_values(["unit_id", "feature"]).groupby("unit_id")["feature"]
        return {str(unit): [int(f) for f in own] for unit, own in groups}


def lay_out(
    found: Attribution,
    lengths: Mapping[str, int],
    per_feature: int,
    tokens: float | None,
    seed: int,
    ranking: Attribution | None = None,
    top: int | None = None,
) -> ExactPlan:
    """Choose features and draw each one's units.

    Parameters
    ----------
    found:
        The first stage.
    lengths:
        Tokens that one ablation of each unit takes above the hook.
    per_feature:
        On at most so many of its exposed units a feature is ablated: drawn at random, so that
        their mean is that of all.
    tokens:
        What the budget pays for; None: everything. First come the features of the random subset,
        then the largest attributions.
    seed:
        The trial's.
    ranking:
        Attribution on other prompts, which then ranks the features in place of that on these.
    top:
        So many of the largest are ablated, beside the random subset; None: all.
    """
    fires = found.fires.tocsc() > 0
    exposed = np.asarray(fires.sum(axis=0)).ravel().astype(np.int64)
    testable = exposed >= FEWEST
    candidates = np.flatnonzero(testable)
    rng = generator(seed, "screen", "subset")
    random = set(rng.permutation(candidates)[:SUBSET].tolist())
    ranks = (ranking or found).outcomes.values()
    size = np.max([np.abs(values) for values in ranks], axis=0)
    order = sorted(candidates.tolist(), key=lambda j: (j not in random, -size[j], j))
    order = order if top is None else order[: len(random) + top]
    rows: list[tuple[str, int]] = []
    spent = 0.0
    for feature in order:
        there = fires.indices[fires.indptr[feature] : fires.indptr[feature + 1]]
        drawn = np.sort(there)
        if len(there) > per_feature:
            own = generator(seed, "screen", "units", str(feature))
            drawn = np.sort(own.choice(drawn, per_feature, replace=False))
        units = [found.units[i] for i in drawn]
        cost = sum(lengths[unit] for unit in units)
        if tokens is not None and spent + cost > tokens:
            break
        spent += cost
        rows += [(unit, feature) for unit in units]
    pairs = pd.DataFrame(rows, columns=["unit_id", "feature"])
    measured = set(pairs["feature"])
    return ExactPlan(pairs, frozenset(random & measured), testable, ranking is not None)
