"""The effect in a pool from prompts drawn with known probabilities."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from causal_sae.errors import DataError, SpecError
from causal_sae.estimation import estimate
from causal_sae.estimation.estimators import enriched
from causal_sae.estimation.sample import Pool, Sample
from causal_sae.flags import split

CROSSOVER = {"method": "crossover"}
POOL = 10_000


def _table(
    exposed: Any, unexposed: Any, share: float, probabilities: tuple[float, float] = (0.1, 0.01)
) -> pd.DataFrame:
    """A crossover in which the treatment moves each unit by the amount given."""
    moved = np.concatenate([exposed, unexposed])
    fires = np.arange(len(moved)) < len(exposed)
    rows = pd.DataFrame(
        {
            "unit_id": [f"u{i:04d}" for i in range(len(moved))],
            "outcome": "gap",
            "exposed": fires,
            "sampling_probability": np.where(fires, *probabilities),
            "stratum_share": np.where(fires, share, 1 - share),
        }
    )
    base = np.random.default_rng(1).normal(size=len(moved))
    return pd.concat(
        [rows.assign(arm="control", value=base), rows.assign(arm="treated", value=base + moved)]
    )


def _population(claim: str = "superpopulation", **enrich: Any) -> dict[str, Any]:
    rule = {"feature": 3, "exposed": 40, **enrich}
    return {"prompts": "p.csv", "claim": claim, "enrich": rule}


def _clamp() -> list[dict[str, Any]]:
    edit = {"kind": "clamp", "features": [3], "dose": 2.0}
    return [
        {"name": "control", "intervention": {"kind": "none"}},
        {"name": "treated", "intervention": edit},
    ]


def test_the_effect_in_the_pool_is_the_share_times_the_effect_among_exposed(
    make_trial: Any,
) -> None:
    moved = np.random.default_rng(0).normal(2, 1, 40)
    trial = make_trial(assignment=CROSSOVER, population=_population(), analysis={})
    row = estimate(trial, _table(moved, [], 0.04, (0.1, 1))).iloc[0]
    assert row["estimator"] == "enriched"
    assert row["estimand"] == "treatment policy, superpopulation"
    assert row["estimate"] == pytest.approx(0.04 * moved.mean())
    # 40 drawn with probability 0.1 are of 400, which are 4% of 10,000.
    error = np.hypot(0.04 * moved.std(ddof=1) / np.sqrt(40), moved.mean() * np.sqrt(0.04 * 0.96e-4))
    assert row["std_error"] == pytest.approx(error)
    # Its limits are never nearer than Student's, and say the same as the test.
    assert stats.ttest_1samp(moved, 0).pvalue <= row["p_value"] * (1 + 1e-9) < 1e-6
    assert row["conf_low"] > 0
    assert np.isnan(row["mean_treatment"])  # of unexposed prompts nothing was run


def test_the_same_numbers_with_unexposed_units_that_did_not_move(make_trial: Any) -> None:
    moved = np.random.default_rng(0).normal(2, 1, 40)
    one = make_trial(assignment=CROSSOVER, population=_population())
    two = make_trial(assignment=CROSSOVER, population=_population(unexposed=96))
    first = estimate(one, _table(moved, [], 0.04)).iloc[0]
    second = estimate(two, _table(moved, np.zeros(96), 0.04)).iloc[0]
    for column in ("estimate", "std_error", "p_value", "conf_low", "conf_high"):
        assert first[column] == pytest.approx(second[column])
    assert second["mean_treatment"] - second["mean_reference"] == pytest.approx(second["estimate"])


def test_unexposed_units_that_moved_are_estimated(make_trial: Any) -> None:
    """Against the textbook's stratified mean; no effect is skewed enough to matter here."""
    rng = np.random.default_rng(3)
    moved, others = rng.normal(2, 1, 400), rng.normal(0.5, 2, 300)
    trial = make_trial(assignment=CROSSOVER, population=_population(unexposed=300), arms=_clamp())
    row = estimate(trial, _table(moved, others, 0.3, (400 / 3000, 300 / 7000))).iloc[0]
    expected = 0.3 * moved.mean() + 0.7 * others.mean()
    assert row["estimate"] == pytest.approx(expected)
    parts = np.array([0.09 * moved.var(ddof=1) / 400, 0.49 * others.var(ddof=1) / 300])
    between = (moved.mean() - others.mean()) ** 2 * 0.21 / POOL
    assert row["std_error"] == pytest.approx(np.sqrt(parts.sum() + between))
    squares = (parts**2 / [399, 299]).sum()
    assert row["df"] == pytest.approx((parts.sum() + between) ** 2 / squares)
    reach = stats.t.ppf(0.975, row["df"]) * row["std_error"]
    assert row["conf_low"] == pytest.approx(expected - reach, rel=0.02)
    assert row["conf_low"] <= expected - reach
    assert row["conf_high"] >= expected + reach


