"""How much of an effect's uncertainty is the noise of writing, and what more samples would gain.

A unit is a prompt. Samples of text are nested in it: what is tested is one value for each unit and
arm, the mean over samples. Its variance is that between prompts plus that between samples of one
prompt over their number (the one-way layout with random effects; Searle, Casella and McCulloch
1992, chapter 3; ``lme4::lmer(value ~ 1 + (1 | unit))`` where units have equally many samples). More
samples lower the second part alone.

In a crossover the value is a sample's difference between the arms, because all arms of a prompt
write with the same random numbers. Covariates and blocks, which lower the first part, are not taken
into account.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from causal_sae.estimation.observations import check

if TYPE_CHECKING:
    from causal_sae.spec import Trial


@dataclass(frozen=True)
class Nested:
    """Samples in units."""

    units: int
    samples: float
    """Samples of a unit: the harmonic mean."""
    writing: float
    """Variance between samples of a unit."""
    total: float
    """Variance between units of the means over their samples."""

    @property
    def prompts(self) -> float:
        """Variance between units of what they would have with endless samples."""
        return max(0.0, self.total - self.writing / self.samples)


def writing_noise(trial: Trial, observations: pd.DataFrame, effects: pd.DataFrame) -> pd.DataFrame:
    """One row for each contrast on an outcome of which units have several samples.

    Parameters
    ----------
    trial:
        The declaration.
    observations:
        As for :func:`causal_sae.estimation.estimate`, with ``sample``.
    effects:
        Not used.

    Returns
    -------
    Columns ``outcome``, ``treatment``, ``reference``; ``units`` and ``samples`` (of a unit and
    arm); ``variance_prompts`` and ``variance_writing`` (of units' effects where every unit is in
    every arm, of units' values else, averaged over the two arms); ``share_writing`` (of the
    variance of the difference of means); ``se_double`` and ``se_endless`` (the standard error with
    twice as many samples, and with endless ones, over that of now).
    """
    del effects
    if "sample" not in observations or not observations["sample"].notna().any():
        return pd.DataFrame()
    frame = check(trial, observations)
    frame = frame[frame["usable"] & frame["sample"].notna()]
    keys = ["outcome", "unit_id", "arm", "sample"]
    each = frame.groupby(keys)["value"].mean().reset_index()
    rows: list[dict[str, object]] = []
    for outcome in trial.outcomes:
        own = each[each["outcome"] == outcome.name]
        for arms in trial.contrasts:
            parts = _paired(own, *arms) if trial.within_unit else _apart(own, arms)
            if all(parts):
                named = dict(zip(("treatment", "reference"), arms, strict=True))
                known = [part for part in parts if part is not None]
                rows.append({"outcome": outcome.name, **named, **_row(known)})
    return pd.DataFrame(rows)


def _paired(own: pd.DataFrame, treatment: str, reference: str) -> list[Nested | None]:
    """The differences between arms, sample by sample."""
    wide = own.pivot_table(index=["unit_id", "sample"], columns="arm", values="value")
    if not {treatment, reference} <= set(wide):
        return [None]
    return [nested((wide[treatment] - wide[reference]).dropna().reset_index(name="value"))]


def _apart(own: pd.DataFrame, arms: Iterable[str]) -> list[Nested | None]:
    return [nested(own[own["arm"] == arm]) for arm in arms]


def nested(values: pd.DataFrame) -> Nested | None:
    """The two variances, by moments.

    Parameters
    ----------
    values:
        Columns ``unit_id`` and ``value``: one row for each sample.

    Returns
    -------
    None where there are fewer than two units, or no unit has two samples.
    """
    grouped = values.groupby("unit_id")["value"]
    counts, means = grouped.size(), grouped.mean()
    free = int((counts - 1).sum())
    if len(counts) < 2 or free < 1:
        return None
    residual = values["value"] - grouped.transform("mean")
    size = float(values["value"].abs().max())
    writing = float((residual**2).sum()) / free
    if writing <= (1e-12 * size) ** 2:
        writing = 0.0
    samples = len(counts) / float((1 / counts).sum())
    return Nested(len(counts), samples, writing, float(means.var(ddof=1)))


def _row(parts: list[Nested]) -> dict[str, object]:
    """What the parts of a contrast come to: one of differences, or one for each arm."""
    of_writing = sum(part.writing / part.samples / part.units for part in parts)
    whole = sum(part.total / part.units for part in parts)
    share = min(1.0, of_writing / whole) if whole > 0 else math.nan
    return {
        "units": sum(part.units for part in parts),
        "samples": float(np.mean([part.samples for part in parts])),
        "variance_prompts": float(np.mean([part.prompts for part in parts])),
        "variance_writing": float(np.mean([part.writing for part in parts])),
        "share_writing": share,
        "se_double": math.sqrt(1 - share / 2),
        "se_endless": math.sqrt(1 - share),
    }
