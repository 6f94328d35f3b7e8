"""CR3 where clusters are few: against clubSandwich, and when ``auto`` takes it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from causal_sae.estimation import estimate
from causal_sae.estimation.estimators import ESTIMATORS

CASES = pd.read_csv(
    Path(__file__).parents[1] / "goldens" / "estimation" / "cr3.csv", keep_default_na=False
)


@pytest.mark.parametrize("row", CASES.to_dict("records"))
def test_agrees_with_clubsandwich(row: dict[str, Any], make_sample: Any, golden: Any) -> None:
    frame = golden(f"data_{row['data']}")
    if row["estimator"] == "paired":
        frame = frame.sort_values(["unit", "z"], ascending=[True, False])
    sample = make_sample(frame, tuple(str(row["covariates"]).split()))
    few_fit = ESTIMATORS[row["estimator"]].few_fit
    assert few_fit is not None
    result = few_fit(sample, 0.05)
    assert result.estimate == pytest.approx(row["estimate"], rel=1e-9, abs=1e-10)
    assert result.std_error == pytest.approx(row["std_error"], rel=1e-8)
    assert result.df == pytest.approx(row["df"], rel=1e-5)
    assert result.p_value == pytest.approx(row["p_value"], rel=1e-6, abs=1e-12)
    assert (result.conf_low, result.conf_high) == pytest.approx(
        (row["conf_low"], row["conf_high"]), rel=1e-6
    )


def test_it_is_the_jackknife_of_clusters(make_sample: Any, golden: Any) -> None:
    frame = golden("data_clustered")
    few_fit = ESTIMATORS["cluster"].few_fit
    assert few_fit is not None
    whole = few_fit(make_sample(frame), 0.05)
    left_out = [
        _difference(frame[frame["cluster"] != cluster]) for cluster in frame["cluster"].unique()
    ]
    # Around the whole sample's estimate, without the factor (g - 1) / g.
    squares = (np.array(left_out) - whole.estimate) ** 2
    assert whole.std_error == pytest.approx(float(np.sqrt(squares.sum())), rel=1e-9)


def _difference(frame: pd.DataFrame) -> float:
    means = frame.groupby("z")["y"].mean()
    return float(means[1] - means[0])


def _declared(make_trial: Any, **analysis: Any) -> Any:
    return make_trial(
        assignment={"method": "cluster", "cluster_by": "cluster"}, analysis=dict(analysis)
    )


def _table(clusters: int) -> pd.DataFrame:
    rng = np.random.default_rng(clusters)
    cluster = np.repeat(np.arange(clusters), 3)
    value = rng.normal(size=clusters)[cluster] + rng.normal(size=len(cluster))
    return pd.DataFrame(
        {
            "unit_id": [f"u{i:03d}" for i in range(len(cluster))],
            "arm": np.where(cluster % 2, "treated", "control"),
            "outcome": "gap",
            "value": value,
            "cluster": cluster,
        }
    )


def test_auto_takes_it_below_thirty_clusters_and_says_so(make_trial: Any) -> None:
    for clusters, taken in ((12, True), (30, False)):
        table = _table(clusters)
        auto, declared = (
            estimate(_declared(make_trial, estimator=name), table).iloc[0]
            for name in ("auto", "cluster")
        )
        assert auto["estimator"] == declared["estimator"] == "cluster"
        assert ("cr3" in auto["flags"]) is taken
        assert "cr3" not in declared["flags"]
        if taken:
            assert auto["std_error"] > 1.02 * declared["std_error"]
        else:
            assert auto["std_error"] == declared["std_error"]
