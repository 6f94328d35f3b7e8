"""The screen as a table: one row for each feature and outcome."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from causal_sae import flags
from causal_sae.estimation.screens import (
    Differences,
    Screened,
    adjusted,
    placebo_share,
    screened,
    shrunken,
)
from causal_sae.estimation.screens.adjustment import sign_flips
from causal_sae.estimation.true_discoveries import true_discoveries
from causal_sae.execution.screens.attribution import Attribution
from causal_sae.randomness import generator
from causal_sae.screening.plan import ExactPlan
from causal_sae.spec.trial import Trial
from causal_sae.tables import SCREEN

TOPS = (10, 50, 100)
"""Sets of the largest effects for which true discoveries are counted."""


@dataclass(frozen=True)
class Agreement:
    """How well attribution orders the exact effects, on features drawn at random."""

    outcome: str
    features: int
    rank_correlation: float
    """Spearman's."""
    low: float
    high: float
    same_sign: float
    """The share of features for which both have one sign."""


def screen_table(
    trial: Trial, found: Attribution, plan: ExactPlan, pairs: pd.DataFrame
) -> pd.DataFrame:
    """Every feature that fires on some prompt, for every outcome: :data:`causal_sae.tables.SCREEN`.

    Parameters
    ----------
    trial:
        Declares the outcomes, alpha and the correction.
    found:
        The first stage.
    plan:
        What was to be measured exactly.
    pairs:
        What was (:func:`causal_sae.execution.screens.exact.measure`).
    """
    exposed = np.asarray((found.fires > 0).sum(axis=0)).ravel().astype(np.int64)
    tables, inputs = [], {}
    for outcome in trial.outcomes:
        differences = _differences(pairs, outcome.name, found, exposed)
        effects = screened(differences, trial.analysis.alpha)
        inputs[outcome.name] = differences
        tables.append(_one(trial, outcome.name, found, plan, exposed, effects))
    table = _corrected(trial, pd.concat(tables, ignore_index=True), plan, inputs)
    fired = exposed[table["feature"].to_numpy(np.int64)] > 0
    return SCREEN.conform(table.loc[fired].reset_index(drop=True))


def _differences(
    pairs: pd.DataFrame, outcome: str, found: Attribution, exposed: NDArray[np.int64]
) -> Differences:
    own = pairs[pairs["outcome"] == outcome]
    place = {unit: number for number, unit in enumerate(found.units)}
    return Differences(
        own["feature"].to_numpy(np.int64),
        own["unit_id"].map(place).to_numpy().astype(np.int64),
        own["difference"].to_numpy(np.float64),
        exposed,
        len(found.units),
    )


def _one(
    trial: Trial,
    outcome: str,
    found: Attribution,
    plan: ExactPlan,
    exposed: NDArray[np.int64],
    effects: Screened,
) -> pd.DataFrame:
    width, units = len(exposed), len(found.units)
    measured = np.zeros(width, np.bool_)
    measured[plan.measured] = True
    typical = np.zeros(width, np.bool_)
    typical[sorted(plan.random)] = True
    attribution = found.outcomes[outcome]
    with np.errstate(divide="ignore"):
        alike = np.stack([np.log(exposed / units), np.log(found.strength)], axis=1)
    among = np.where(effects.measured >= 2, effects.among, np.nan)
    return pd.DataFrame(
        {
            "feature": np.arange(width),
            "outcome": outcome,
            "stage": np.where(measured, "exact", "attribution"),
            "n_active": exposed,
            "density": exposed / units,
            "attribution": attribution,
            "estimate": np.where(measured, effects.estimate, attribution),
            "std_error": effects.std_error,
            "conf_low": effects.conf_low,
            "conf_high": effects.conf_high,
            "p_value": effects.p_value,
            "n_measured": effects.measured,
            "effect_exposed": np.where(measured, among, np.nan),
            "placebo_share": placebo_share(among, alike),
            "shrunken": shrunken(
                effects.estimate, effects.std_error, typical if plan.unmeasured else None
            ),
            "family": trial.analysis.multiplicity.family_of(trial.roles()[outcome], outcome),
            "flags": [
                _flags(bool(m), int(n), int(e), p)
                for m, n, e, p in zip(
                    measured, exposed, effects.measured, effects.p_value, strict=True
                )
            ],
        }
    )


def _flags(measured: bool, exposed: int, done: int, p_value: float) -> str:
    if not measured:
        return "not_measured"
    codes = [f"exposed_stratum:{done}"]
    if done < exposed:
        codes.append(f"sampled_exposed:{exposed}")
    if np.isnan(p_value):
        codes.append("p_missing")
    return flags.join(codes)


