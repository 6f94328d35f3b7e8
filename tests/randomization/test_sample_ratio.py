"""The sizes of the arms against their shares."""

from __future__ import annotations

import pandas as pd
import pytest

from causal_sae.errors import DataError, GateError
from causal_sae.randomization import assign, sample_ratio_check
from causal_sae.spec import Trial


def make_trial(method: str = "complete", shares: tuple[float, ...] = (1, 1)) -> Trial:
    design = {"method": method} | ({"cluster_by": "template"} if method == "cluster" else {})
    return Trial.model_validate(
        {
            "schema": 1,
            "name": "sizes",
            "question": "How many?",
            "assignment": design,
            "arms": [
                {"name": f"arm{i}", "intervention": {"kind": "none"}, "share": share}
                for i, share in enumerate(shares)
            ],
            "outcomes": [{"name": "y", "metric": "entropy"}],
        }
    )


def sizes(**arms: int) -> pd.DataFrame:
    names = [arm for arm, n in arms.items() for _ in range(n)]
    return pd.DataFrame({"unit_id": [str(i) for i in range(len(names))], "arm": names})


def test_statistic_equals_scipy_chisquare() -> None:
    """scipy.stats.chisquare([60, 40, 100], [50, 50, 100]) = 4.0, p = .1353352832."""
    ratio = sample_ratio_check(make_trial(shares=(1, 1, 2)), sizes(arm0=60, arm1=40, arm2=100))
    assert ratio.chi2 == pytest.approx(4.0)
    assert ratio.df == 2
    assert ratio.p_value == pytest.approx(0.1353352832)
    assert ratio.passed
    assert ratio.observed == {"arm0": 60, "arm1": 40, "arm2": 100}
    assert ratio.expected == {"arm0": 50.0, "arm1": 50.0, "arm2": 100.0}
    ratio.require()


def test_a_mismatch_stops_the_work() -> None:
    ratio = sample_ratio_check(make_trial(), sizes(arm0=600, arm1=400))
    assert not ratio.passed
    with pytest.raises(GateError, match=r"arm0: 600 instead of 500.0; arm1: 400 instead of 500.0"):
        ratio.require()


def test_an_arm_that_lost_every_unit_is_counted() -> None:
    ratio = sample_ratio_check(make_trial(), sizes(arm0=40))
    assert ratio.observed == {"arm0": 40, "arm1": 0}
    assert not ratio.passed


def test_clusters_are_counted_where_clusters_were_dealt() -> None:
    units = pd.DataFrame({"unit_id": [str(i) for i in range(200)]})
    units["template"] = ["big"] * 180 + ["b", "c", "d"] * 6 + ["b", "c"]
    trial = make_trial("cluster")
    ratio = sample_ratio_check(trial, assign(trial, units))
    assert ratio.observed == {"arm0": 2, "arm1": 2}
    assert ratio.passed


def test_long_observations_count_each_unit_once() -> None:
    frame = pd.concat([sizes(arm0=50, arm1=50)] * 30)
    assert sample_ratio_check(make_trial(), frame).observed == {"arm0": 50, "arm1": 50}


def test_crossover_expects_every_arm_equally() -> None:
    trial = make_trial("crossover")
    assigned = assign(trial, pd.DataFrame({"unit_id": [str(i) for i in range(9)]}))
    assert sample_ratio_check(trial, assigned).chi2 == 0


def test_a_strange_arm_is_refused() -> None:
    with pytest.raises(DataError, match="'arm9' is not: did you mean 'arm"):
        sample_ratio_check(make_trial(), sizes(arm9=3))


def test_an_empty_assignment_is_refused() -> None:
    with pytest.raises(DataError, match="at least one row"):
        sample_ratio_check(make_trial(), sizes())