@pytest.mark.parametrize("case", ["few", "many"])
def test_agrees_with_r_survey(case: str, golden: Any) -> None:
    data = golden("data_enriched")
    data = data[data["case"] == case].astype({"x": float})
    values = golden("enriched")
    values = values[values["case"] == case].set_index("quantity").astype({"std_error": float})
    n, size = len(data), int(data["pool"].iloc[0])
    sample = Sample(
        unit=np.repeat(np.arange(n), 2).astype(str),
        outcome=np.column_stack([data["x"], np.zeros(n)]).ravel(),
        treated=np.tile([True, False], n),
        covariates=np.empty((2 * n, 0)),
        exposed=np.repeat(data["h"].eq(1).to_numpy(), 2),
        stratum_share=np.repeat((data["stratum"] / size).to_numpy(), 2),
        pool=Pool(size, finite=True, inert=False),
    )
    result = enriched.fit(sample, 0.05)
    assert result.estimate == pytest.approx(float(values["estimate"].iloc[0]), rel=1e-8)
    assert result.std_error == pytest.approx(values.at["finite", "std_error"], rel=1e-8)
    # Saerndal's two-phase variance differs by terms of the order of one over the pool's size.
    whole = enriched.fit(replace(sample, pool=Pool(size, finite=False, inert=False)), 0.05)
    assert whole.std_error == pytest.approx(values.at["two_phase", "std_error"], rel=1e-3)


def test_cace_is_the_effect_among_exposed_whatever_the_weights(make_trial: Any) -> None:
    moved = np.random.default_rng(0).normal(2, 1, 40)
    trial = make_trial(
        assignment=CROSSOVER, population=_population(unexposed=20), analysis={"estimator": "cace"}
    )
    row = estimate(trial, _table(moved, np.zeros(20), 0.04)).iloc[0]
    assert row["estimate"] == pytest.approx(moved.mean())
    assert row["p_value"] == pytest.approx(stats.ttest_1samp(moved, 0).pvalue)
    assert row["estimand"] == "principal stratum (exposed), superpopulation"
    assert "unweighted_sample" not in split(row["flags"])


def test_a_foreign_table_with_probabilities_gets_them_used(make_trial: Any) -> None:
    """The trial says nothing of a pool; the columns do."""
    table = _table(np.random.default_rng(0).normal(2, 1, 40), np.zeros(20), 0.04)
    row = estimate(make_trial(assignment=CROSSOVER), table).iloc[0]
    assert row["estimator"] == "enriched"
    naive = estimate(make_trial(assignment=CROSSOVER, analysis={"estimator": "paired"}), table)
    assert naive["estimate"][0] > 10 * row["estimate"]
    assert "unweighted_sample" in split(naive["flags"][0])
    assert naive["estimand"][0] == "treatment policy, units drawn"


