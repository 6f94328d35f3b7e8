"""The design's own estimator with Hall's limits: against R, and what must hold of any sample."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from causal_sae.estimation import estimate
from causal_sae.estimation.estimators import ESTIMATORS, hall
from causal_sae.estimation.guardrails import inverted
from causal_sae.flags import split

COLUMNS = ["estimate", "std_error", "df", "p_value", "conf_low", "conf_high"]
SHAPES = {"normal": 0.3, "exponential": 1.0, "lognormal": 1.3}


def _golden_sample(case: str, make_sample: Any, golden: Any) -> Any:
    name, _, what = case.partition(", ")
    frame = golden(f"data_{name}").astype(float)
    if name == "mtcars":
        frame = frame.drop(columns="cluster")
    elif name in {"sleep", "paired"}:
        frame = frame.drop(columns="cluster", errors="ignore")
        frame = frame.sort_values(["unit", "z"], ascending=[True, False])
    if what:
        frame["y"] = np.exp(frame["y"] / 5)
    return make_sample(frame, ("x",) if what == "adjusted" else ())


@pytest.mark.parametrize("row", range(14))
def test_limits_agree_with_r(row: int, make_sample: Any, golden: Any) -> None:
    """R's uniroot stops at 1e-13 of a t statistic, hence 1e-9 of these limits."""
    expected = golden("hall").iloc[row]
    fit = hall.fit_one_sided if expected["one_sided"] else hall.fit
    found = fit(_golden_sample(expected["case"], make_sample, golden), expected["alpha"])
    for column in COLUMNS:
        assert getattr(found, column) == pytest.approx(expected[column], rel=1e-9), column


