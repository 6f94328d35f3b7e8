from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from causal_sae.errors import DataError
from causal_sae.estimation import companions, estimate
from causal_sae.estimation.estimators import crossover, paired
from causal_sae.estimation.order_effects import order_terms
from causal_sae.estimation.sample import Sample
from causal_sae.flags import split

NUMBERS = ("estimate", "std_error", "df", "p_value", "conf_low", "conf_high")


def _pairs(treatment: Any, reference: Any, at: Any, after: Any, cluster: Any = None) -> Sample:
    """Units in both arms; `at` and `after` are the places of treatment and reference."""
    n = len(treatment)
    return Sample(
        np.array([f"u{i:05d}" for i in range(n)]).repeat(2),
        np.column_stack([treatment, reference]).astype(np.float64).ravel(),
        np.tile([True, False], n),
        np.empty((2 * n, 0)),
        cluster=None if cluster is None else np.repeat(cluster, 2),
        order=np.column_stack([at, after]).ravel(),
    )


def _of(frame: pd.DataFrame, clustered: bool = False) -> Sample:
    wide = frame.pivot(index="unit", columns="z", values=["y", "order"])
    cluster = frame.drop_duplicates("unit").set_index("unit")["cluster"] if clustered else None
    return _pairs(
        *(wide[("y", z)] for z in (1, 0)),
        *(wide[("order", z)].astype(int) for z in (1, 0)),
        cluster=None if cluster is None else cluster.loc[wide.index].to_numpy(int),
    )


CASES = {
    "two periods": ("two", False),
    "four periods": ("four", False),
    "four periods in clusters": ("four", True),
}


@pytest.mark.parametrize("case", CASES)
def test_agrees_with_r(case: str, golden: Any) -> None:
    data, clustered = CASES[case]
    result = crossover.fit(_of(golden(f"data_within_{data}"), clustered), 0.05)
    expected = golden("crossover").set_index("case").loc[case]
    for column in NUMBERS:
        assert getattr(result, column) == pytest.approx(expected[column], rel=1e-9), column


def test_two_periods_are_hills_and_armitages_comparison(golden: Any) -> None:
    sample = _of(golden("data_within_two"))
    result = crossover.fit(sample, 0.05)
    assert sample.order is not None
    first = sample.order[sample.treated] == 1
    d = sample.outcome[sample.treated] - sample.outcome[~sample.treated]
    one, two = d[first], d[~first]
    assert result.estimate == pytest.approx((one.mean() + two.mean()) / 2)
    errors = one.var(ddof=1) / len(one), two.var(ddof=1) / len(two)
    assert result.std_error == pytest.approx(np.sqrt(sum(errors)) / 2)
    assert result.df == len(d) - 2


def test_a_period_effect_biases_the_paired_mean_and_not_this_one() -> None:
    rng = np.random.default_rng(0)
    at = np.repeat([1, 2], [30, 10])  # the treatment comes first three times in four
    base, period = 3 * rng.normal(size=40), np.array([0.0, 5.0])
    noise = 0.01 * rng.normal(size=(2, 40))
    sample = _pairs(
        base + 1 + period[at - 1] + noise[0], base + period[2 - at] + noise[1], at, 3 - at
    )
    assert crossover.fit(sample, 0.05).estimate == pytest.approx(1, abs=0.02)
    assert paired.fit(sample, 0.05).estimate == pytest.approx(1 - 5 / 2, abs=0.02)


def test_error_rate_and_coverage_are_nominal_with_period_effects() -> None:
    rng = np.random.default_rng(1)
    places = np.array([rng.permutation(3)[:2] for _ in range(40)])
    effects, covered, rejected = np.array([0.0, 2.0, 1.0]), 0, 0
    for _ in range(300):
        d = (
            0.7
            + effects[places[:, 0]]
            - effects[places[:, 1]]
            + rng.normal(size=40) * (1 + places[:, 0])
        )
        result = crossover.fit(_pairs(d, 0 * d, places[:, 0] + 1, places[:, 1] + 1), 0.05)
        covered += result.conf_low <= 0.7 <= result.conf_high
        shifted = crossover.fit(_pairs(d - 0.7, 0 * d, places[:, 0], places[:, 1]), 0.05)
        rejected += shifted.p_value <= 0.05
    assert abs(covered / 300 - 0.95) < 3.29 * np.sqrt(0.05 * 0.95 / 300)
    assert abs(rejected / 300 - 0.05) < 3.29 * np.sqrt(0.05 * 0.95 / 300)


