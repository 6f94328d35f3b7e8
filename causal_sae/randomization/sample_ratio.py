"""Whether the arms have the sizes that were asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import chdtrc

from causal_sae.errors import DataError, GateError, did_you_mean
from causal_sae.randomization.dealing import probabilities
from causal_sae.spec.trial import Trial

if TYPE_CHECKING:
    import pandas as pd

THRESHOLD = 0.001
"""A mismatch as unlikely as this means that units were lost or dealt wrongly."""


@dataclass(frozen=True)
class SampleRatio:
    """Pearson's chi-square test of the arms' sizes against their shares."""

    chi2: float
    """The statistic."""
    df: int
    """Its degrees of freedom: arms less one."""
    p_value: float
    """The probability of sizes at least this far off, if the shares hold."""
    passed: bool
    """Whether ``p_value`` is at least .001."""
    observed: dict[str, int]
    """How many units, or clusters where clusters are assigned, each arm has."""
    expected: dict[str, float]
    """How many it should have."""

    def require(self) -> None:
        """Let a mismatch stop the work.

        Raises
        ------
        GateError
            Tells the sizes found and expected.
        """
        if self.passed:
            return
        sizes = "; ".join(
            f"{arm}: {count} instead of {self.expected[arm]:.1f}"
            for arm, count in self.observed.items()
        )
        raise GateError(
            f"sample-ratio mismatch (chi-square {self.chi2:.1f}, df {self.df}, "
            f"p = {self.p_value:.2g}): {sizes}. Effects would compare unlike groups; find out "
            "which units were lost or dealt wrongly before estimating."
        )


def sample_ratio_check(trial: Trial, assignment: pd.DataFrame) -> SampleRatio:
    """Test the sizes of the arms against their shares.

    Parameters
    ----------
    trial:
        Says the arms, their shares and whether units or clusters were assigned.
    assignment:
        ``unit_id``, ``arm`` and, where clusters were assigned, ``cluster``; observations do as
        well, rows of one unit and arm being counted once.

    Raises
    ------
    DataError
        If an arm is not the trial's, or nothing was assigned.
    """
    names = [arm.name for arm in trial.arms]
    stray = sorted(set(assignment["arm"].astype(str)) - set(names))
    if stray:
        raise DataError(
            f"every arm of the assignment must be the trial's; {stray[0]!r} is not: "
            f"{did_you_mean(stray[0], names)}"
        )
    # Units of a cluster move together: only clusters were dealt independently.
    who = "cluster" if trial.assignment.method in {"cluster", "block_cluster"} else "unit_id"
    sizes = assignment.drop_duplicates([who, "arm"])["arm"].astype(str).value_counts()
    observed = np.array([int(sizes.get(name, 0)) for name in names])
    if observed.sum() == 0:
        raise DataError("an assignment must have at least one row; it is empty.")
    shares = [1.0 if trial.within_unit else arm.share for arm in trial.arms]
    expected = observed.sum() * np.array([float(p) for p in probabilities(shares)])
    chi2 = float(((observed - expected) ** 2 / expected).sum())
    p_value = float(chdtrc(len(names) - 1, chi2))
    return SampleRatio(
        chi2,
        len(names) - 1,
        p_value,
        p_value >= THRESHOLD,
        dict(zip(names, observed.tolist(), strict=True)),
        dict(zip(names, expected.tolist(), strict=True)),
    )
