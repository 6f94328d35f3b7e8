"""Whether features tell texts of a concept from other texts, with intervals."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from causal_sae.saes.features.auroc import Auroc, auroc

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ConceptScores:
    """Each ``[F]``. A text counts as detected when the feature fires anywhere in it."""

    sensitivity: Floats
    """The share of positive texts that are detected."""
    sensitivity_low: Floats
    sensitivity_high: Floats
    specificity: Floats
    """The share of negative texts that are not."""
    specificity_low: Floats
    specificity_high: Floats
    ranking: Auroc
    """Of the largest activation in each text: it asks for no threshold."""


def concept_scores(activation: Floats, positive: NDArray[np.bool_], alpha: float) -> ConceptScores:
    """Sensitivity, specificity and AUROC of every feature as a detector of a concept.

    Parameters
    ----------
    activation:
        ``[texts, F]``: each feature's largest activation in each text.
    positive:
        ``[texts]``: whether a text has the concept; at least one has and one has not.
    alpha:
        Intervals have level ``1 - alpha``: Wilson's for the shares (Wilson 1927).
    """
    fires = activation > 0
    with_it, without = fires[positive], ~fires[~positive]
    sensitivity, specificity = with_it.mean(axis=0), without.mean(axis=0)
    return ConceptScores(
        sensitivity,
        *wilson(sensitivity, len(with_it), alpha),
        specificity,
        *wilson(specificity, len(without), alpha),
        auroc(activation, positive, alpha),
    )


def wilson(share: Floats, n: int, alpha: float) -> tuple[Floats, Floats]:
    """Wilson's score interval of shares of n."""
    z = float(stats.norm.ppf(1 - alpha / 2))
    centre = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    reach = z / (1 + z**2 / n) * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    return np.clip(centre - reach, 0.0, 1.0), np.clip(centre + reach, 0.0, 1.0)