@pytest.mark.parametrize("orders", [(1, 2), (2, 2)])
def test_an_order_that_does_not_vary_is_the_paired_test_and_flagged(orders: Any) -> None:
    rng = np.random.default_rng(2)
    at, after = (np.full(12, place) for place in orders)
    sample = _pairs(rng.normal(size=12), rng.normal(size=12), at, after)
    result, plain = crossover.fit(sample, 0.05), paired.fit(sample, 0.05)
    assert result.flags == ("order_fixed",)
    for column in NUMBERS:
        assert getattr(result, column) == pytest.approx(getattr(plain, column), rel=1e-12)


def test_orders_that_only_ever_go_forward_cannot_be_told_from_the_treatment() -> None:
    rng = np.random.default_rng(3)
    at = np.repeat([1, 2], 6)  # the treatment one place before the reference, always
    result = crossover.fit(_pairs(rng.normal(size=12), rng.normal(size=12), at, at + 1), 0.05)
    assert result.flags == ("order_fixed",)


def test_hc3_is_wider(golden: Any) -> None:
    sample = _of(golden("data_within_four"))
    wide = crossover.fit(replace(sample, se_type="HC3"), 0.05)
    assert wide.std_error > crossover.fit(sample, 0.05).std_error


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), periods=st.integers(2, 4), clustered=st.booleans())
def test_rows_may_be_shuffled_and_arms_swapped(seed: int, periods: int, clustered: bool) -> None:
    rng = np.random.default_rng(seed)
    places = np.array([rng.permutation(periods)[:2] + 1 for _ in range(30)])
    y, cluster = rng.normal(size=(2, 30)), np.arange(30) // 3 if clustered else None
    result = crossover.fit(_pairs(*y, *places.T, cluster=cluster), 0.05)
    swapped = crossover.fit(_pairs(*y[::-1], *places.T[::-1], cluster=cluster), 0.05)
    order = rng.permutation(30)
    mixed = None if cluster is None else cluster[order]
    shuffled = crossover.fit(_pairs(*y[:, order], *places[order].T, cluster=mixed), 0.05)
    for other, sign in ((swapped, -1), (shuffled, 1)):
        assert other.estimate == pytest.approx(sign * result.estimate)
        assert other.std_error == pytest.approx(result.std_error)
        assert other.p_value == pytest.approx(result.p_value)


@pytest.mark.parametrize("n", [0, 1, 2, 3])
def test_few_units_are_no_inference(n: int) -> None:
    at = np.arange(n) % 2 + 1
    result = crossover.fit(_pairs(np.arange(n) ** 2.0, np.zeros(n), at, 3 - at), 0.05)
    assert np.isnan(result.p_value)
    assert set(result.flags) & {"too_few_units", "singular"}


# ---- whole trials ----

CROSSOVER = {"assignment": {"method": "crossover"}, "analysis": {"estimator": "crossover"}}


def _table(shift: Any, **columns: Any) -> pd.DataFrame:
    n = len(shift)
    base = np.random.default_rng(4).normal(size=n)
    at = np.arange(n) % 2 + 1
    units = pd.DataFrame({"unit_id": [f"u{i}" for i in range(n)], "outcome": "gap", **columns})
    return pd.concat(
        [
            units.assign(arm="control", value=base, run_order=3 - at),
            units.assign(arm="treated", value=base + shift, run_order=at),
        ]
    )


def test_the_order_must_have_been_recorded(make_trial: Any) -> None:
    table = _table(np.arange(10.0))
    for lacking in (table.drop(columns="run_order"), table.assign(run_order=np.nan)):
        with pytest.raises(DataError, match=r"run_order.*'run_order' of every row.*use 'paired'"):
            estimate(make_trial(**CROSSOVER), lacking)