def _corrected(
    trial: Trial, table: pd.DataFrame, plan: ExactPlan, inputs: dict[str, Differences]
) -> pd.DataFrame:
    method, alpha = trial.analysis.multiplicity.method, trial.analysis.alpha
    result = table.copy()
    result["correction"], result["p_adjusted"], result["family_size"] = method, np.nan, 0
    for _, rows in sorted(result.groupby("family").indices.items()):
        own = result.iloc[rows]
        p_values = own["p_value"].to_numpy(np.float64)
        outcomes = list(dict.fromkeys(own["outcome"]))
        missing = plan.unmeasured * len(outcomes)
        used, values = method, None
        if method == "maxt":
            values = _flipped(trial, own, inputs, outcomes) if not missing else None
            used = "maxt" if values is not None else "holm"
        if values is None:
            values = adjusted(used, p_values, missing, alpha)
        at = result.index[rows]
        result.loc[at, "p_adjusted"] = values
        result.loc[at, "correction"] = used
        result.loc[at, "family_size"] = int((~np.isnan(p_values)).sum()) + missing
    reject = pd.array(result["p_adjusted"].to_numpy(np.float64) <= alpha, dtype="boolean")
    reject[result["p_adjusted"].isna().to_numpy(bool)] = pd.NA
    result["reject"] = reject
    return result.drop(columns="family")


def _flipped(
    trial: Trial, own: pd.DataFrame, inputs: dict[str, Differences], outcomes: list[str]
) -> NDArray[np.float64]:
    """Step-down max-T over all features and outcomes of a family; units flip in all at once."""
    parts = [inputs[name] for name in outcomes]
    width = len(parts[0].exposed)
    together = Differences(
        np.concatenate([d.feature + i * width for i, d in enumerate(parts)]),
        np.concatenate([d.unit for d in parts]),
        np.concatenate([d.value for d in parts]),
        np.concatenate([d.exposed for d in parts]),
        parts[0].units,
    )
    tested = ~own["p_value"].isna().to_numpy(bool)
    return sign_flips(together, tested, generator(trial.seed, "screen", "maxt"))


def agreement(trial: Trial, table: pd.DataFrame, plan: ExactPlan) -> list[Agreement]:
    """Attribution against the exact effect on the random subset; none for fewer than 5 features.

    The interval is Bonett and Wright's (2000).
    """
    said = []
    for outcome in trial.outcomes:
        own = table[(table["outcome"] == outcome.name) & table["feature"].isin(plan.random)]
        known = own[own["n_measured"] >= 2]
        if len(known) < 5:
            continue
        first, exact = (known[c].to_numpy(np.float64) for c in ("attribution", "estimate"))
        rho = float(stats.spearmanr(first, exact).statistic)
        reach = 1.96 * np.sqrt((1 + rho**2 / 2) / (len(known) - 3))
        middle = np.arctanh(np.clip(rho, -0.999999, 0.999999))
        low, high = float(np.tanh(middle - reach)), float(np.tanh(middle + reach))
        same = float((np.sign(first) == np.sign(exact)).mean())
        said.append(Agreement(outcome.name, len(known), rho, low, high, same))
    return said


def discoveries(trial: Trial, table: pd.DataFrame, plan: ExactPlan) -> pd.DataFrame:
    """Lower bounds on the number of true effects, for all tests, the rejected, and the largest.

    With the confidence stated for all sets at once (closed testing, Simes). Features that the
    budget left out count as tests with a p-value of 1.
    """
    alpha, rows = trial.analysis.alpha, []
    for name, own in table.groupby("outcome", sort=False):
        p_values = own["p_value"].to_numpy(np.float64)
        whole = np.concatenate([p_values, np.ones(plan.unmeasured)])
        present = ~np.isnan(whole)
        reject = np.zeros(len(whole), np.bool_)
        reject[: len(own)] = own["reject"].fillna(False).to_numpy(bool)
        size = np.concatenate(
            [own["estimate"].abs().to_numpy(np.float64), np.zeros(plan.unmeasured)]
        )
        order = np.argsort(-np.where(present, size, -1.0), kind="stable")
        sets = {"all tests": present, "rejected": reject}
        for top in TOPS:
            if top < present.sum():
                chosen = np.zeros(len(whole), np.bool_)
                chosen[order[:top]] = True
                sets[f"{top} largest effects"] = chosen
        rows += [
            {
                "outcome": name,
                "of": label,
                "tests": int((chosen & present).sum()),
                "true_discoveries": true_discoveries(whole, alpha, chosen & present),
                "confidence": 1 - alpha,
            }
            for label, chosen in sets.items()
        ]
    return pd.DataFrame(rows)
