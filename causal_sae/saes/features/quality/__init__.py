"""How good a feature is as a unit of meaning: one measure a file, each a pure function.

What each says, and what it does not, is in ``docs/explanation/feature-quality.md``.
"""

from __future__ import annotations

from causal_sae.saes.features.quality.absorption import absorption
from causal_sae.saes.features.quality.cohesion import cohesion
from causal_sae.saes.features.quality.concept import ConceptScores, concept_scores
from causal_sae.saes.features.quality.sharpness import bimodality, kurtosis, sharpness
from causal_sae.saes.features.quality.stability import best_match, one_to_one

__all__ = [
    "ConceptScores",
    "absorption",
    "best_match",
    "bimodality",
    "cohesion",
    "concept_scores",
    "kurtosis",
    "one_to_one",
    "sharpness",
]
