"""Factorial effects against R, against two-arm estimators, and their error rates."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from causal_sae.errors import DataError, SpecError
from causal_sae.estimation import companions, estimate
from causal_sae.estimation.arm_means import independent
from causal_sae.estimation.arm_models import fit_means
from causal_sae.estimation.contrasts import unit_values
from causal_sae.estimation.linear_contrasts import estimated
from causal_sae.estimation.several_arms import several_arms
from causal_sae.flags import split
from causal_sae.spec.combinations import TIMES, combinations, factors

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
        ("crossed", ""),  # Wald's F, where equal variances are declared
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
    if data in {"crossed", "wide23"} and not covariates:
        more = {"estimator": "difference_in_means"}
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


@pytest.mark.parametrize("data", ["crossed", "wide23", "clustered"])
def test_joint_tests_of_unequal_cells_and_of_clustered_units_agree_with_r(
    make_trial: Any, golden: Any, data: str
) -> None:
    name = "within" if data == "clustered" else data
    frame = _numbers(golden(f"data_factorial_{name}"))
    trial = _trial(make_trial, name, frame)
    if data == "clustered":
        design = {"method": "crossover", "cluster_by": "cluster"}
        trial = make_trial(arms=trial.arms, assignment=design, analysis=trial.analysis)
    observations = _table(frame)
    made = companions(trial, observations, estimate(trial, observations))["factorial"]
    found, expected = made.set_index("term"), golden("joint_tests")
    for _, r in expected[expected["data"] == data].iterrows():
        if r["term"] != "cells":
            ours = found.loc[str(r["term"]).replace(" x ", TIMES)]
            for column in ("df_num", "df_den", "statistic", "p_value"):
                assert ours[column] == pytest.approx(float(r[column]), rel=1e-6), column


@pytest.mark.parametrize(("spread", "warned"), [(3.0, True), (1.0, False)])
def test_walds_test_warns_of_small_cells_that_spread_differently(
    make_trial: Any, spread: float, warned: bool
) -> None:
    rng = np.random.default_rng(1)
    cell = np.repeat(np.arange(4), 12)
    frame = pd.DataFrame({"a": cell // 2, "b": cell % 2, "x": rng.normal(size=48)})
    frame["y"] = rng.normal(size=48) * np.where(cell == 0, spread, 1.0)
    for covariates in ([], ["x"]):
        trial = _trial(make_trial, "crossed", frame, covariates=covariates)
        observations = _table(frame)
        made = companions(trial, observations, estimate(trial, observations))["factorial"]
        told = made["flags"].str.contains("unequal_cells").any()
        assert told == (warned and bool(covariates))


def test_all_differences_together_are_welchs_one_way_test(golden: Any) -> None:
    expected = golden("joint_tests").set_index(["data", "term"])
    for data in ("crossed", "wide23"):
        frame = _numbers(golden(f"data_factorial_{data}"))
        cell = frame["a"] * (frame["b"].max() + 1) + frame["b"]
        k = int(cell.max()) + 1
        model = independent(frame["y"].to_numpy(float), cell.to_numpy(), k)
        found, r = model.wald(np.eye(k)[1:] - np.eye(k)[0]), expected.loc[(data, "cells")]
        for column in ("df_num", "df_den", "statistic", "p_value"):
            assert getattr(found, column) == pytest.approx(float(r[column]), rel=1e-8), column


# ---- with two arms they are the estimators of two arms ------------------------------------------

BLOCK = {"estimator": "block"}


@pytest.mark.parametrize(
    ("data", "design", "analysis"),
    [
        ("mtcars", {"method": "complete"}, {"estimator": "welch"}),
        ("mtcars", {"method": "complete"}, {"estimator": "difference_in_means", "se_type": "HC3"}),
        ("mtcars", {"method": "complete"}, {"estimator": "ancova", "covariates": ["x", "w"]}),
        ("mtcars", {"method": "complete"}, {"estimator": "lin", "covariates": ["x", "w"]}),
        ("blocked", {"method": "block", "block_by": ["block"]}, BLOCK),
        ("blocked", {"method": "block", "block_by": ["block"]}, BLOCK | {"covariates": ["x"]}),
        ("blocked", {"method": "block", "block_by": ["block"]}, {"estimator": "fixed_effects"}),
        ("uneven_blocks", {"method": "block", "block_by": ["block"]}, BLOCK),
        ("pairs", {"method": "block", "block_by": ["block"]}, BLOCK),
        ("clustered", {"method": "cluster", "cluster_by": "cluster"}, {"covariates": ["x"]}),
        (
            "block_cluster_unequal",
            {"method": "block_cluster", "block_by": ["block"], "cluster_by": "cluster"},
            {},
        ),
        ("paired", {"method": "crossover"}, {"estimator": "paired"}),
        ("paired", {"method": "crossover", "cluster_by": "cluster"}, {}),
    ],
)
def test_two_arms_give_the_numbers_of_two_arms(
    make_trial: Any, golden: Any, data: str, design: dict[str, Any], analysis: dict[str, Any]
) -> None:
    frame = _numbers(golden(f"data_{data}"))
    units = frame["unit"] if data == "paired" else pd.Series(range(len(frame)))
    table = frame.assign(
        unit_id=[f"u{int(u):04d}" for u in units],
        arm=frame["z"].map({0: "control", 1: "treated"}),
        outcome="gap",
        value=frame["y"],
    )
    trial = make_trial(assignment=design, analysis=analysis)
    expected = estimate(trial, table).iloc[0]
    values = unit_values(trial, table)
    arms = several_arms(trial, values, trial.outcomes[0], ("control", "treated"))
    found = estimated(arms, fit_means(trial, arms), np.array([-1.0, 1.0]), 0.05)
    for column in ("estimate", "std_error", "df", "p_value", "conf_low", "conf_high"):
        assert getattr(found, column) == pytest.approx(expected[column], rel=1e-9), column
    assert set(found.flags) <= set(split(expected["flags"]))


# ---- rows of the table of effects ---------------------------------------------------------------


def _observed(
    make_observations: Any, cells: int = 4, units: int = 12, seed: int = 0, **shift: float
) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    names = [f"a{i // 2}b{i % 2}" for i in range(cells)]
    arm = np.repeat(names, units)
    y = rng.normal(size=len(arm)) + np.array([shift.get(name, 0.0) for name in arm])
    return make_observations(y, arm)


def _two_by_two(make_trial: Any, method: str = "factorial", **analysis: Any) -> Any:
    declared = {"factorial": "two_way", "reference": "a0b0", **analysis}
    return make_trial(arms=_cells(2, 2), assignment={"method": method}, analysis=declared)


def test_rows_say_what_they_compare(make_trial: Any, make_observations: Any) -> None:
    trial = _two_by_two(make_trial)
    rows = estimate(trial, _observed(make_observations, a1b1=2.0)).set_index("treatment")
    assert list(rows.index[3:]) == ["a=1", "b=1", f"a=1{TIMES}b=1"]
    assert list(rows["reference"][3:]) == ["a=0", "b=0", "additive"]
    assert set(rows["family_size"]) == {6}
    main, both = rows.loc["a=1"], rows.loc[f"a=1{TIMES}b=1"]
    assert main["estimand"] == "main effect, treatment policy, superpopulation"
    assert both["estimand"] == "interaction, treatment policy, superpopulation"
    assert (main["n_treatment"], main["n_reference"]) == (24, 24)
    cells = {name: rows.loc[name] for name in ("a0b1", "a1b0", "a1b1")}
    base = cells["a1b1"]["mean_reference"]
    mean = {name: row["mean_treatment"] for name, row in cells.items()}
    additive = mean["a0b1"] + mean["a1b0"] - base
    assert both["mean_treatment"] == pytest.approx(mean["a1b1"])
    assert both["mean_reference"] == pytest.approx(additive)
    assert both["estimate"] == pytest.approx(mean["a1b1"] - additive)
    assert main["mean_treatment"] == pytest.approx((mean["a1b0"] + mean["a1b1"]) / 2)
    for row in (main, both):
        assert row["estimate"] == pytest.approx(row["mean_treatment"] - row["mean_reference"])


def test_the_base_is_the_cell_of_the_reference(make_trial: Any, make_observations: Any) -> None:
    observations = _observed(make_observations, a1b1=2.0, a1b0=1.0)
    usual = estimate(_two_by_two(make_trial), observations).set_index("treatment")
    turned = estimate(_two_by_two(make_trial, reference="a1b0"), observations)
    turned = turned.set_index("treatment")
    assert turned.loc["a=0", "reference"] == "a=1"
    assert turned.loc["a=0", "estimate"] == pytest.approx(-usual.loc["a=1", "estimate"])
    assert turned.loc["b=1", "p_value"] == pytest.approx(usual.loc["b=1", "p_value"])


def test_without_the_key_nothing_changes(make_trial: Any, make_observations: Any) -> None:
    observations = _observed(make_observations)
    plain = _two_by_two(make_trial, factorial="none")
    assert list(estimate(plain, observations)["treatment"]) == ["a0b1", "a1b0", "a1b1"]
    assert "factorial" not in companions(plain, observations, pd.DataFrame())


def test_a_margin_has_main_effects_only(make_trial: Any, make_observations: Any) -> None:
    outcome = {"name": "gap", "role": "guardrail", "metric": "kl", "margin": 3.0}
    trial = make_trial(
        arms=_cells(2, 2),
        assignment={"method": "factorial"},
        outcomes=[outcome],
        analysis={"factorial": "all", "reference": "a0b0"},
    )
    rows = estimate(trial, _observed(make_observations)).iloc[3:]
    assert list(rows["treatment"]) == ["a=1", "b=1"]
    assert all("non_inferior" in split(cell) for cell in rows["flags"])
    assert len(combinations(trial)) == 3


def test_a_comparison_that_was_not_registered_is_post_hoc(
    make_trial: Any, make_observations: Any
) -> None:
    observations = _observed(make_observations)
    registered = _two_by_two(make_trial, factorial="main")
    rows = estimate(_two_by_two(make_trial), observations, registered).set_index("treatment")
    late = {name: "post_hoc" in split(cell) for name, cell in rows["flags"].items()}
    assert [name for name, found in late.items() if found] == [f"a=1{TIMES}b=1"]


def test_identical_arms_give_exactly_nothing(make_trial: Any, make_observations: Any) -> None:
    rng = np.random.default_rng(1)
    units, arms = 20, ["a0b0", "a0b1", "a1b0", "a1b1"]
    y = np.repeat(rng.normal(size=units) * 1e3, 4)
    table = make_observations(
        y, arms * units, unit_id=np.repeat([f"u{i:02d}" for i in range(units)], 4)
    )
    trial = _two_by_two(make_trial, "crossover")
    rows = estimate(trial, table)
    assert np.all(rows["estimate"] == 0)
    assert np.all(rows["p_value"] == 1)
    assert np.all(rows["conf_low"] == 0)
    joint = companions(trial, table, rows)["factorial"]
    assert all("no_joint_test" in split(cell) for cell in joint["flags"])


@pytest.mark.parametrize("method", ["factorial", "crossover"])
@pytest.mark.parametrize("units", [1, 2])
@pytest.mark.parametrize("value", [0.0, 1.0])
def test_little_or_constant_data_never_fail(
    make_trial: Any, make_observations: Any, method: str, units: int, value: float
) -> None:
    arm = ["a0b0", "a0b1", "a1b0", "a1b1"] * units
    ids = np.repeat([f"u{i}" for i in range(units)], 4) if method == "crossover" else None
    more = {} if ids is None else {"unit_id": ids}
    y = value * np.arange(4 * units) ** 1.5
    table = make_observations(y, arm, **more)
    trial = _two_by_two(make_trial, method)
    rows = estimate(trial, table)
    assert len(rows) == 6
    assert np.isfinite(rows["estimate"]).all() == (units > 1)
    assert units > 1 or all("too_few_units" in split(cell) for cell in rows["flags"])
    joint = companions(trial, table, rows)["factorial"]
    assert len(joint) == 3


def test_units_that_lack_a_cell_leave_and_are_counted(
    make_trial: Any, make_observations: Any
) -> None:
    rng = np.random.default_rng(2)
    y = rng.normal(size=80)
    y[5] = np.nan
    ids = np.repeat([f"u{i:02d}" for i in range(20)], 4)
    table = make_observations(y, ["a0b0", "a0b1", "a1b0", "a1b1"] * 20, unit_id=ids)
    row = estimate(_two_by_two(make_trial, "crossover"), table).set_index("treatment").loc["a=1"]
    assert row["n_treatment"] == row["n_reference"] == 19
    assert {"incomplete_units:1", "missing_reference:1"} <= set(split(row["flags"]))


def test_an_arm_without_rows_is_refused(make_trial: Any, make_observations: Any) -> None:
    trial = _two_by_two(make_trial, contrasts=[["a1b0", "a0b0"]])
    table = _observed(make_observations)
    with pytest.raises(DataError, match="'a1b1' of the factorial or dose-response"):
        estimate(trial, table[table["arm"] != "a1b1"])


@pytest.mark.parametrize(
    ("analysis", "message"),
    [
        ({"estimator": "randomization"}, "'randomization' compares two arms only"),
        ({"multiplicity": {"method": "dunnett"}}, "'dunnett' "),
    ],
)
def test_what_does_not_reach_to_several_arms_is_refused(
    make_trial: Any, make_observations: Any, analysis: dict[str, Any], message: str
) -> None:
    with pytest.raises(SpecError, match=message):
        estimate(_two_by_two(make_trial, **analysis), _observed(make_observations))


def test_weights_of_three_factors(make_trial: Any) -> None:
    arms = [
        {
            "name": f"c{a}{b}{c}",
            "intervention": {"kind": "none"},
            "levels": {"a": str(a), "b": float(b), "c": str(c)},
        }
        for a in range(2)
        for b in range(3)
        for c in range(2)
    ]
    declared = {"factorial": "all", "reference": "c010"}
    trial = make_trial(arms=arms, assignment={"method": "factorial"}, analysis=declared)
    assert factors(trial) == {"a": ("0", "1"), "b": (1.0, 0.0, 2.0), "c": ("0", "1")}
    found = combinations(trial)
    assert len(found) == (1 + 2 + 1) + (2 + 1 + 2) + 2
    for one in found:
        assert sum(one.weights.values()) == pytest.approx(0)
        assert one.expected is not None
        assert sum(one.expected.values()) == pytest.approx(1)
    three = found[-1]
    assert three.treatment == TIMES.join(["a=1", "b=2", "c=1"])
    assert {arm: weight for arm, weight in three.weights.items() if weight} == {
        "c121": 1,
        "c021": -1,
        "c111": -1,
        "c120": -1,
        "c011": 1,
        "c020": 1,
        "c110": 1,
        "c010": -1,
    }


def test_silent_units_make_the_sparse_interval(make_trial: Any, make_observations: Any) -> None:
    """In a crossover of ablations the units on which no feature fires are exactly unchanged."""
    rng = np.random.default_rng(3)
    arms = _cells(2, 2)
    for arm, features in zip(arms[1:], ([4], [3], [3, 4]), strict=True):
        arm["intervention"] = {"kind": "ablate", "features": features}
    trial = make_trial(
        arms=arms,
        assignment={"method": "crossover"},
        analysis={"factorial": "two_way", "reference": "a0b0"},
    )
    exposed = np.arange(60) < 40
    moved = rng.normal(1, 0.5, size=(60, 4)) * exposed[:, None] * np.array([0, 1, 1, 2])
    y = rng.normal(size=(60, 1)) + moved
    table = make_observations(
        y.ravel(),
        ["a0b0", "a0b1", "a1b0", "a1b1"] * 60,
        unit_id=np.repeat([f"u{i:02d}" for i in range(60)], 4),
        exposed=np.repeat(exposed, 4),
    )
    rows = estimate(trial, table).iloc[3:]
    assert set(rows["estimator"]) == {"sparse"}
    assert all("exposed_stratum:40" in split(cell) for cell in rows["flags"])
    each = (moved[:, 2] + moved[:, 3] - moved[:, 0] - moved[:, 1]) / 2
    assert rows["estimate"].iloc[0] == pytest.approx(each.mean())


def test_intervals_cover_and_joint_tests_reject_as_often_as_they_say() -> None:
    rng = np.random.default_rng(9)
    sizes, weights = [8, 20, 14, 11], np.array([1.0, -1, -1, 1])
    arm = np.repeat(np.arange(4), sizes)
    covered, rejected = [], []
    for _ in range(1500):
        y = np.array([0.0, 1, 2, 3])[arm] + rng.normal(size=len(arm)) * (3 - arm % 3)
        means = independent(y, arm, 4)
        found = means.combine(weights)
        reach = stats.t.ppf(0.975, found.df) * found.std_error
        covered.append(abs(found.estimate) <= reach)
        null = independent(y - np.array([0.0, 1, 2, 3])[arm], arm, 4)
        rejected.append(null.wald(np.array([[-1.0, 0, 1, 0], [0, -1, 0, 1]])).p_value < 0.05)
    near = 3.3 * np.sqrt(0.05 * 0.95 / 1500)
    assert abs(np.mean(covered) - 0.95) < near
    assert abs(np.mean(rejected) - 0.05) < near + 0.02  # n - k df are too many here: see the docs
