"""Inference on every feature of an SAE at once: vectorised, and honest where features are rare."""

from __future__ import annotations

from causal_sae.estimation.screens.adjustment import METHODS, adjusted
from causal_sae.estimation.screens.effects import Differences, Means, Screened, means, screened
from causal_sae.estimation.screens.placebo import placebo_share
from causal_sae.estimation.screens.shrinkage import paired_power, shrunken

__all__ = [
    "METHODS",
    "Differences",
    "Means",
    "Screened",
    "adjusted",
    "means",
    "paired_power",
    "placebo_share",
    "screened",
    "shrunken",
]
