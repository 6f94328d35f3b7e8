"""Factorial effects against R, against two-arm estimators, and their error rates."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from causal_sae.estimation import companions, estimate
from causal_sae.spec.combinations import TIMES

DESIGNS: dict[str, dict[str, Any]] = {
    "crossed": {"method": "factorial"},
    "wide23": {"method": "factorial"},
    "blocked": {"method": "factorial", "block_by": ["block"]},
    "quads": {"method": "factorial", "block_by": ["block"]},
    "clustered": {"method": "factorial", "cluster_by": "cluster"},
    "many": {"method": "factorial", "cluster_by": "cluster"},
    "within": {"method": "crossover"},
}


def _cells(na: int, nb: int) -> list[dict[str, Any]]:
    return [
        {
            "name": f"a{a}b{b}",
            "intervention": {"kind": "none"},
            "levels": {"a": str(a), "b": str(b)},
        }
        for a in range(na)
        for b in range(nb)
    ]


def _table(frame: pd.DataFrame) -> pd.DataFrame:
    unit = frame["unit"] if "unit" in frame else pd.Series(range(len(frame)))
    keep = [name for name in ("block", "cluster", "x") if name in frame]
    return pd.DataFrame(
        {
            "unit_id": [f"u{int(u):04d}" for u in unit],
            "arm": [f"a{a}b{b}" for a, b in zip(frame["a"], frame["b"], strict=True)],
            "outcome": "gap",
            "value": frame["y"].to_numpy(float),
            **{name: frame[name].to_numpy() for name in keep},
        }
    )


def _numbers(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.apply(pd.to_numeric)


def _trial(make_trial: Any, name: str, frame: pd.DataFrame, **analysis: Any) -> Any:
    arms = _cells(int(frame["a"].max()) + 1, int(frame["b"].max()) + 1)
    analysis = {"factorial": "two_way", "reference": "a0b0", **analysis}
    return make_trial(arms=arms, assignment=DESIGNS[name], analysis=analysis)


CASES = [
    ("crossed", "welch", ""),
    ("crossed", "difference_in_means", ""),
    ("crossed", "ancova", "x"),
    ("crossed", "lin", "x"),
    ("wide23", "welch", ""),
    ("wide23", "difference_in_means", ""),
    ("wide23", "difference_in_means", "emmeans"),
    ("wide23", "ancova", "x"),
    ("wide23", "lin", "x"),
    ("blocked", "block", ""),
    ("blocked", "block", "x"),
    ("blocked", "fixed_effects", ""),
    ("quads", "block", ""),
    ("quads", "block", "x"),
    ("clustered", "cluster", ""),
    ("clustered", "cluster", "x"),
    ("clustered", "cluster", "block"),
    ("clustered", "cluster", "even"),
    ("within", "paired", ""),
    ("within", "paired", "cluster"),
]


@pytest.mark.parametrize(("data", "estimator", "extra"), CASES)
def test_effects_agree_with_r(
    make_trial: Any, golden: Any, data: str, estimator: str, extra: str
) -> None:
    frame = _numbers(golden(f"data_factorial_{data}"))
    trial = _trial(make_trial, data, frame, estimator=estimator)
    if extra == "x":
        trial = _trial(make_trial, data, frame, estimator=estimator, covariates=["x"])
    if extra in {"block", "even"}:
        design = {"method": "block_cluster", "block_by": [extra], "cluster_by": "cluster"}
        frame["block"] = frame[extra]
        trial = make_trial(arms=trial.arms, assignment=design, analysis=trial.analysis)
    if extra == "cluster":
        design = {"method": "crossover", "cluster_by": "cluster"}
        trial = make_trial(arms=trial.arms, assignment=design, analysis=trial.analysis)
    rows = estimate(trial, _table(frame)).set_index("treatment")
    expected = golden("factorial")
    of_case = (expected["data"] == data) & (expected["estimator"] == estimator)
    expected = expected[of_case & (expected["covariates"] == extra)]
    assert len(expected) in {3, 5}
    for _, r in expected.iterrows():
        ours = rows.loc[r["treatment"].replace(" x ", TIMES)]
        assert ours["estimator"] == estimator
        for column, near in (("estimate", 1e-8), ("std_error", 1e-8), ("df", 1e-4)):
            assert ours[column] == pytest.approx(float(r[column]), abs=near), column
        for column in ("p_value", "conf_low", "conf_high"):
            assert ours[column] == pytest.approx(float(r[column]), abs=1e-6), column


@pytest.mark.parametrize(
    ("data", "covariates"),
    [
        ("crossed", ""),
        ("crossed", "x"),
        ("wide23", ""),
        ("wide23", "x"),
        ("quads", "x"),
        ("within", ""),
        ("many", ""),
    ],
)
def test_joint_tests_agree_with_r(make_trial: Any, golden: Any, data: str, covariates: str) -> None:
    frame = _numbers(golden(f"data_factorial_{data}"))
    more = {"covariates": ["x"]} if covariates else {}
    trial = _trial(make_trial, data, frame, **more)
    observations = _table(frame)
    made = companions(trial, observations, estimate(trial, observations))["factorial"]
    found = made.set_index("term")
    expected = golden("factorial_joint")
    expected = expected[(expected["data"] == data) & (expected["covariates"] == covariates)]
    assert len(expected) == 3
    for _, r in expected.iterrows():
        ours = found.loc[{"A": "a", "B": "b", "A:B": f"a{TIMES}b"}[r["term"]]]
        for column in ("df_num", "df_den", "statistic", "p_value"):
            assert ours[column] == pytest.approx(float(r[column]), rel=1e-6), column
