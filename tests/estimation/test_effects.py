"""From observations to rows: the estimator taken, the claim made, margins and flags."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from causal_sae.estimation import FLAGS, estimate, explain
from causal_sae.estimation.estimators import ESTIMATORS
from causal_sae.flags import join, split
from causal_sae.tables import EFFECTS

CROSSOVER = {"method": "crossover"}


def _within(y: Any, shift: Any, **columns: Any) -> pd.DataFrame:
    """Every unit in both arms, treated = control + shift."""
    units = [f"u{i:04d}" for i in range(len(y))]
    base = pd.DataFrame({"unit_id": units, "outcome": "gap", **columns})
    return pd.concat(
        [base.assign(arm="control", value=y), base.assign(arm="treated", value=y + shift)]
    )


def _only(effects: pd.DataFrame) -> pd.Series:
    assert len(effects) == 1
    return effects.iloc[0]


def test_a_row_holds_the_contract_and_the_numbers_of_welch(
    make_trial: Any, make_observations: Any
) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(1, 2, 30), rng.normal(0, 1, 20)
    table = make_observations(np.concatenate([x, y]), ["treated"] * 30 + ["control"] * 20)
    effects = estimate(make_trial(analysis={"estimator": "welch"}), table)
    assert list(effects) == list(EFFECTS.columns)
    row = _only(effects)
    reference = stats.ttest_ind(x, y, equal_var=False)
    interval = reference.confidence_interval()
    assert (row["treatment"], row["reference"], row["estimator"]) == ("treated", "control", "welch")
    assert (row["n_treatment"], row["n_reference"]) == (30, 20)
    assert row["estimate"] == pytest.approx(x.mean() - y.mean())
    assert row["p_value"] == pytest.approx(reference.pvalue)
    assert (row["conf_low"], row["conf_high"]) == pytest.approx((interval.low, interval.high))
    assert row["estimand"] == "treatment policy, superpopulation"
    assert row["effect_size_kind"] == "hedges_g_av"
    assert row["flags"] == ""


@pytest.mark.parametrize(
    ("assignment", "covariates", "estimator"),
    [
        ({"method": "simple"}, [], "hall"),
        ({"method": "complete"}, [], "hall"),
        ({"method": "complete"}, ["x"], "hall"),
        ({"method": "block", "block_by": ["block"]}, [], "hall"),
        ({"method": "block", "block_by": ["block"]}, ["x"], "hall"),
        ({"method": "complete", "cluster_by": "cluster"}, [], "cluster"),
        ({"method": "cluster", "cluster_by": "cluster"}, ["x"], "cluster"),
        ({"method": "factorial"}, [], "difference_in_means"),
        ({"method": "factorial"}, ["x"], "hall"),
        ({"method": "factorial", "block_by": ["block"]}, [], "hall"),
    ],
)
def test_auto_follows_the_assignment(
    assignment: Any, covariates: list[str], estimator: str, make_trial: Any, make_observations: Any
) -> None:
    rng = np.random.default_rng(0)
    columns = {"x": rng.normal(size=48), "block": [0, 0, 1, 1] * 12, "cluster": np.arange(48) % 8}
    table = make_observations(rng.normal(size=48), ["treated", "control"] * 24, **columns)
    trial = make_trial(assignment=assignment, analysis={"covariates": covariates})
    assert _only(estimate(trial, table))["estimator"] == estimator


@pytest.mark.parametrize("method", ["crossover", "latin_square"])
def test_within_unit_designs_are_paired(method: str, make_trial: Any) -> None:
    rng = np.random.default_rng(0)
    y, shift = rng.normal(size=20), rng.normal(0.5, 1, 20)
    trial = make_trial(assignment={"method": method}, analysis={"estimator": "paired"})
    row = _only(estimate(trial, _within(y, shift)))
    expected = stats.ttest_1samp(shift, 0)
    assert row["estimator"] == "paired"
    assert row["p_value"] == pytest.approx(expected.pvalue)
    assert row["effect_size"] == pytest.approx(shift.mean() / shift.std(ddof=1))


def test_within_unit_clusters_widen_the_interval_by_cr2(make_trial: Any) -> None:
    rng = np.random.default_rng(2)
    cluster = np.repeat(np.arange(12), 5)
    shift = rng.normal(size=12)[cluster] + 0.1 * rng.normal(size=60)
    table = _within(rng.normal(size=60), shift, cluster=cluster)
    trial = make_trial(
        assignment={"method": "crossover", "cluster_by": "template"},
        analysis={"estimator": "paired"},
    )
    row = _only(estimate(trial, table))
    means = pd.Series(shift).groupby(cluster).mean()
    assert row["df"] == pytest.approx(11)  # equal clusters: a t-test on the cluster means
    assert row["std_error"] == pytest.approx(means.std(ddof=1) / np.sqrt(12))
    assert "few_clusters:12" in split(row["flags"])


@pytest.mark.parametrize(
    "assignment",
    [
        {"method": "complete"},
        {"method": "block", "block_by": ["b"]},
        {"method": "complete", "cluster_by": "c"},
    ],
)
def test_the_order_of_the_rows_never_matters(assignment: Any, make_trial: Any) -> None:
    rng = np.random.default_rng(1)
    table = pd.DataFrame(
        {
            "unit_id": [f"u{i}" for i in range(48) for _ in range(2)],
            "arm": np.repeat(np.tile(["treated", "control"], 24), 2),
            "outcome": "gap",
            "value": rng.normal(size=96) * 1e3,
            "sample": [0, 1] * 48,
            "block": np.repeat([0, 1], 48),
            "cluster": np.repeat(np.arange(48) // 3, 2),
            "x": np.repeat(rng.normal(size=48), 2),
        }
    )
    trial = make_trial(assignment=assignment, analysis={"covariates": ["x"]})
    expected = estimate(trial, table)
    for seed in range(3):
        shuffled = table.sample(frac=1, random_state=seed)
        pd.testing.assert_frame_equal(estimate(trial, shuffled), expected, check_exact=True)


def test_draws_and_samples_are_averaged_before_testing(make_trial: Any) -> None:
    rng = np.random.default_rng(3)
    y = rng.normal(size=(20, 5))
    arms = np.array(["treated", "control"] * 10)
    long = pd.DataFrame(
        {
            "unit_id": np.repeat([f"u{i}" for i in range(20)], 5),
            "arm": np.repeat(arms, 5),
            "outcome": "gap",
            "value": y.ravel(),
            "sample": list(range(5)) * 20,
        }
    )
    row = _only(estimate(make_trial(analysis={"estimator": "welch"}), long))
    means = y.mean(axis=1)
    expected = stats.ttest_ind(means[arms == "treated"], means[arms == "control"], equal_var=False)
    assert (row["n_treatment"], row["n_reference"]) == (10, 10)
    assert row["p_value"] == pytest.approx(expected.pvalue)


def test_blocks_may_come_as_the_columns_that_the_trial_names(
    make_trial: Any, make_observations: Any
) -> None:
    rng = np.random.default_rng(0)
    topic, mood = np.array(["a", "b"] * 20), np.array(["x"] * 20 + ["y"] * 20)
    arm = ["treated", "treated", "control", "control"] * 10
    y = rng.normal(size=40)
    trial = make_trial(assignment={"method": "block", "block_by": ["topic", "mood"]})
    by_columns = estimate(trial, make_observations(y, arm, topic=topic, mood=mood))
    by_block = estimate(trial, make_observations(y, arm, block=np.char.add(topic, mood)))
    pd.testing.assert_frame_equal(by_columns, by_block)
    assert by_columns["df"][0] == 40 - 8


def test_binary_outcomes_get_a_risk_difference(make_trial: Any, make_observations: Any) -> None:
    y = np.array([1.0] * 56 + [0.0] * 14 + [1.0] * 48 + [0.0] * 32)
    arms = ["treated"] * 70 + ["control"] * 80
    row = _only(estimate(make_trial(), make_observations(y, arms)))
    assert row["effect_size_kind"] == "risk_difference"
    assert row["effect_size"] == pytest.approx(row["estimate"]) == pytest.approx(0.2)
    assert row["effect_size_low"] == pytest.approx(0.0524, abs=5e-5)  # Newcombe (1998), example
    assert row["effect_size_high"] == pytest.approx(0.3339, abs=5e-5)


def test_adjusted_effect_sizes_follow_the_adjusted_estimate(
    make_trial: Any, make_observations: Any
) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=60)
    table = make_observations(3 * x + rng.normal(size=60), ["treated", "control"] * 30, x=x)
    row = _only(estimate(make_trial(analysis={"covariates": ["x"]}), table))
    assert row["effect_size_kind"] == "hedges_g_adjusted"
    ratio = row["effect_size"] / row["estimate"]
    assert row["effect_size_low"] == pytest.approx(row["conf_low"] * ratio)


def test_few_active_units_and_unchanged_outcomes_are_flagged(make_trial: Any) -> None:
    rng = np.random.default_rng(0)
    active = np.arange(100) < 17
    table = _within(
        rng.normal(size=100), np.where(active, rng.exponential(size=100), 0.0), exposed=active
    )
    flags = split(_only(estimate(make_trial(assignment=CROSSOVER), table))["flags"])
    codes = [code.partition(":")[0] for code in flags]
    assert codes == ["skewed_values", "few_active", "exposed_stratum"]
    assert {"few_active:17", "exposed_stratum:17"} <= set(flags)


def test_adding_a_direction_is_never_a_no_op(make_trial: Any) -> None:
    arms = [
        {"name": "control", "intervention": {"kind": "none"}},
        {"name": "treated", "intervention": {"kind": "add", "features": [3], "dose": 2.0}},
    ]
    rng = np.random.default_rng(0)
    table = _within(rng.normal(size=50), rng.normal(size=50), exposed=[False] * 50)
    row = _only(estimate(make_trial(arms=arms, assignment=CROSSOVER), table))
    assert row["flags"] == ""


def _guardrail(make_trial: Any, **changes: Any) -> Any:
    outcome = {"name": "gap", "role": "guardrail", "metric": "kl", **changes}
    return make_trial(outcomes=[outcome], assignment=CROSSOVER)


def test_a_guardrail_passes_only_by_non_inferiority(make_trial: Any) -> None:
    rng = np.random.default_rng(0)
    y, noise = rng.normal(size=40), rng.normal(size=40)
    table = _within(y, 0.05 * noise)
    strict = _only(estimate(_guardrail(make_trial, margin=0.001), table))
    wide = _only(estimate(_guardrail(make_trial, margin=0.1), table))
    assert "harm_not_excluded" in split(strict["flags"])
    assert not strict["reject"]
    assert "non_inferior" in split(wide["flags"])
    assert wide["reject"]
    expected = stats.ttest_1samp(0.05 * noise, 0.1, alternative="less")
    assert wide["p_value"] == pytest.approx(expected.pvalue)
    assert wide["statistic"] == pytest.approx(expected.statistic)
    assert wide["conf_low"] == strict["conf_low"]
    one_sided = wide["estimate"] + stats.t.ppf(0.95, 39) * wide["std_error"]
    assert one_sided < 0.1  # the bound of the 90% interval excludes the margin


def test_a_guardrail_against_a_decrease_mirrors_one_against_an_increase(make_trial: Any) -> None:
    rng = np.random.default_rng(0)
    y, shift = rng.normal(size=30), rng.normal(0.02, 0.1, size=30)
    up = _only(estimate(_guardrail(make_trial, margin=0.08), _within(y, shift)))
    down = _only(estimate(_guardrail(make_trial, margin=0.08, harm="decrease"), _within(y, -shift)))
    assert up["p_value"] == pytest.approx(down["p_value"])
    assert up["statistic"] == pytest.approx(-down["statistic"])


def test_a_guardrail_without_a_margin_is_never_safe(make_trial: Any) -> None:
    y = np.random.default_rng(0).normal(size=30)
    row = _only(
        estimate(_guardrail(make_trial), _within(y, np.random.default_rng(1).normal(size=30)))
    )
    assert {"no_margin", "harm_not_excluded"} <= set(split(row["flags"]))
    assert "non_inferior" not in split(row["flags"])


def test_a_null_edit_passes_its_guardrail(make_trial: Any) -> None:
    row = _only(estimate(_guardrail(make_trial, margin=0.1), _within(np.zeros(20), 0.0)))
    assert row["reject"]
    assert "non_inferior" in split(row["flags"])


def _finite(make_trial: Any, **changes: Any) -> Any:
    population = {"prompts": "p.csv", "claim": "finite"}
    return make_trial(population=population, assignment=CROSSOVER, **changes)


def test_a_finite_claim_on_every_unit_is_known(make_trial: Any) -> None:
    rng = np.random.default_rng(0)
    shift = rng.normal(size=25)
    row = _only(estimate(_finite(make_trial), _within(rng.normal(size=25), shift)))
    assert row["estimate"] == pytest.approx(shift.mean())
    assert row["std_error"] == 0.0
    assert row[["p_value", "conf_low", "conf_high", "p_adjusted"]].isna().all()
    assert row["reject"] is pd.NA
    assert row["estimand"] == "treatment policy, finite population"
    assert split(row["flags"]) == ("finite_population_exact",)


def test_a_finite_claim_with_a_missing_unit_keeps_its_interval(make_trial: Any) -> None:
    table = _within(np.arange(10.0), np.arange(10.0))
    table.iloc[3, table.columns.get_loc("value")] = np.nan
    row = _only(estimate(_finite(make_trial), table))
    assert np.isfinite(row["conf_low"])
    assert "finite_population_unavailable" in split(row["flags"])


def test_a_known_effect_is_held_against_the_margin_itself(make_trial: Any) -> None:
    outcome = {"name": "gap", "role": "guardrail", "metric": "kl", "margin": 0.5}
    for shift, verdict in ((0.4, "non_inferior"), (0.6, "harm_not_excluded")):
        table = _within(np.arange(10.0), np.linspace(0, 2 * shift, 10))
        row = _only(estimate(_finite(make_trial, outcomes=[outcome]), table))
        assert verdict in split(row["flags"])


def test_placebo_draws_are_said_to_be_fixed(make_trial: Any) -> None:
    rng = np.random.default_rng(0)
    table = _within(rng.normal(size=20), rng.normal(size=20))
    table["draw"] = [pd.NA] * 20 + list(range(5)) * 4
    row = _only(estimate(make_trial(assignment=CROSSOVER), table))
    assert "fixed_draws:5" in split(row["flags"])


def test_all_contrasts_of_three_arms_agree_with_r(make_trial: Any, golden: Any) -> None:
    plants = golden("data_plants")
    arms = [{"name": n, "intervention": {"kind": "none"}} for n in ("ctrl", "trt1", "trt2")]
    contrasts = [["trt1", "ctrl"], ["trt2", "ctrl"], ["trt2", "trt1"]]
    welch = {"contrasts": contrasts, "estimator": "welch"}
    table = pd.DataFrame(
        {
            "unit_id": range(30),
            "arm": plants["group"],
            "outcome": "gap",
            "value": plants["y"].astype(float),
        }
    )
    effects = estimate(make_trial(arms=arms, analysis=welch), table)
    expected = golden("plants")
    assert effects["treatment"].tolist() == expected["treatment"].tolist()
    assert effects["p_adjusted"].tolist() == pytest.approx(expected["p_adjusted"].astype(float))
    assert effects["family_size"].tolist() == [3, 3, 3]


def test_comparisons_that_were_not_registered_are_post_hoc(
    make_trial: Any, make_observations: Any
) -> None:
    y = np.random.default_rng(0).normal(size=20)
    table = make_observations(y, ["treated", "control"] * 10)
    flipped = make_trial(analysis={"contrasts": [["control", "treated"]]})
    assert _only(estimate(flipped, table, registered=make_trial()))["flags"] == "post_hoc"
    assert _only(estimate(flipped, table, registered=flipped))["flags"] == ""


@settings(max_examples=60, deadline=None)
@given(
    scale=st.floats(0.01, 100),
    shift=st.floats(-100, 100),
    seed=st.integers(0, 1000),
    name=st.sampled_from(["welch", "difference_in_means", "ancova", "lin", "block", "cluster"]),
)
def test_estimates_follow_the_units_of_the_outcome(
    scale: float, shift: float, seed: int, name: str, make_sample: Any
) -> None:
    rng = np.random.default_rng(seed)
    columns = {
        "block": np.arange(36) // 12,
        "cluster": np.arange(36) // 4,
        "x": rng.normal(size=36),
    }
    frame = pd.DataFrame({"y": rng.normal(size=36), "z": [1, 0] * 18, **columns})
    covariates = ("x",) if name in {"ancova", "lin", "cluster"} else ()
    fit = ESTIMATORS[name].fit
    one = fit(make_sample(frame, covariates), 0.05)
    moved = fit(make_sample(frame.assign(y=scale * frame["y"] + shift), covariates), 0.05)
    assert moved.estimate == pytest.approx(scale * one.estimate, rel=1e-6, abs=1e-9)
    assert moved.std_error == pytest.approx(scale * one.std_error, rel=1e-6)
    assert moved.df == pytest.approx(one.df, rel=1e-6)
    mirrored = fit(make_sample(frame.assign(z=1 - frame["z"]), covariates), 0.05)
    assert mirrored.estimate == pytest.approx(-one.estimate, rel=1e-6, abs=1e-9)
    assert mirrored.std_error == pytest.approx(one.std_error, rel=1e-6)


def test_every_flag_has_a_sentence_and_survives_its_cell() -> None:
    assert all(sentence.endswith(".") for sentence in FLAGS.values())
    assert explain("few_clusters:6").startswith("(6) There are only")
    assert split(join(["zero_inflated:0.8", "missing_treatment:3", "zero_inflated:0.8"])) == (
        "missing_treatment:3",
        "zero_inflated:0.8",
    )
    with pytest.raises(KeyError):
        explain("nonsense")


def test_estimation_loads_neither_torch_nor_dowhy() -> None:
    code = (
        "import sys, causal_sae.estimation as e; e.estimate, e.refute;"
        "print([m for m in ('torch', 'dowhy', 'matplotlib', 'nnsight') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
