"""Which features claim a concept, and the placebos that stand in for each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from causal_sae.errors import DataError, Place
from causal_sae.randomness import generator
from causal_sae.saes.features.matching import match_placebos
from causal_sae.saes.features.quality.concept import concept_scores
from causal_sae.screening.concepts.texts import Pool
from causal_sae.spec.concepts import Concept, ConceptTrial
from causal_sae.spec.interventions import Match

Floats = NDArray[np.float64]
MATCHED: tuple[Match, ...] = ("density", "mean_activation", "decoder_norm")


@dataclass(frozen=True, eq=False)
class Activity:
    """What fires in each text of the pool."""

    peaks: NDArray[np.float32]
    """``[T, F]`` largest activations."""
    decoder: Floats
    """``[F, d]`` what one unit of each feature adds to the activation."""

    @property
    def norm(self) -> Floats:
        """``[F]`` the lengths of the decoder's rows."""
        return np.asarray(np.linalg.norm(self.decoder, axis=1))


@dataclass(frozen=True)
class Claim:
    """A feature that claims a concept."""

    concept: str
    feature: int
    found: bool
    """Whether it was found by its texts; else it was declared."""
    typical: float
    """Its mean largest activation in the positive texts in which it fires; 0 if in none."""
    placebos: tuple[int, ...]
    """Features that fire in the concept's texts as often and as strongly, and do not tell them
    apart; empty where there are too few."""


def claims_of(
    trial: ConceptTrial, number: int, pool: Pool, activity: Activity
) -> tuple[list[Claim], pd.DataFrame]:
    """The claims to one concept, and how every feature that fires tells its texts from others.

    Parameters
    ----------
    trial:
        Declares how many, and from which AUROC on.
    number:
        Which concept.
    pool, activity:
        Only the half of the texts that finds claims is looked at.

    Raises
    ------
    DataError
        A declared feature is not one of the SAE's.
    """
    concept, width = trial.concepts[number], activity.peaks.shape[1]
    for i, feature in enumerate(concept.features):
        if feature >= width:
            raise DataError(
                f"must be one of the SAE's features, 0 to {width - 1}; got {feature}",
                Place(field=f"concepts[{number}].features[{i}]"),
            )
    scores = detection(concept, pool, activity, ~pool.testing, trial.analysis.alpha)
    sure = scores[scores["p_adjusted"] <= trial.analysis.alpha]
    strong = sure[sure["auroc"] >= trial.claims.auroc]
    best = strong.sort_values("auroc_low", ascending=False, kind="stable")["feature"]
    found = [int(f) for f in best[: trial.claims.most]]
    telling = set(sure.loc[sure["auroc"] > 0.5, "feature"].astype(int)) | set(concept.features)
    chosen = list(dict.fromkeys([*concept.features, *found]))
    table = _fires_like(concept, pool, activity)
    claims = [_claim(trial, concept, f, f in found, telling, table, activity) for f in chosen]
    return claims, scores.assign(concept=concept.name)


def detection(
    concept: Concept, pool: Pool, activity: Activity, half: NDArray[np.bool_], alpha: float
) -> pd.DataFrame:
    """How each feature that fires on the concept's texts tells them from others, in one half.

    Returns
    -------
    DataFrame
        feature, auroc, auroc_low, auroc_high, p_value, p_adjusted (Benjamini and Hochberg's over
        these features), sensitivity, specificity.
    """
    used = (pool.positive[concept.name] | pool.negative[concept.name]) & half
    peaks = activity.peaks[used].astype(np.float64)
    fires = np.flatnonzero(peaks.any(axis=0))
    scores = concept_scores(peaks[:, fires], pool.positive[concept.name][used], alpha)
    return pd.DataFrame(
        {
            "feature": fires,
            "auroc": scores.ranking.value,
            "auroc_low": scores.ranking.low,
            "auroc_high": scores.ranking.high,
            "p_value": scores.ranking.p_value,
            "p_adjusted": stats.false_discovery_control(scores.ranking.p_value),
            "sensitivity": scores.sensitivity,
            "specificity": scores.specificity,
        }
    )


def _fires_like(concept: Concept, pool: Pool, activity: Activity) -> pd.DataFrame:
    """A features table of how features fire in the concept's texts, for matching."""
    peaks = activity.peaks[pool.positive[concept.name] & ~pool.testing]
    fires = peaks > 0
    count = fires.sum(axis=0)
    with np.errstate(invalid="ignore"):
        strength = np.where(count > 0, peaks.sum(axis=0) / np.maximum(count, 1), np.nan)
    return pd.DataFrame(
        {
            "feature": np.arange(peaks.shape[1]),
            "density": count / len(peaks),
            "mean_activation": strength.astype(np.float64),
            "decoder_norm": activity.norm,
        }
    )


def _claim(
    trial: ConceptTrial,
    concept: Concept,
    feature: int,
    found: bool,
    telling: set[int],
    table: pd.DataFrame,
    activity: Activity,
) -> Claim:
    strength = table["mean_activation"].to_numpy(np.float64)[feature]
    typical = 0.0 if np.isnan(strength) else float(strength)
    others = table[~table["feature"].isin(telling - {feature})]
    rng = generator(trial.seed, "concepts", "placebo", concept.name, str(feature))
    try:
        sets = match_placebos(
            others, [feature], MATCHED, trial.placebos, rng, decoder=activity.decoder
        )
    except DataError:
        sets = []  # it never fired, or there are too few: the verdict says so
    return Claim(concept.name, feature, found, typical, tuple(one[0] for one in sets))
