"""Every kind of effect size against R, its coverage, and what happens where it does not fit."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.special import expit
from statsmodels.stats.proportion import confint_proportions_2indep

from causal_sae.errors import SpecError
from causal_sae.estimation import effect_sizes, estimate
from causal_sae.estimation.effect_sizes import effect_size, ratios
from causal_sae.estimation.estimators import ESTIMATORS
from causal_sae.estimation.inference import unknown
from causal_sae.estimation.sample import Sample
from causal_sae.spec.analysis import SizeName

GOLDENS = Path(__file__).parents[1] / "goldens" / "estimation"
KINDS = pd.read_csv(GOLDENS / "effect_size_kinds.csv").to_dict("records")
ADJUSTED = pd.read_csv(GOLDENS / "adjusted_ratios.csv", keep_default_na=False).to_dict("records")
SCORES = pd.read_csv(GOLDENS / "score_ratios.csv").to_dict("records")
ERRORS = pd.read_csv(GOLDENS / "ratio_errors.csv").to_dict("records")
NONE = unknown()


def _arms(treatment: Any, reference: Any) -> Sample:
    y = np.concatenate([treatment, reference]).astype(float)
    treated = np.arange(len(y)) < len(treatment)
    return Sample(np.arange(len(y)).astype(str), y, treated, np.empty((len(y), 0)))


def _pairs(treatment: Any, reference: Any, cluster: Any = None) -> Sample:
    y = np.column_stack([treatment, reference]).ravel().astype(float)
    n = len(treatment)
    unit, treated = np.repeat(np.arange(n), 2).astype(str), np.tile([True, False], n)
    codes = None if cluster is None else np.repeat(cluster, 2)
    return Sample(unit, y, treated, np.empty((2 * n, 0)), cluster=codes)


def _bits(ones: int, n: int) -> np.ndarray:
    return np.repeat([1.0, 0.0], [ones, n - ones])


@pytest.mark.parametrize("row", KINDS, ids=lambda r: f"{r['kind']}-{r['data']}-{r['level']}")
def test_agrees_with_r(row: dict[str, Any], make_sample: Any, golden: Any) -> None:
    frame = golden(f"data_{row['data']}").astype(float)[["y", "z"]]
    size = effect_size(make_sample(frame), NONE, "plain", 1 - row["level"], row["kind"])
    assert size.kind == row["kind"]
    assert size.value == pytest.approx(row["value"], abs=1e-9)
    assert (size.low, size.high) == pytest.approx((row["low"], row["high"]), abs=1e-6)


@pytest.mark.parametrize("row", ADJUSTED, ids=lambda r: f"{r['kind']}-{r['data']}")
def test_adjusted_ratios_agree_with_r(row: dict[str, Any], make_sample: Any, golden: Any) -> None:
    sample = make_sample(golden(f"data_{row['data']}"), tuple(row["covariates"].split()))
    size = effect_size(sample, NONE, "plain", 0.05, row["kind"])
    assert size.value == pytest.approx(row["value"], rel=1e-8)
    assert (size.low, size.high) == pytest.approx((row["low"], row["high"]), rel=1e-6)


@pytest.mark.parametrize("row", ERRORS, ids=lambda r: r["data"])
def test_ratios_of_dependent_units_agree_with_r(
    row: dict[str, Any], make_sample: Any, golden: Any
) -> None:
    sample = make_sample(golden(f"data_{row['data']}").astype(float))
    size = effect_size(sample, NONE, "clustered", 0.05, "rate_ratio")
    assert size.value == pytest.approx(row["value"], rel=1e-9)
    assert np.sqrt(size.low * size.high) == pytest.approx(size.value, rel=1e-9)
    error, df = ratios.linearised_error(
        sample, (1 / sample.arms[0].mean(), 1 / sample.arms[1].mean())
    )
    assert error == pytest.approx(row["log_error"], rel=1e-8)
    assert np.log(size.high / size.value) == pytest.approx(stats.t.ppf(0.975, df) * error)


def test_published_risk_ratio(make_sample: Any, golden: Any) -> None:
    sample = make_sample(golden("data_cars"), ("w",))
    size = effect_size(
        sample, ESTIMATORS["logistic"].fit(sample, 0.05), "plain", 0.05, "risk_ratio"
    )
    assert size.value == pytest.approx(0.39568702, abs=5e-9)


@pytest.mark.parametrize("row", SCORES, ids=lambda r: f"{r['kind']}-{r['x1']}")
def test_score_intervals_agree_with_r_and_statsmodels(row: dict[str, Any]) -> None:
    counts = [int(row[name]) for name in ("x1", "n1", "x0", "n0")]
    sample = _arms(_bits(*counts[:2]), _bits(*counts[2:]))
    size = effect_size(sample, NONE, "plain", 0.05, row["kind"])
    assert size.value == pytest.approx(row["value"])
    assert (size.low, size.high) == pytest.approx((row["low"], row["high"]), rel=1e-6)
    compare = {"risk_ratio": "ratio", "odds_ratio": "odds-ratio"}[row["kind"]]
    with np.errstate(all="ignore"):
        expected = confint_proportions_2indep(*counts, compare=compare, method="score")
    assert (size.low, size.high) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("scale", [ratios.RISK, ratios.ODDS], ids=["risk", "odds"])
def test_ratios_with_empty_cells_have_one_limit(scale: Any) -> None:
    none = ratios.score_ratio(_bits(0, 20), _bits(5, 25), scale, 0.05)
    assert (none.value, none.low) == (0.0, 0.0)
    assert 0 < none.high < 1
    without_bound = ratios.score_ratio(_bits(5, 25), _bits(0, 20), scale, 0.05)
    assert (without_bound.value, without_bound.high) == (np.inf, np.inf)
    assert without_bound.low == pytest.approx(1 / none.high, rel=1e-6)
    assert np.isnan(ratios.score_ratio(_bits(0, 9), _bits(0, 8), scale, 0.05).value)
    certain = ratios.score_ratio(_bits(9, 9), _bits(8, 8), ratios.RISK, 0.05)
    assert certain.value == 1.0
    assert 0.5 < certain.low < 1 < certain.high < 2


@settings(max_examples=40, deadline=None)
@given(x1=st.integers(0, 12), n1=st.integers(12, 15), x0=st.integers(0, 12), n0=st.integers(12, 15))
def test_swapped_arms_give_the_reciprocal(x1: int, n1: int, x0: int, n0: int) -> None:
    for scale in (ratios.RISK, ratios.ODDS):
        one = ratios.score_ratio(_bits(x1, n1), _bits(x0, n0), scale, 0.05)
        other = ratios.score_ratio(_bits(x0, n0), _bits(x1, n1), scale, 0.05)
        with np.errstate(divide="ignore"):
            mirrored = 1 / np.array([other.value, other.high, other.low])
        assert [one.value, one.low, one.high] == pytest.approx(mirrored, rel=1e-6, nan_ok=True)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), kind=st.sampled_from(["cohen_d", "cliff_delta", "cles"]))
def test_swapped_arms_flip_the_sign_and_order_never_matters(seed: int, kind: str) -> None:
    rng = np.random.default_rng(seed)
    x, y = np.round(rng.normal(0.4, 1, 12), 1), np.round(rng.normal(size=9), 1)
    one = effect_size(_arms(x, y), NONE, "plain", 0.05, kind)
    shuffled = effect_size(_arms(rng.permutation(x), y), NONE, "plain", 0.05, kind)
    assert (shuffled.value, shuffled.low) == pytest.approx((one.value, one.low), rel=1e-9)
    other = effect_size(_arms(y, x), NONE, "plain", 0.05, kind)
    flip = (lambda v: 1 - v) if kind == "cles" else (lambda v: -v)
    expected = (flip(other.value), flip(other.high), flip(other.low))
    assert (one.value, one.low, one.high) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("kind", ["risk_ratio", "odds_ratio", "rate_ratio"])
def test_swapped_arms_give_the_reciprocal_of_an_adjusted_ratio(kind: str) -> None:
    rng = np.random.default_rng(7)
    x, treated = rng.normal(size=80), np.arange(80) < 35
    y = rng.poisson(np.exp(0.4 * x)) if kind == "rate_ratio" else rng.random(80) < expit(x)
    units = np.arange(80).astype(str)
    one, other = (
        effect_size(Sample(units, y * 1.0, z, x[:, None], ("x",)), NONE, "plain", 0.05, kind)
        for z in (treated, ~treated)
    )
    expected = (1 / other.value, 1 / other.high, 1 / other.low)
    assert (one.value, one.low, one.high) == pytest.approx(expected, rel=1e-9)


def test_cliff_delta_counts_every_pair() -> None:
    x, y = [1.0, 3, 3, 8], [0.0, 3, 4]
    size = effect_sizes.cliff_delta(np.array(x), np.array(y), 0.05)
    pairs = [np.sign(a - b) for a in x for b in y]
    assert size.value == pytest.approx(np.mean(pairs))


def test_complete_dominance_has_newcombes_limit() -> None:
    size = effect_sizes.cliff_delta(np.arange(10, 18.0), np.arange(8.0), 0.05)
    assert (size.value, size.high) == (1.0, 1.0)
    theta = (1 + size.low) / 2
    spread = 1 + 7 * ((1 - theta) / (2 - theta) + theta / (1 + theta))
    z = stats.norm.ppf(0.975)
    assert (1 - theta) ** 2 == pytest.approx(z**2 * theta * (1 - theta) * spread / 64)


def _coverage(draw: Any, kind: str, truth: float, structure: str = "plain", n: int = 200) -> float:
    rng = np.random.default_rng(11)
    sizes = [effect_size(draw(rng), NONE, structure, 0.05, kind) for _ in range(n)]
    return float(np.mean([size.low <= truth <= size.high for size in sizes]))


def _unequal(rng: np.random.Generator) -> Sample:
    return _arms(rng.normal(1, 3, 20), rng.normal(0, 1, 30))


NORMAL = 2 * stats.norm.cdf(1 / np.sqrt(10)) - 1
COVERED = {
    "cohen_d": (lambda r: _arms(r.normal(0.8, 1, 15), r.normal(size=20)), 0.8, "plain"),
    "glass_delta": (lambda r: _arms(r.normal(0.8, 2, 40), r.normal(size=40)), 0.8, "plain"),
    "cliff_delta": (_unequal, NORMAL, "plain"),
    "risk_ratio": (
        lambda r: _arms(r.random(30) < 0.4, r.random(40) < 0.2),
        2.0,
        "plain",
    ),
    "odds_ratio": (
        lambda r: _arms(r.random(30) < 0.5, r.random(40) < 0.2),
        4.0,
        "plain",
    ),
    "rate_ratio": (
        lambda r: _arms(r.negative_binomial(2, 0.4, 40), r.negative_binomial(2, 0.5, 50)),
        1.5,
        "plain",
    ),
}


@pytest.mark.parametrize("kind", COVERED)
def test_intervals_cover(kind: str) -> None:
    draw, truth, structure = COVERED[kind]
    assert abs(_coverage(draw, kind, truth, structure) - 0.95) <= 3.29 * np.sqrt(0.05 * 0.95 / 200)


@pytest.mark.parametrize("kind", ["risk_ratio", "odds_ratio"])
def test_adjusted_ratios_cover_under_a_wrong_model(kind: str) -> None:
    def draw(rng: np.random.Generator) -> Sample:
        x, treated = rng.normal(size=120), rng.permutation(np.arange(120) < 60)
        y = (rng.random(120) < expit(1.2 * x + 0.4 * x**2 - 1 + treated)).astype(float)
        return Sample(np.arange(120).astype(str), y, treated, x[:, None], ("x",))

    x = stats.norm.ppf((np.arange(100_000) + 0.5) / 100_000)
    level = 1.2 * x + 0.4 * x**2 - 1
    means = np.array([expit(level + 1).mean(), expit(level).mean()])
    first, second = means if kind == "risk_ratio" else means / (1 - means)
    covered = _coverage(draw, kind, first / second, n=150)
    assert abs(covered - 0.95) <= 3.29 * np.sqrt(0.05 * 0.95 / 150)


def _binary_pairs(rng: np.random.Generator) -> Sample:
    base = rng.random(60)
    return _pairs(base < 0.5, 0.8 * base + 0.2 * rng.random(60) < 0.3)


def test_intervals_within_units_cover() -> None:
    slack = 3.29 * np.sqrt(0.05 * 0.95 / 200)
    rng = np.random.default_rng(3)
    u, v = rng.random((2, 400_000))
    truth = 0.5 / np.mean(0.8 * u + 0.2 * v < 0.3)
    covered = _coverage(_binary_pairs, "risk_ratio", truth, "within-unit")
    assert abs(covered - 0.95) <= slack

    def shifted(rng: np.random.Generator) -> Sample:
        y = rng.normal(size=40)
        return _pairs(y + rng.normal(0.5, 1, 40), y)

    truth = 2 * stats.norm.cdf(0.5) - 1
    assert abs(_coverage(shifted, "cliff_delta", truth, "within-unit") - 0.95) <= slack


def test_clusters_widen_a_ratio_and_singletons_do_not() -> None:
    rng = np.random.default_rng(4)
    y, x = rng.poisson(3, 60), rng.poisson(2, 60)
    alone = effect_size(_pairs(y, x), NONE, "within-unit", 0.05, "rate_ratio")
    single = _pairs(y, x, np.arange(60))
    same = effect_size(single, NONE, "within-unit", 0.05, "rate_ratio")
    assert (alone.value, alone.low) == pytest.approx((same.value, same.low))
    assert alone.value == pytest.approx(y.sum() / x.sum())
    copies = _pairs(np.repeat(y[:15], 4), np.repeat(x[:15], 4), np.repeat(np.arange(15), 4))
    few = effect_size(copies, NONE, "within-unit", 0.05, "rate_ratio")
    once = effect_size(_pairs(y[:15], x[:15]), NONE, "within-unit", 0.05, "rate_ratio")
    assert (few.low, few.high) == pytest.approx((once.low, once.high))


@pytest.mark.parametrize("kind", effect_sizes.KINDS)
@pytest.mark.parametrize(
    "y",
    [[], [1.0, 2.0], [3.0] * 8, [0.0] * 8, [0.0, 0, 0, 0, 1, 2, 0, 4], [0.0, 1] * 4],
    ids=["none", "one each", "constant", "zeros", "zero arm", "binary"],
)
@pytest.mark.parametrize("structure", ["plain", "within-unit"])
def test_degenerate_arms_never_fail(kind: str, y: list[float], structure: str) -> None:
    half = len(y) // 2
    make = _arms if structure == "plain" else _pairs
    size = effect_size(make(y[:half], y[half:]), NONE, structure, 0.05, kind)
    assert isinstance(size, effect_sizes.EffectSize)
    assert not size.low > size.high


def test_an_arm_without_counts_has_a_ratio_of_zero_and_no_interval() -> None:
    size = effect_size(_arms([0.0] * 5, [1.0, 2, 0, 4, 1]), NONE, "plain", 0.05, "rate_ratio")
    assert (size.value, size.kind) == (0.0, "rate_ratio")
    assert np.isnan(size.low)


def test_a_stated_sd_divides_estimate_and_interval(make_trial: Any, make_observations: Any) -> None:
    y = np.random.default_rng(0).normal(size=40)
    table = make_observations(y, ["treated", "control"] * 20)
    for size in ({"sd": 0.4}, {"sd": {"gap": 0.4}}):
        row = estimate(make_trial(analysis={"effect_size": size}), table).iloc[0]
        assert row["effect_size_kind"] == "sd_stated"
        assert row["effect_size"] == pytest.approx(row["estimate"] / 0.4)
        assert row["effect_size_low"] == pytest.approx(row["conf_low"] / 0.4)


def test_a_stated_sd_divides_combinations_of_arms_too(
    make_trial: Any, make_observations: Any
) -> None:
    cells = [(a, b) for a in ("off", "on") for b in ("off", "on")]
    arms = [
        {"name": f"{a}_{b}", "intervention": {"kind": "none"}, "levels": {"a": a, "b": b}}
        for a, b in cells
    ]
    names = [arm["name"] for arm in arms]
    table = make_observations(np.random.default_rng(0).normal(size=40), names * 10)
    analysis = {"effect_size": {"sd": 0.5}, "factorial": "two_way"}
    effects = estimate(
        make_trial(arms=arms, assignment={"method": "factorial"}, analysis=analysis), table
    )
    assert len(effects) > len(cells) - 1
    assert set(effects["effect_size_kind"]) == {"sd_stated"}
    assert effects["effect_size"].to_numpy() == pytest.approx(2 * effects["estimate"].to_numpy())


def test_outcomes_that_a_kind_is_not_for_get_what_auto_takes(make_trial: Any) -> None:
    rng = np.random.default_rng(0)
    values = {"bits": rng.integers(0, 2, 40), "gap": rng.normal(size=40)}
    base = pd.DataFrame({"unit_id": range(40), "arm": ["treated", "control"] * 20})
    table = pd.concat([base.assign(outcome=name, value=v) for name, v in values.items()])
    outcomes = [{"name": name, "metric": "entropy"} for name in values]
    kinds = {}
    for size in ("odds_ratio", "cliff_delta", {"sd": {"gap": 2.0}}):
        trial = make_trial(outcomes=outcomes, analysis={"effect_size": size})
        kinds[str(size)] = estimate(trial, table)["effect_size_kind"].tolist()
    assert list(kinds.values()) == [
        ["odds_ratio", "hedges_g_av"],
        ["cliff_delta", "cliff_delta"],
        ["risk_difference", "sd_stated"],
    ]


@pytest.mark.parametrize(
    ("size", "assignment"),
    [("cohen_dz", {"method": "complete"}), ("hedges_g", {"method": "crossover"})],
)
def test_a_kind_that_the_design_lacks_is_refused_without_a_file(
    size: str, assignment: Any, make_trial: Any, make_observations: Any
) -> None:
    trial = make_trial(assignment=assignment, analysis={"effect_size": size})
    table = make_observations(np.arange(9.0), ["treated", "control", "control"] * 3)
    with pytest.raises(SpecError, match="use") as refused:
        estimate(trial, table)
    assert refused.value.place.field == "analysis.effect_size"


def test_every_declared_kind_is_made() -> None:
    declared = {name for name in get_args(SizeName) if name != "auto"}
    assert declared == set(effect_sizes.KINDS)
