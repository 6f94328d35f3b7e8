"""The verdicts as a table: one row for each feature and concept that it claims."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from causal_sae.screening.concepts.claims import Activity, Claim, detection
from causal_sae.screening.concepts.texts import Pool
from causal_sae.spec.concepts import ConceptTrial
from causal_sae.spec.verdicts import EFFECTS, GUARDS, VERDICTS

FIRST = {"ablate": "ablation", "amplify": "amplification"}


def verdict_table(
    trial: ConceptTrial,
    claims: Sequence[Claim],
    judged: pd.DataFrame,
    tests: pd.DataFrame,
    found: pd.DataFrame,
    pool: Pool,
    activity: Activity,
) -> pd.DataFrame:
    """One row a claim: :data:`causal_sae.spec.verdicts.VERDICTS`.

    Parameters
    ----------
    trial, claims:
        What was declared, and what was tried.
    judged, tests:
        What :mod:`causal_sae.estimation.concepts` gave.
    found:
        How features told texts apart in the half that finds claims.
    pool, activity:
        For how they do so in the other half.
    """
    again = pd.concat(
        detection(c, pool, activity, pool.testing, trial.analysis.alpha).assign(concept=c.name)
        for c in trial.concepts
    )
    keys = ["concept", "feature"]
    fresh = again[[*keys, "auroc"]].rename(columns={"auroc": "auroc_fresh"})
    table = pd.DataFrame(
        {
            "claim": range(len(claims)),
            "concept": [claim.concept for claim in claims],
            "feature": [claim.feature for claim in claims],
            "found": [claim.found for claim in claims],
            "dose": [trial.amplify * claim.typical for claim in claims],
            "placebos": [" ".join(map(str, claim.placebos)) for claim in claims],
        }
    )
    table = table.merge(found.drop(columns=["p_value", "p_adjusted"]), on=keys, how="left")
    table = table.merge(fresh, on=keys, how="left").merge(judged, on="claim")
    for name, word in FIRST.items():
        own = tests[tests["requirement"] == name].set_index("claim")
        table[f"n_{word}"] = table["claim"].map(own["n"])
        for column in ("estimate", "conf_low", "conf_high"):
            table[f"{word}_{column}"] = table["claim"].map(own[column])
    for one in (*EFFECTS, *GUARDS):
        if one.name not in FIRST:
            own = tests[tests["requirement"] == one.name].set_index("claim")
            table[one.name] = table["claim"].map(own["estimate"])
    table["family_size"] = len(claims)
    table["correction"] = trial.analysis.multiplicity
    return VERDICTS.conform(table.drop(columns="claim"))


def tests_table(claims: Sequence[Claim], tests: pd.DataFrame) -> pd.DataFrame:
    """Every test with its concept and feature in front, in the order of the claims."""
    named = tests.assign(
        concept=[claims[i].concept for i in tests["claim"]],
        feature=[claims[i].feature for i in tests["claim"]],
    )
    rest = [c for c in tests.columns if c != "claim"]
    ordered = named.sort_values("claim", kind="stable", ignore_index=True)
    return ordered[["concept", "feature", *rest]]
