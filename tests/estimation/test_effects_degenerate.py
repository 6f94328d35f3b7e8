"""What an estimate makes of units that are missing and of outcomes that do not vary."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from causal_sae.estimation import estimate
from causal_sae.flags import split

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


def test_missing_units_are_counted_by_arm_and_left_out(
    make_trial: Any, make_observations: Any
) -> None:
    y = np.random.default_rng(0).normal(size=40)
    table = make_observations(y, ["treated", "control"] * 20, status="ok")
    table.loc[0, "status"] = "nan_logits"  # a value is there, but must not be used
    table.loc[2, "value"] = np.nan
    table.loc[1, "value"] = np.nan
    row = _only(estimate(make_trial(), table))
    assert (row["n_treatment"], row["n_reference"]) == (18, 19)
    assert row["mean_treatment"] == pytest.approx(y[4::2].mean())
    assert split(row["flags"]) == ("missing_treatment:2", "missing_reference:1")


def test_units_whose_rows_were_dropped_are_missing_too(make_trial: Any) -> None:
    outcomes = [{"name": name, "metric": "entropy"} for name in ("gap", "other")]
    rng = np.random.default_rng(0)
    units = pd.DataFrame(
        {"unit_id": [f"u{i}" for i in range(20)], "arm": ["treated", "control"] * 10}
    )
    table = pd.concat(
        [units.assign(outcome=o["name"], value=rng.normal(size=20)) for o in outcomes]
    )
    lost = ~((table["outcome"] == "gap") & table["unit_id"].isin(["u0", "u2"]))
    effects = estimate(make_trial(outcomes=outcomes), table[lost]).set_index("outcome")
    assert effects.loc["gap", "flags"] == "missing_treatment:2"
    assert effects.loc["other", "flags"] == ""


def test_loss_that_differs_between_the_arms_is_flagged(
    make_trial: Any, make_observations: Any
) -> None:
    y = np.random.default_rng(0).normal(size=60)
    y[:20:2] = np.nan
    flags = split(
        _only(estimate(make_trial(), make_observations(y, ["treated", "control"] * 30)))["flags"]
    )
    assert "differential_missing" in flags


def test_a_unit_without_its_pair_leaves_the_comparison(make_trial: Any) -> None:
    table = _within(np.arange(10.0), np.arange(10.0))
    table.iloc[12, table.columns.get_loc("value")] = np.nan
    row = _only(estimate(make_trial(assignment=CROSSOVER), table))
    assert row["n_treatment"] == row["n_reference"] == 9
    assert row["estimate"] == pytest.approx((45 - 2) / 9)
    assert set(split(row["flags"])) >= {"missing_treatment:1", "incomplete_pairs:1"}


@pytest.mark.parametrize(
    "assignment", [{"method": "crossover"}, {"method": "crossover", "cluster_by": "c"}]
)
def test_identical_arms_are_exactly_zero(assignment: Any, make_trial: Any) -> None:
    y = np.random.default_rng(0).normal(size=40) * 1e6 + 0.1
    row = _only(
        estimate(make_trial(assignment=assignment), _within(y, 0.0, cluster=np.arange(40) // 4))
    )
    assert (row["estimate"], row["std_error"], row["p_value"]) == (0.0, 0.0, 1.0)
    assert (row["conf_low"], row["conf_high"]) == (0.0, 0.0)
    assert row["reject"] is np.False_ or not row["reject"]
    assert "exact_zero" in split(row["flags"])


@pytest.mark.parametrize("estimator", ["ancova", "lin", "dowhy"])
def test_identical_arms_adjusted_for_the_clean_outcome_are_exactly_zero(
    estimator: str, make_trial: Any, make_observations: Any
) -> None:
    """Residuals are rounding only; without care p would be an arbitrary number."""
    y = np.random.default_rng(0).normal(3, 1e-3, size=40)
    table = make_observations(y, ["treated", "control"] * 20, clean_outcome=y)
    trial = make_trial(analysis={"covariates": ["clean_outcome"], "estimator": estimator})
    row = _only(estimate(trial, table))
    assert (row["estimate"], row["p_value"]) == (0.0, 1.0)
    assert "exact_zero" in split(row["flags"])


def test_a_constant_outcome_is_zero_and_a_shifted_one_has_no_test(
    make_trial: Any, make_observations: Any
) -> None:
    arms = ["treated", "control"] * 5
    constant = _only(estimate(make_trial(), make_observations([0.1] * 10, arms)))
    assert (constant["estimate"], constant["p_value"]) == (0.0, 1.0)
    assert split(constant["flags"]) == ("constant_outcome", "exact_zero")
    shifted = _only(estimate(make_trial(), make_observations([0.3, 0.1] * 5, arms)))
    assert shifted["estimate"] == pytest.approx(0.2)
    assert np.isnan(shifted["p_value"])
    assert shifted["reject"] is pd.NA
    assert set(split(shifted["flags"])) == {"no_variance", "p_missing"}


@pytest.mark.parametrize(
    ("assignment", "columns"),
    [
        ({"method": "complete"}, {}),
        ({"method": "block", "block_by": ["b"]}, {"block": 1}),
        ({"method": "complete", "cluster_by": "c"}, {"cluster": [1, 2]}),
    ],
)
def test_one_unit_an_arm_is_no_inference(
    assignment: Any, columns: Any, make_trial: Any, make_observations: Any
) -> None:
    table = make_observations([1.0, 2.0], ["treated", "control"], **columns)
    row = _only(estimate(make_trial(assignment=assignment), table))
    assert np.isnan(row["p_value"])
    assert np.isnan(row["conf_low"])
    assert any(flag.startswith("too_few") for flag in split(row["flags"]))


@pytest.mark.parametrize(
    ("assignment", "covariates"),
    [
        ({"method": "complete"}, []),
        ({"method": "complete"}, ["x"]),
        ({"method": "block", "block_by": ["b"]}, ["x"]),
        ({"method": "block_cluster", "block_by": ["b"], "cluster_by": "c"}, ["x"]),
        ({"method": "crossover"}, []),
        ({"method": "crossover", "cluster_by": "c"}, []),
    ],
)
@pytest.mark.parametrize("lost", ["everything", "one arm"])
def test_an_outcome_that_was_never_measured_is_said_to_be_missing(
    assignment: Any, covariates: list[str], lost: str, make_trial: Any, make_observations: Any
) -> None:
    arms = np.array(["treated", "control"] * 6)
    y = np.where(arms == "control", 1.0 + np.arange(12), np.nan) if lost == "one arm" else np.nan
    table = make_observations(
        np.broadcast_to(y, 12), arms, block="a", cluster=np.arange(12) // 2, x=np.arange(12.0)
    )
    if assignment["method"] == "crossover":
        table["unit_id"] = np.repeat([f"u{i}" for i in range(6)], 2)
    trial = make_trial(assignment=assignment, analysis={"covariates": covariates})
    row = _only(estimate(trial, table))
    assert np.isnan(row["estimate"])
    assert row["reject"] is pd.NA
    assert {"missing_treatment:6", "p_missing"} <= set(split(row["flags"]))


def test_blocks_with_one_arm_only_are_dropped_and_counted(
    make_trial: Any, make_observations: Any
) -> None:
    y, arm = np.arange(14.0) ** 1.5, ["treated", "control"] * 6 + ["treated", "treated"]
    block = [0] * 6 + [1] * 6 + [2] * 2
    trial = make_trial(assignment={"method": "block", "block_by": ["b"]})
    row = _only(estimate(trial, make_observations(y, arm, block=block)))
    assert row["n_treatment"] == row["n_reference"] == 6
    assert row["df"] == 12 - 4
    assert "blocks_dropped:1" in split(row["flags"])


def test_a_useless_covariate_is_dropped_with_a_flag(
    make_trial: Any, make_observations: Any
) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=40)
    table = make_observations(
        rng.normal(size=40), ["treated", "control"] * 20, x=x, twice=2 * x + 5, same=7.0
    )
    with_all = estimate(make_trial(analysis={"covariates": ["x", "twice", "same"]}), table)
    alone = estimate(make_trial(analysis={"covariates": ["x"]}), table)
    assert with_all["std_error"][0] == pytest.approx(alone["std_error"][0], rel=1e-12)
    assert with_all["flags"][0] == "covariate_dropped:same;covariate_dropped:twice"
