"""Every estimator against R: estimatr, clubSandwich and stats, frozen in estimates.csv."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from causal_sae.estimation.estimators import ESTIMATORS

GOLDENS = Path(__file__).parents[1] / "goldens" / "estimation"
CASES = pd.read_csv(GOLDENS / "estimates.csv", keep_default_na=False)


@pytest.mark.parametrize("row", CASES.to_dict("records"), ids=CASES["case"].tolist())
def test_agrees_with_r(row: dict[str, Any], make_sample: Any, golden: Any) -> None:
    frame = golden(f"data_{row['data']}")
    name, _, clustered = str(row["estimator"]).partition(" ")
    if name == "paired":
        frame = frame.sort_values(["unit", "z"], ascending=[True, False])
        frame = frame if clustered else frame.drop(columns="cluster", errors="ignore")
    sample = make_sample(frame, tuple(str(row["covariates"]).split()))
    result = ESTIMATORS[name].fit(sample, 0.05)
    assert result.estimate == pytest.approx(row["estimate"], rel=1e-9, abs=1e-10)
    assert result.std_error == pytest.approx(row["std_error"], rel=1e-8)
    assert result.df == pytest.approx(row["df"], rel=1e-5)
    assert result.p_value == pytest.approx(row["p_value"], rel=1e-6, abs=1e-12)
    assert result.conf_low == pytest.approx(row["conf_low"], rel=1e-6)
    assert result.conf_high == pytest.approx(row["conf_high"], rel=1e-6)


@pytest.mark.parametrize(
    ("estimator", "data", "estimate", "std_error", "df", "p_value"),
    [
        ("difference_in_means", "mtcars", 7.2449393, 1.92320213, 30, None),
        ("cluster", "mtcars", 7.2449393, 1.4755371, 3.0466659, 0.0156008),
        ("block", "npk", 5.6166667, 1.8456781, 12, None),
        ("welch", "sleep", 1.58, None, None, 0.07939414),
        ("paired", "sleep", 1.58, 0.38895872, 9, 0.0028328902),
    ],
)
def test_published_values(
    estimator: str,
    data: str,
    estimate: float,
    std_error: float | None,
    df: float | None,
    p_value: float | None,
    make_sample: Any,
    golden: Any,
) -> None:
    frame = golden(f"data_{data}")
    if estimator == "paired":
        frame = frame.sort_values(["unit", "z"], ascending=[True, False])
    result = ESTIMATORS[estimator].fit(make_sample(frame), 0.05)
    expected = {"estimate": estimate, "std_error": std_error, "df": df, "p_value": p_value}
    for column, value in expected.items():
        if value is not None:
            assert getattr(result, column) == pytest.approx(value, rel=1e-6, abs=6e-8), column


def test_published_interval_of_mtcars(make_sample: Any, golden: Any) -> None:
    result = ESTIMATORS["difference_in_means"].fit(make_sample(golden("data_mtcars")), 0.05)
    assert (result.conf_low, result.conf_high) == pytest.approx((3.3172365, 11.172642), rel=1e-7)


def test_hc2_of_two_arms_is_neymans_standard_error(make_sample: Any, golden: Any) -> None:
    sample = make_sample(golden("data_blocked"))
    welch = ESTIMATORS["welch"].fit(sample, 0.05)
    hc2 = ESTIMATORS["difference_in_means"].fit(sample, 0.05)
    assert hc2.estimate == pytest.approx(welch.estimate, rel=1e-12)
    assert hc2.std_error == pytest.approx(welch.std_error, rel=1e-12)
    assert hc2.df == len(sample) - 2 > welch.df


def test_blocks_too_small_for_variances_still_count_by_size(make_sample: Any, golden: Any) -> None:
    frame = golden("data_uneven_blocks").astype(float)
    result = ESTIMATORS["block"].fit(make_sample(frame), 0.05)
    by_block = [
        (len(rows), rows.loc[rows["z"] == 1, "y"].mean() - rows.loc[rows["z"] == 0, "y"].mean())
        for _, rows in frame.groupby("block")
    ]
    sizes, effects = np.array(by_block).T
    assert result.estimate == pytest.approx(sizes @ effects / sizes.sum(), rel=1e-10)
    assert result.flags == ("few_blocks:18", "block_regression", "probability_weighted")


def test_cluster_of_one_row_each_is_close_to_hc2(make_sample: Any, golden: Any) -> None:
    frame = golden("data_mtcars").assign(cluster=range(32))
    cr2 = ESTIMATORS["cluster"].fit(make_sample(frame), 0.05)
    hc2 = ESTIMATORS["difference_in_means"].fit(make_sample(frame), 0.05)
    assert cr2.std_error == pytest.approx(hc2.std_error, rel=1e-10)  # CR2 of singletons is HC2


def test_cluster_flags_few_clusters_and_low_degrees_of_freedom(
    make_sample: Any, golden: Any
) -> None:
    result = ESTIMATORS["cluster"].fit(make_sample(golden("data_mtcars")), 0.05)
    assert set(result.flags) == {"few_clusters:6", "low_df:3.0"}


def test_one_cluster_in_an_arm_is_no_inference(make_sample: Any) -> None:
    frame = pd.DataFrame(
        {"y": np.arange(9.0), "z": [1] * 3 + [0] * 6, "cluster": [0, 0, 0, 1, 1, 1, 2, 2, 2]}
    )
    result = ESTIMATORS["cluster"].fit(make_sample(frame), 0.05)
    assert np.isnan(result.estimate)
    assert result.flags == ("too_few_clusters",)