@st.composite
def samples(draw: Any) -> Any:
    """A design without clusters, a shape, and units of it."""
    design = draw(st.sampled_from(["within", "plain", "covariate", "blocks", "pairs"]))
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    n = draw(st.integers(4, 30)) * 2
    y = np.exp(SHAPES[draw(st.sampled_from(sorted(SHAPES)))] * rng.normal(size=n))
    z = np.tile([1, 0], n // 2)
    frame = pd.DataFrame({"y": y + draw(st.floats(-1, 1)) * z, "z": z})
    if design == "within":
        frame["unit"] = np.arange(n) // 2
    elif design == "covariate":
        frame["x"] = rng.normal(size=n)
    elif design == "blocks":
        frame["block"] = (np.arange(n) // 4).clip(0, n // 4 - 1)
    elif design == "pairs":
        frame["block"] = np.arange(n) // 2
    return frame


def _sample(frame: pd.DataFrame, make_sample: Any) -> Any:
    return make_sample(frame, ("x",) if "x" in frame else ())


@given(frame=samples(), alpha=st.sampled_from([0.01, 0.05, 0.2]))
@settings(max_examples=60, deadline=None)
def test_it_is_students_and_never_narrower(frame: Any, alpha: float, make_sample: Any) -> None:
    sample = _sample(frame, make_sample)
    own = ESTIMATORS[hall.base(sample)].fit(sample, alpha)
    found = hall.fit(sample, alpha)
    assert (found.estimate, found.std_error, found.df) == (own.estimate, own.std_error, own.df)
    assert found.conf_low <= own.conf_low
    assert found.conf_high >= own.conf_high
    assert found.p_value >= own.p_value
    assert (found.conf_low > 0 or found.conf_high < 0) == (found.p_value < alpha)


@given(frame=samples(), scale=st.sampled_from([-3.0, 0.25, 1e6]))
@settings(max_examples=40, deadline=None)
def test_limits_move_with_the_unit_and_the_sign_of_the_outcome(
    frame: Any, scale: float, make_sample: Any
) -> None:
    other = frame.assign(y=frame["y"] * scale)
    one, other = (hall.fit(_sample(f, make_sample), 0.05) for f in (frame, other))
    limits = sorted([scale * one.conf_low, scale * one.conf_high])
    assert [other.conf_low, other.conf_high] == pytest.approx(limits, rel=1e-6)
    assert other.p_value == pytest.approx(one.p_value, rel=1e-6)


@given(frame=samples(), effect=st.floats(-2, 2), side=st.sampled_from([-1, 1]))
@settings(max_examples=40, deadline=None)
def test_the_one_sided_test_is_the_interval_inverted(
    frame: Any, effect: float, side: int, make_sample: Any
) -> None:
    sample = _sample(frame, make_sample)
    expected = inverted(partial(hall.fit_one_sided, sample), effect, side)
    found = hall.beyond_effect(sample, effect, side)
    if found < 0.5:  # above, neither excludes anything
        assert found == pytest.approx(expected, abs=1e-8)
    else:
        assert expected >= 0.5 - 1e-8


def test_symmetric_differences_have_students_interval(make_sample: Any) -> None:
    y = np.array([-2, -1, -0.5, 0.5, 1, 2])
    frame = pd.DataFrame(
        {"unit": np.repeat(range(6), 2), "z": [1, 0] * 6, "y": np.column_stack([y, 0 * y]).ravel()}
    )
    sample = make_sample(frame)
    found, own = hall.fit(sample, 0.05), ESTIMATORS["paired"].fit(sample, 0.05)
    assert (found.conf_low, found.conf_high) == pytest.approx((own.conf_low, own.conf_high))
    assert found.flags == ()


def test_a_long_tail_is_told_and_widens_its_own_side_alone(make_sample: Any) -> None:
    y = np.random.default_rng(0).lognormal(size=60)
    frame = pd.DataFrame({"unit": np.repeat(range(60), 2), "z": [1, 0] * 60, "y": 0.0})
    frame.loc[frame["z"] == 1, "y"] = y
    sample = make_sample(frame)
    found, own = hall.fit(sample, 0.05), ESTIMATORS["paired"].fit(sample, 0.05)
    assert found.conf_low == own.conf_low
    assert found.conf_high > own.conf_high + 0.1 * own.std_error
    assert [code.partition(":")[0] for code in found.flags] == ["skewness_corrected"]


@pytest.mark.parametrize("design", ["within", "unequal arms", "pairs"])
def test_it_holds_its_level_where_student_does_not(design: str, make_sample: Any) -> None:
    """1,000 lognormal samples: a right rate is within 3.29 standard errors of 5%."""
    rng, misses = np.random.default_rng(1), []
    for _ in range(1000):
        sample = _skewed(design, rng, make_sample)
        both = (hall.fit(sample, 0.05), ESTIMATORS[hall.base(sample)].fit(sample, 0.05))
        misses.append([not e.conf_low <= 0 <= e.conf_high for e in both])
    found, own = np.mean(misses, axis=0)
    limit = 0.05 + 3.29 * np.sqrt(0.05 * 0.95 / 1000)
    assert found <= limit < own


def _skewed(design: str, rng: np.random.Generator, make_sample: Any) -> Any:
    if design == "unequal arms":
        y, z = rng.lognormal(size=75), np.arange(75) < 15
        return make_sample(pd.DataFrame({"y": y, "z": z.astype(int)}))
    n = 30
    gain = rng.lognormal(size=n) - np.exp(0.5)
    y = np.column_stack([gain + 0.1 * rng.normal(size=n), np.zeros(n)]).ravel()
    frame = pd.DataFrame({"y": y, "z": [1, 0] * n})
    return make_sample(
        frame.assign(**{"unit" if design == "within" else "block": np.arange(2 * n) // 2})
    )


def test_few_blocks_with_one_treated_unit_get_hc3(make_sample: Any, golden: Any) -> None:
    sample = make_sample(golden("data_small_blocks").astype(float))
    found = hall.fit(sample, 0.05)
    hc3 = ESTIMATORS["block"].fit(replace(sample, se_type="HC3"), 0.05)
    assert found.std_error == hc3.std_error
    assert "hc3" in found.flags


@pytest.mark.parametrize(
    ("changes", "estimator"),
    [
        ({}, "hall"),
        ({"analysis": {"multiplicity": {"method": "dunnett"}}}, "welch"),
        ({"analysis": {"multiplicity": {"method": "single_step"}}}, "welch"),
        ({"analysis": {"multiplicity": {"method": "maxt"}}}, "welch"),
        ({"assignment": {"method": "complete", "cluster_by": "cluster"}}, "cluster"),
    ],
)
def test_auto_takes_it_unless_clusters_or_joint_statistics_forbid(
    changes: Any, estimator: str, make_trial: Any, make_observations: Any
) -> None:
    rng = np.random.default_rng(0)
    arm = ["treated", "control"] * 20
    table = make_observations(rng.lognormal(size=40), arm, cluster=np.arange(40) // 2)
    assert estimate(make_trial(**changes), table)["estimator"].tolist() == [estimator]


def test_the_margin_is_tested_with_its_own_interval(
    make_trial: Any, make_observations: Any
) -> None:
    """A divergence has a long right tail: the bound against harm must not be Student's."""
    rng = np.random.default_rng(3)
    arm = np.array(["treated"] * 60 + ["control"] * 60)
    y = np.where(arm == "treated", rng.lognormal(-2, 1.5, size=120), 0.01 * rng.random(120))
    outcome = {"name": "gap", "role": "guardrail", "metric": "kl", "margin": 0.6}
    row, student = (
        estimate(
            make_trial(outcomes=[outcome], analysis={"estimator": name}),
            make_observations(y, arm),
        ).iloc[0]
        for name in ("auto", "welch")
    )
    assert row["conf_high"] > student["conf_high"]
    assert (row["conf_high"] < 0.6) == (row["p_value"] < 0.05)
    assert "skewness_corrected" in str(split(row["flags"]))
