"""Which texts each claim is tried on, and what is done to them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from causal_sae.execution.concepts.measure import Push
from causal_sae.randomness import generator
from causal_sae.screening.concepts.claims import Activity, Claim
from causal_sae.screening.concepts.texts import Pool
from causal_sae.spec.concepts import ConceptTrial

ABLATE = ("ablate", "ablate_placebo", "ablate_random")
AMPLIFY = ("amplify", "amplify_placebo", "amplify_random")
Ints = NDArray[np.int64]


def lay_out(
    trial: ConceptTrial, claims: Sequence[Claim], pool: Pool, activity: Activity
) -> pd.DataFrame:
    """One row for each claim, text and arm: claim, text, arm, placebo (-1: none).

    Ablation is tried on positive texts in which the feature fires: elsewhere it changes nothing.
    Amplification is tried on texts that lack the concept; for ``outcome: likelihood``, which only
    texts that have it can tell, on those. Texts are drawn at random, and so are the placebos dealt.
    """
    rows = []
    for number, claim in enumerate(claims):
        having = pool.positive[claim.concept] & pool.testing
        lacking = having if trial.outcome == "likelihood" else pool.negative[claim.concept]
        fires = activity.peaks[:, claim.feature] > 0
        for arms, among in ((ABLATE, having & fires), (AMPLIFY, lacking & pool.testing)):
            if arms is AMPLIFY and claim.typical == 0:
                continue  # there is no dose for a feature that never fired on the concept
            label = (claim.concept, str(claim.feature), arms[0])
            rng = generator(trial.seed, "concepts", "texts", *label)
            drawn = rng.permutation(np.flatnonzero(among))[: trial.texts]
            dealt = _dealt(claim, len(drawn), rng)
            for arm in arms:
                if arm.endswith("placebo") and not claim.placebos:
                    continue
                placebo = dealt if arm.endswith("placebo") else np.full(len(drawn), -1)
                rows.append(
                    pd.DataFrame({"claim": number, "text": drawn, "arm": arm, "placebo": placebo})
                )
    columns = ["claim", "text", "arm", "placebo"]
    return pd.concat(rows, ignore_index=True) if rows else pd.DataFrame(columns=columns)


def _dealt(claim: Claim, count: int, rng: np.random.Generator) -> Ints:
    """Which placebo each text gets: all of them as often as each other, or once more."""
    if not claim.placebos:
        return np.full(count, -1, dtype=np.int64)
    own = np.array(claim.placebos, dtype=np.int64)
    dealt: Ints = rng.permutation(np.resize(rng.permutation(own), count))
    return dealt


def pushes(
    trial: ConceptTrial, plan: pd.DataFrame, claims: Sequence[Claim], activity: Activity
) -> list[Push]:
    """The rows to run; those that cannot change anything are left out.

    A placebo that is silent in a text is not run there: its ablation is known to change nothing.
    """
    norm, made = activity.norm, []
    columns = [plan[name].tolist() for name in ("claim", "text", "arm", "placebo")]
    for number, text, arm, placebo in zip(*columns, strict=True):
        if arm == "ablate_placebo" and activity.peaks[text, placebo] <= 0:
            continue
        feature = claims[number].feature
        size, dose = float(norm[feature]), trial.amplify * claims[number].typical
        shape, factor, along = {
            "ablate": (feature, -1.0, feature),
            "ablate_placebo": (placebo, -1.0, placebo),
            "ablate_random": (feature, size, None),
            "amplify": (None, dose, feature),
            "amplify_placebo": (None, dose * size / float(norm[placebo]), placebo),
            "amplify_random": (None, dose * size, None),
        }[arm]
        made.append(Push(text, number, arm, shape, factor, along))
    return made
