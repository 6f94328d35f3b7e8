"""Inference where the assignment was drawn again until arms were alike on covariates.

The randomisation test draws again by the same rule (Morgan and Rubin 2012). Least squares that
adjusts for the same covariates needs no change in large samples (Li and Ding 2020, Rerandomization
and regression adjustment; JRSS B 82, 241). A difference in means varies less than its standard
error says (Li, Ding and Rubin 2018, PNAS 115, 9157), so its interval is conservative, and flagged.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from causal_sae.acceptance import CollinearError, limit, whitened
from causal_sae.errors import DataError, Place
from causal_sae.estimation.sample import Redeal, Sample

if TYPE_CHECKING:
    import pandas as pd

    from causal_sae.spec import Trial


def acceptance_of(
    trial: Trial, values: pd.DataFrame, sample: Sample, treatment: str
) -> Redeal | None:
    """The trial's rule for the units of one contrast; None where the first assignment stood.

    Parameters
    ----------
    trial:
        Declares ``assignment.rerandomize``.
    values:
        As :func:`causal_sae.estimation.contrasts.unit_values` returns them: all units of the trial.
    sample:
        The units of the contrast that are analysed.
    treatment:
        The contrast's first arm.
    """
    rule = trial.rerandomize
    if rule is None or not len(sample):
        return None
    table = values.drop_duplicates("unit_id").sort_values("unit_id")
    block = np.unique(table["block"].astype(str).to_numpy(str), return_inverse=True)[1]
    if "block" not in values or not getattr(trial.assignment, "block_by", None):
        block = np.zeros(len(table), dtype=np.intp)
    try:
        white = whitened(table[list(rule.on)].to_numpy(np.float64), block)
    except CollinearError:
        raise DataError(
            f"the covariates {', '.join(rule.on)} must vary (within blocks), as they did when the "
            "assignment was drawn; mend the columns.",
            Place(field="assignment.rerandomize.on"),
        ) from None
    most = rule.until.distance
    if most is None:
        most = limit(rule.until.probability or 1.0, len(rule.on), len(trial.arms))
    arm, unit = table["arm"].to_numpy(str), table["unit_id"].to_numpy(str)
    reference = _other(values, sample, treatment)
    inside = np.isin(unit, sample.unit)
    at = np.searchsorted(unit, sample.unit)
    pair = (treatment, reference)
    others = np.stack([white[(arm == name) & ~inside].sum(axis=0) for name in pair])
    sizes = (int((arm == treatment).sum()), int((arm == reference).sum()))
    elsewhere = sum(
        float(np.sum(white[arm == name].sum(axis=0) ** 2)) / (arm == name).sum()
        for name in np.unique(arm)
        if name not in pair
    )
    return Redeal(white[at], others, sizes, elsewhere, most)


def _other(values: pd.DataFrame, sample: Sample, treatment: str) -> str:
    """The contrast's second arm."""
    arm = values.drop_duplicates("unit_id").set_index("unit_id")["arm"]
    found = arm.loc[list(sample.unit)]
    return str(next((name for name in found if name != treatment), ""))


def flags_of(trial: Trial, name: str) -> tuple[str, ...]:
    """``rerandomized`` where an estimator leaves out what the assignment was balanced on."""
    rule = trial.rerandomize
    if rule is None or name == "randomization":
        return ()
    return () if set(rule.on) <= set(trial.analysis.covariates) else ("rerandomized",)
