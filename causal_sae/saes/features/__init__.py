"""What an SAE's features do on text: statistics, where they are kept, and placebo matching."""

from __future__ import annotations

from causal_sae.saes.features.matching import balance, match_placebos
from causal_sae.saes.features.statistics import FeatureStatistics
from causal_sae.saes.features.store import read_features, stored_features, write_features

__all__ = [
    "FeatureStatistics",
    "balance",
    "match_placebos",
    "read_features",
    "stored_features",
    "write_features",
]