@pytest.mark.parametrize("wrong", [1.5, "first", np.inf])
def test_a_place_is_a_whole_number(wrong: Any, make_trial: Any) -> None:
    table = _table(np.arange(10.0)).astype({"run_order": object})
    table.iloc[3, table.columns.get_loc("run_order")] = wrong
    with pytest.raises(DataError, match="run_order must be a"):
        estimate(make_trial(**CROSSOVER), table)


def test_identical_arms_are_exactly_zero(make_trial: Any) -> None:
    trial, table = make_trial(**CROSSOVER), _table(np.zeros(12))
    effects = estimate(trial, table)
    row = effects.iloc[0]
    assert (row["estimate"], row["p_value"], row["conf_low"]) == (0.0, 1.0, 0.0)
    assert "exact_zero" in split(row["flags"])
    assert "order_effects" not in companions(trial, table, effects)


def test_the_order_of_a_trial_has_a_table(make_trial: Any, golden: Any) -> None:
    frame = golden("data_within_two")
    table = pd.DataFrame(
        {
            "unit_id": [f"u{i:02d}" for i in frame["unit"]],
            "arm": np.where(frame["z"] == 1, "treated", "control"),
            "outcome": "gap",
            "value": frame["y"],
            "run_order": frame["order"],
        }
    )
    trial = make_trial(**CROSSOVER)
    made = companions(trial, table, estimate(trial, table))["order_effects"]
    assert list(made["term"]) == ["period 2", "carry-over"]
    assert list(made.columns[:4]) == ["outcome", "treatment", "reference", "term"]
    expected = golden("order_effects").query("data == 'two'").set_index("case").loc[made["term"]]
    for column in (*NUMBERS, "statistic"):
        assert made[column].to_numpy() == pytest.approx(expected[column].astype(float), rel=1e-9)


def test_period_effects_and_their_joint_test_agree_with_r(golden: Any) -> None:
    frame = golden("data_within_four")
    made = {str(term["term"]): term for term in order_terms(_of(frame), 0.05, False)}
    assert sum(float(str(made[f"period {k}"]["estimate"])) for k in range(1, 5)) == pytest.approx(0)
    made["no period effects, clusters"] = order_terms(_of(frame, True), 0.05, False)[-1]
    expected = golden("order_effects").query("data == 'four'").set_index("case")
    assert len(expected) == 6
    for term, row in expected.iterrows():
        for column in (*NUMBERS, "statistic", "df_numerator"):
            if row[column] != "NA":
                assert made[str(term)][column] == pytest.approx(float(row[column]), rel=1e-8)


def test_the_joint_test_of_many_units_is_walds(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(7)
    places = np.array([rng.permutation(3)[:2] + 1 for _ in range(300)])
    sample = _pairs(rng.normal(size=300), np.zeros(300), *places.T)
    exact = order_terms(sample, 0.05, False)[-1]
    monkeypatch.setattr("causal_sae.estimation.order_effects.MANY", 300)
    wald = order_terms(sample, 0.05, False)[-1]
    assert wald["df"] == 297
    assert wald["p_value"] == pytest.approx(exact["p_value"], rel=0.02)


@pytest.mark.parametrize("clustered", [False, True])
def test_the_joint_test_rejects_as_often_as_it_says(clustered: bool) -> None:
    rng = np.random.default_rng(5)
    places = np.array([rng.permutation(4)[:2] + 1 for _ in range(60)])
    cluster = np.arange(60) // 4 if clustered else None
    rejected = 0
    for _ in range(100):
        d = rng.normal(size=60) + (rng.normal(size=15)[cluster] if clustered else 0)
        terms = order_terms(_pairs(d, 0 * d, *places.T, cluster=cluster), 0.05, False)
        rejected += float(str(terms[-1]["p_value"])) <= 0.05
    # With clusters the test is an approximation on the side of caution.
    assert (0 if clustered else 0.01) <= rejected / 100 < 0.12


def test_nothing_is_said_of_an_order_that_did_not_vary(make_trial: Any) -> None:
    rng = np.random.default_rng(6)
    y = rng.normal(size=(2, 12))
    assert order_terms(_pairs(*y, np.full(12, 1), np.full(12, 2)), 0.05, True) == []
    assert (
        order_terms(
            _pairs(*np.zeros((2, 12)), *np.array([[1, 2], [2, 1]]).repeat(6, 1)), 0.05, True
        )
        == []
    )