def test_an_edit_that_acts_everywhere_needs_unexposed_units(make_trial: Any) -> None:
    table = _table(np.random.default_rng(0).normal(2, 1, 40), [], 0.04)
    with pytest.raises(DataError, match=r"`estimator: cace`.*`unexposed: 50`"):
        estimate(make_trial(assignment=CROSSOVER, arms=_clamp()), table)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"stratum_share": [0.04, 0.5]}, "must sum to 1"),
        ({"sampling_probability": [0.0, 0.01]}, "above 0 and at most 1"),
        ({"sampling_probability": [np.nan, 0.01]}, "in every row"),
        ({"exposed": [None, False]}, "in every row"),
    ],
)
def test_columns_that_contradict_themselves_are_refused(
    change: dict[str, list[Any]], says: str, make_trial: Any
) -> None:
    table = _table([1.0, 2.0, 3.0], [0.0, 0.0], 0.04)
    for column, (at_exposed, at_others) in change.items():
        fires = table["exposed"]
        table[column] = [at_exposed if f else at_others for f in fires]
    with pytest.raises(DataError, match=says):
        estimate(make_trial(assignment=CROSSOVER), table)


def test_probabilities_differ_between_strata_only(make_trial: Any) -> None:
    table = _table([1.0, 2.0, 3.0], [0.0, 0.0], 0.04).reset_index(drop=True)
    table.loc[table["unit_id"] == "u0000", "sampling_probability"] = 0.2
    with pytest.raises(DataError, match="the same for all exposed units"):
        estimate(make_trial(assignment=CROSSOVER), table)


def test_without_the_columns_it_is_refused(make_trial: Any) -> None:
    table = _table([1.0, 2.0, 3.0], [0.0, 0.0], 0.04).drop(columns="stratum_share")
    trial = make_trial(assignment=CROSSOVER, analysis={"estimator": "enriched"})
    with pytest.raises(DataError, match="must have sampling_probability, stratum_share"):
        estimate(trial, table)


def test_a_claim_about_the_pool_knows_its_share(make_trial: Any) -> None:
    moved = np.random.default_rng(0).normal(2, 1, 40)
    trial = make_trial(assignment=CROSSOVER, population=_population("finite"))
    row = estimate(trial, _table(moved, [], 0.04)).iloc[0]
    # Without replacement: 40 of 400.
    error = 0.04 * moved.std(ddof=1) / np.sqrt(40) * np.sqrt(0.9)
    assert row["std_error"] == pytest.approx(error)
    assert row["conf_high"] - row["estimate"] == pytest.approx(error * 2.0227, rel=0.1)
    assert "pool_shares_known" in split(row["flags"])


@pytest.mark.parametrize("others", [0, 30])
def test_a_pool_whose_exposed_prompts_were_all_drawn_is_known(others: int, make_trial: Any) -> None:
    moved = np.random.default_rng(0).normal(2, 1, 40)
    trial = make_trial(assignment=CROSSOVER, population=_population("finite", unexposed=others))
    row = estimate(trial, _table(moved, np.zeros(others), 0.04, (1.0, 30 / 960))).iloc[0]
    assert "finite_population_exact" in split(row["flags"])
    assert row["estimate"] == pytest.approx(0.04 * moved.mean())
    assert row[["p_value", "conf_low"]].isna().all()


def test_clusters_are_refused_where_the_share_is_not_known(make_trial: Any) -> None:
    moved = np.random.default_rng(0).normal(2, 1, 40)
    table = _table(moved, [], 0.04)
    table["cluster"] = table["unit_id"].str[-1]
    clustered = {"method": "crossover", "cluster_by": "cluster"}
    with pytest.raises(DataError, match="varies between clusters is unknown"):
        estimate(make_trial(assignment=clustered), table)
    finite = {"prompts": "p.csv", "claim": "finite"}
    row = estimate(make_trial(assignment=clustered, population=finite), table).iloc[0]
    assert row["estimate"] == pytest.approx(0.04 * moved.mean())
    table = pd.concat([table, _table([], [0.1, 0.2, 0.4], 0.04).assign(cluster="0", unit_id="v")])
    numbered = table["unit_id"].eq("v")
    table.loc[numbered, "unit_id"] = [f"v{i % 3}" for i in range(int(numbered.sum()))]
    with pytest.raises(DataError, match="are not independent"):
        estimate(make_trial(assignment=clustered, population=finite), table)


