"""Standardised effects with intervals: one file for each family of kinds; this dict lists them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from causal_sae.estimation.effect_sizes.base import (
    Analysed,
    EffectSize,
    Kind,
    binary,
    counts,
    rescaled,
)
from causal_sae.estimation.effect_sizes.dominance import cliff_delta, of_cles, of_cliff_delta
from causal_sae.estimation.effect_sizes.noncentral_t import noncentrality_interval
from causal_sae.estimation.effect_sizes.proportions import (
    of_risks,
    paired_risk_difference,
    risk_difference,
)
from causal_sae.estimation.effect_sizes.ratios import of_odds_ratio, of_rate_ratio, of_risk_ratio
from causal_sae.estimation.effect_sizes.standardised_means import (
    cohen_d,
    cohen_dz,
    glass_delta,
    hedges_g,
    hedges_g_av,
    of_cohen_d,
    of_cohen_dz,
    of_glass_delta,
    of_hedges_g,
    of_hedges_g_av,
    small_sample_factor,
    unproved,
)
from causal_sae.estimation.inference import Estimate
from causal_sae.estimation.sample import Sample

if TYPE_CHECKING:
    from causal_sae.spec import Trial

__all__ = [
    "KINDS",
    "EffectSize",
    "cliff_delta",
    "cohen_d",
    "cohen_dz",
    "declared_size",
    "effect_size",
    "glass_delta",
    "hedges_g",
    "hedges_g_av",
    "noncentrality_interval",
    "paired_risk_difference",
    "risk_difference",
    "small_sample_factor",
]

KINDS: dict[str, Kind] = {
    "hedges_g": Kind(of_hedges_g, rescales=True),
    "hedges_g_av": Kind(of_hedges_g_av, rescales=True),
    "cohen_d": Kind(of_cohen_d, rescales=True),
    "glass_delta": Kind(of_glass_delta, rescales=True),
    "cohen_dz": Kind(of_cohen_dz, rescales=True),
    "cliff_delta": Kind(of_cliff_delta),
    "cles": Kind(of_cles),
    "risk_difference": Kind(of_risks, "binary", rescales=True),
    "risk_ratio": Kind(of_risk_ratio, "binary"),
    "odds_ratio": Kind(of_odds_ratio, "binary"),
    "rate_ratio": Kind(of_rate_ratio, "counts"),
}
"""Name -> how it is made; which designs it fits is a rule of the trial file."""


def effect_size(
    sample: Sample,
    estimate: Estimate,
    structure: str,
    alpha: float,
    wanted: str | float = "auto",
    other_contrast: bool = False,
) -> EffectSize:
    """The effect size that suits the outcome and the analysis.

    ``auto`` is ``risk_difference`` for outcomes of 0 and 1, ``cohen_dz`` for pairs,
    ``hedges_g_av`` for two independent arms, ``hedges_g`` where the analysis adjusts; it has no
    interval where the values may be too skewed for one. An outcome that the kind wanted is not for
    gets what ``auto`` takes.

    Parameters
    ----------
    sample:
        The units analysed.
    estimate:
        What the estimator made of them.
    structure:
        One of :data:`causal_sae.estimation.estimators.base.Structure`.
    alpha:
        The interval has level ``1 - alpha``.
    wanted:
        A key of :data:`KINDS`, or ``auto``; or a standard deviation in the outcome's units, by
        which estimate and interval are divided (kind ``sd_stated``).
    other_contrast:
        Whether the estimate is not the difference between the two samples' means: kinds that are
        computed from the arms' outcomes would then speak of something else.
    """
    analysis = Analysed(sample, estimate, structure, alpha, other_contrast)
    if not isinstance(wanted, str):
        return rescaled(analysis, wanted, 1.0, "sd_stated")
    kind = KINDS.get(wanted)
    if kind is None or not _suits(kind, analysis):
        size = KINDS[_automatic(analysis)].of(analysis)
        return replace(size, low=np.nan, high=np.nan) if unproved(size.kind, sample) else size
    return kind.of(analysis)


def declared_size(trial: Trial, outcome: str) -> str | float:
    """The kind that a trial wants for an outcome, or the standard deviation that it states.

    Parameters
    ----------
    trial:
        Declares ``analysis.effect_size``.
    outcome:
        The outcome's name.
    """
    wanted = trial.analysis.effect_size
    if isinstance(wanted, str):
        return wanted
    return wanted.sd.get(outcome, "auto") if isinstance(wanted.sd, dict) else wanted.sd


def _suits(kind: Kind, analysis: Analysed) -> bool:
    if analysis.other_contrast and not kind.rescales:
        return False
    suits = {"any": lambda _: True, "binary": binary, "counts": counts}[kind.outcomes]
    return bool(suits(analysis.sample.outcome))


def _automatic(analysis: Analysed) -> str:
    if binary(analysis.sample.outcome):
        return "risk_difference"
    if analysis.structure == "within-unit":
        return "cohen_dz"
    return "hedges_g_av" if analysis.simple else "hedges_g"
