"""Inference after an assignment that was drawn again: by the same rule, or on the safe side."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from causal_sae.acceptance import distance, limit, whitened
from causal_sae.errors import SpecError
from causal_sae.estimation import estimate
from causal_sae.randomization import assign
from causal_sae.spec import Trial
from causal_sae.spec.loading import parse_trial

RULE = {"on": ["x"], "until": {"probability": 0.1}}


def declare(seed: int = 0, arms: int = 2, **analysis: object) -> Trial:
    names = ("control", "ablate", "placebo")[:arms]
    return Trial.model_validate(
        {
            "schema": 1,
            "name": "again",
            "question": "Does it hold?",
            "seed": seed,
            "arms": [{"name": name, "intervention": {"kind": "none"}} for name in names],
            "assignment": {"method": "complete", "rerandomize": RULE},
            "outcomes": [{"name": "gap", "role": "primary", "metric": "entropy"}],
            "analysis": analysis,
        }
    )


def observed(trial: Trial, n: int, rng: np.random.Generator, slope: float = 3.0) -> pd.DataFrame:
    units = pd.DataFrame({"unit_id": [f"u{i:03d}" for i in range(n)], "x": rng.normal(size=n)})
    table = assign(trial, units).merge(units, on="unit_id")
    return table.assign(outcome="gap", value=slope * table["x"] + rng.normal(size=n))


def test_the_test_counts_the_assignments_that_would_have_been_accepted():
    trial = declare(seed=4, estimator="randomization")
    table = observed(trial, 12, np.random.default_rng(1))
    row = estimate(trial, table).iloc[0]
    white = whitened(table[["x"]].to_numpy(), np.zeros(12, dtype=int))
    most, y = limit(0.1, 1, 2), table["value"].to_numpy()
    made = table["arm"].eq("ablate").to_numpy()
    statistics = []
    for chosen in combinations(range(12), 6):
        treated = np.isin(np.arange(12), chosen)
        if distance(white, treated.astype(int), 2) <= most * (1 + 1e-9):
            statistics.append(student(y, treated))
    extreme = np.abs(statistics) >= abs(student(y, made)) - 1e-9
    assert f"assignments_listed:{len(statistics)}" in row["flags"]
    assert len(statistics) < 200  # of 924
    assert row["p_value"] == pytest.approx(extreme.mean())


def student(y: np.ndarray, treated: np.ndarray) -> float:
    a, b = y[treated], y[~treated]
    return (a.mean() - b.mean()) / np.sqrt(a.var(ddof=1) / len(a) + b.var(ddof=1) / len(b))


def test_other_arms_and_missing_outcomes_stay_where_they_are():
    trial = declare(seed=2, arms=3, estimator="randomization")
    table = observed(trial, 18, np.random.default_rng(3))
    table.loc[table.index[table["arm"] == "ablate"][0], "value"] = np.nan
    row = estimate(trial, table).iloc[0]
    white = whitened(table[["x"]].to_numpy(), np.zeros(18, dtype=int))
    most, names = limit(0.1, 1, 3), np.array(["control", "ablate", "placebo"])
    codes = np.array([list(names).index(arm) for arm in table["arm"]])
    free = np.flatnonzero((codes < 2) & table["value"].notna().to_numpy())
    count = 0
    for chosen in combinations(free, int((codes[free] == 1).sum())):
        other = codes.copy()
        other[free] = 0
        other[list(chosen)] = 1
        count += distance(white, other, 3) <= most * (1 + 1e-9)
    assert f"assignments_listed:{count}" in row["flags"]


def test_error_rates_and_widths_are_what_they_should_be():
    """Lin's interval is much narrower; Welch's, unadjusted, is flagged and hardly ever rejects."""
    rng, rejected, widths = np.random.default_rng(11), {}, {}
    for seed in range(8):
        table = observed(declare(seed=seed), 24, rng)
        for name, covariates in (("welch", []), ("lin", ["x"])):
            trial = declare(seed=seed, estimator=name, covariates=covariates)
            row = estimate(trial, table).iloc[0]
            rejected.setdefault(name, []).append(row["p_value"] <= 0.05)
            widths.setdefault(name, []).append(row["conf_high"] - row["conf_low"])
            assert ("rerandomized" in row["flags"]) == (name == "welch")
    assert sum(rejected["lin"]) <= 3
    assert sum(rejected["welch"]) == 0
    assert np.mean(widths["lin"]) < 0.6 * np.mean(widths["welch"])


def test_without_the_rule_nothing_changes():
    trial = declare(seed=1, estimator="randomization")
    plain = trial.model_copy(
        update={"assignment": trial.assignment.model_copy(update={"rerandomize": None})}
    )
    table = observed(trial, 14, np.random.default_rng(5), slope=0.0)
    ruled, free = (estimate(t, table).iloc[0] for t in (trial, plain))
    assert "assignments_listed:3432" in free["flags"]
    assert ruled["estimate"] == free["estimate"]


BASE = """\
schema: 1
name: again
question: Is it refused?
population: {prompts: p.csv}
assignment: {method: complete, rerandomize: {on: [length]}}
arms:
  - {name: control, intervention: {kind: none}}
  - {name: ablate, intervention: {kind: ablate, features: [1]}}
outcomes:
  - {name: gap, role: primary, metric: entropy}
analysis: {estimator: auto}
"""


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (("[length]", "[clean_outcome]"), "drawn before the model runs"),
        (("[length]", "[length, length]"), "listed twice"),
        (("[length]", "[length], until: {}"), "say either `probability:` or `distance:`"),
        (("[length]", "[length], until: {probability: 0.0001}"), "must be at least 0.001"),
        (("features: [1]}", "features: [1]}, share: 2"), "a propensity of its own"),
        (("estimator: auto", "estimator: mann_whitney"), "is not known here"),
        (("estimator: auto", "supplementary: [poisson]"), "is not known here"),
        (("estimator: auto", "multiplicity: {method: maxt}"), "takes every assignment as possible"),
        (("estimator: auto", "looks: {at: [0.5, 1]}"), "not at a look before"),
        (("method: complete", "method: crossover"), "unknown key `rerandomize`"),
        (("method: complete", "method: complete, cluster_by: t"), "units of a cluster are alike"),
    ],
)
def test_what_the_rule_does_not_fit_is_refused(change, expected):
    assert change[0] in BASE
    with pytest.raises(SpecError) as caught:
        parse_trial(BASE.replace(*change, 1), Path("t.yaml"))
    assert expected in str(caught.value)