def test_degenerate_samples_make_flags_not_exceptions(make_trial: Any) -> None:
    trial = make_trial(assignment=CROSSOVER, population=_population(unexposed=5))
    same = estimate(trial, _table(np.zeros(9), np.zeros(5), 0.04)).iloc[0]
    assert (same["estimate"], same["p_value"], same["conf_low"], same["conf_high"]) == (0, 1, 0, 0)
    constant = estimate(trial, _table(np.full(9, 2.0), np.zeros(5), 0.04)).iloc[0]
    assert constant["estimate"] == pytest.approx(0.08)
    assert "no_variance" in split(constant["flags"])
    assert np.isnan(constant["p_value"])
    single = estimate(trial, _table([2.0], np.zeros(5), 0.04)).iloc[0]
    assert np.isnan(single["p_value"])


def test_between_units_each_stratum_is_compared(make_trial: Any) -> None:
    rng = np.random.default_rng(5)
    n, m = 60, 40
    fires = np.arange(n + m) < n
    arms = np.where(rng.permutation(n + m) % 2, "treated", "control")
    clean = rng.normal(size=n + m)
    value = clean + np.where(fires & (arms == "treated"), 1.5 + rng.normal(size=n + m), 0)
    table = pd.DataFrame(
        {
            "unit_id": [f"u{i:03d}" for i in range(n + m)],
            "arm": arms,
            "outcome": "gap",
            "value": value,
            "clean_outcome": clean,
            "exposed": fires,
            "sampling_probability": np.where(fires, 0.5, 0.1),
            "stratum_share": np.where(fires, 0.012, 0.988),
        }
    )
    row = estimate(make_trial(population=_population(unexposed=40)), table).iloc[0]
    treated, control = value[fires & (arms == "treated")], value[fires & (arms == "control")]
    assert row["estimate"] == pytest.approx(0.012 * (treated.mean() - control.mean()))
    # Where it was not recorded that unexposed prompts did not move, they are estimated.
    blind = estimate(
        make_trial(population=_population(unexposed=40)), table.drop(columns="clean_outcome")
    ).iloc[0]
    assert blind["std_error"] > 10 * row["std_error"]
    adjusted = make_trial(
        population=_population(unexposed=40), analysis={"covariates": ["clean_outcome"]}
    )
    sharper = estimate(adjusted, table).iloc[0]
    assert sharper["std_error"] < row["std_error"]


def test_a_guardrail_and_its_interval_say_the_same(make_trial: Any) -> None:
    moved = np.random.default_rng(2).lognormal(size=40)
    table = _table(moved, [], 0.04)

    def row(margin: float) -> Any:
        outcome = {"name": "gap", "role": "guardrail", "metric": "entropy", "margin": margin}
        trial = make_trial(assignment=CROSSOVER, population=_population(), outcomes=[outcome])
        return estimate(trial, table).iloc[0]

    bound = row(1.0)["conf_high"]
    assert row(bound * 1.001)["p_value"] < 0.05 < row(bound * 0.999)["p_value"]


@pytest.mark.parametrize("method", ["maxt", "dunnett"])
def test_corrections_that_resample_units_are_refused(method: str, make_trial: Any) -> None:
    trial = make_trial(
        assignment=CROSSOVER,
        population=_population(),
        analysis={"multiplicity": {"method": method}},
    )
    with pytest.raises(SpecError):
        estimate(trial, _table([1.0, 2.0, 4.0], [], 0.04))
