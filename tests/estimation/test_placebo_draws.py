from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from causal_sae.errors import DataError
from causal_sae.estimation import estimate
from causal_sae.estimation.estimators import paired, placebo_draws
from causal_sae.estimation.sample import Sample
from causal_sae.flags import split

Generator = np.random.Generator


def _within(feature: Any, drawn: Any) -> Sample:
    """Units in both arms: the feature's outcomes [n], the placebos' [n, m]."""
    n, m = drawn.shape
    draws = np.full((2 * n, m), np.nan)
    draws[1::2] = drawn
    y = np.column_stack([feature, np.nanmean(drawn, axis=1)]).ravel()
    units = np.array([f"u{i:05d}" for i in range(n)]).repeat(2)
    return Sample(units, y, np.tile([True, False], n), np.empty((2 * n, 0)), draws=draws)


def _plain(feature: Any, drawn: Any, seed: int = 0) -> Sample:
    """Other units in each arm."""
    a, (b, m) = len(feature), drawn.shape
    draws = np.vstack([np.full((a, m), np.nan), drawn])
    y = np.concatenate([feature, np.nanmean(drawn, axis=1)])
    units = np.array([f"u{i:05d}" for i in range(a + b)])
    treated = np.arange(a + b) < a
    return Sample(units, y, treated, np.empty((a + b, 0)), draws=draws, seed=seed)


def _drawn(rng: Generator, n: int, m: int, spread: float = 1.0, one: bool = False) -> Any:
    """Feature [n] and placebos [n, m] whose effects vary by draw; if asked one draw a unit."""
    level, effect = 3 * rng.normal(size=n), spread * rng.normal(size=m + 1)
    feature = level + effect[0] + rng.normal(size=n)
    drawn = level[:, None] + effect[1:] + rng.normal(size=(n, m))
    if one:
        drawn[rng.permutation(np.arange(n) % m)[:, None] != np.arange(m)] = np.nan
    return feature, drawn


def _by_definition(feature: float, placebos: Any) -> float:
    values = np.concatenate([[feature], placebos])
    others = (values.sum() - values) / (len(values) - 1)
    deviation = np.abs(values - others)
    return float(np.mean(deviation >= deviation[0] * (1 - 1e-12)))


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), m=st.integers(2, 45), shift=st.floats(-4, 4))
def test_p_is_the_rank_among_all_deviations(seed: int, m: int, shift: float) -> None:
    feature, drawn = _drawn(np.random.default_rng(seed), 12, m)
    result = placebo_draws.fit(_within(feature + shift, drawn), 0.05)
    placebos = drawn.mean(axis=0)
    assert result.p_value == pytest.approx(_by_definition(feature.mean() + shift, placebos))
    assert result.estimate == pytest.approx(feature.mean() + shift - placebos.mean())
    spread = placebos.std(ddof=1) * np.sqrt(1 + 1 / m)
    assert result.std_error == pytest.approx(spread)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000), m=st.sampled_from([19, 25, 39, 60]))
def test_the_interval_holds_the_shifts_that_are_not_rejected(seed: int, m: int) -> None:
    feature, drawn = _drawn(np.random.default_rng(seed), 8, m)
    result = placebo_draws.fit(_within(feature, drawn), 0.05)
    for edge, outward in ((result.conf_low, -1), (result.conf_high, 1)):
        for step, rejected in ((1e-6, True), (-1e-6, False)):
            shift = edge + outward * step
            found = placebo_draws.fit(_within(feature - shift, drawn), 0.05)
            assert (found.p_value <= 0.05) == rejected


@pytest.mark.parametrize(("m", "interval"), [(18, False), (19, True)])
def test_nineteen_draws_are_needed_at_this_level(m: int, interval: bool) -> None:
    feature, drawn = _drawn(np.random.default_rng(0), 10, m)
    result = placebo_draws.fit(_within(feature + 100, drawn), 0.05)
    assert result.p_value == pytest.approx(1 / (m + 1))
    assert np.isfinite(result.conf_low) == np.isfinite(result.conf_high) == interval
    assert ("no_interval" in result.flags) != interval
    assert f"placebo_draws:{m}" in result.flags


def test_it_is_exact_where_the_ordinary_contrast_rejects_most_of_the_time() -> None:
    rng, repetitions = np.random.default_rng(1), 600
    found, ordinary = [], []
    for _ in range(repetitions):
        sample = _within(*_drawn(rng, 30, 19))
        found.append(placebo_draws.fit(sample, 0.05))
        ordinary.append(paired.fit(sample, 0.05).p_value <= 0.05)
    rate = np.mean([one.p_value <= 0.05 for one in found])
    assert abs(rate - 0.05) < 3.29 * np.sqrt(0.05 * 0.95 / repetitions)
    covered = np.mean([one.conf_low <= 0 <= one.conf_high for one in found])
    assert covered == pytest.approx(1 - rate)
    assert np.mean(ordinary) > 0.5  # it holds the draws fixed


@pytest.mark.parametrize("case", ["one draw a unit", "plain", "plain, one draw a unit", "few"])
def test_it_errs_on_the_side_of_caution_elsewhere(case: str) -> None:
    rng, rejected = np.random.default_rng(2), 0
    for _ in range(200):
        feature, drawn = _drawn(rng, 114, 19, 0.3, "one" in case)
        if case == "one draw a unit":
            sample = _within(feature, drawn)
        else:
            sample = _plain(feature[: 6 if case == "few" else 57], drawn[57:])
        rejected += placebo_draws.fit(sample, 0.05).p_value <= 0.05
    assert rejected / 200 <= 0.05 + 3.29 * np.sqrt(0.05 * 0.95 / 200)


def test_units_that_saw_one_draw_each_are_compared_within_units() -> None:
    rng = np.random.default_rng(3)
    feature, drawn = _drawn(rng, 60, 20, one=True)
    level = 1e4 * rng.normal(size=60)
    result = placebo_draws.fit(_within(feature, drawn), 0.05)
    lifted = placebo_draws.fit(_within(feature + level, drawn + level[:, None]), 0.05)
    assert lifted.estimate == pytest.approx(result.estimate, rel=1e-6)
    assert lifted.p_value == result.p_value
    by_draw = np.nanmean(drawn - feature[:, None], axis=0)
    assert result.estimate == pytest.approx(-by_draw.mean())


@pytest.mark.parametrize("make", [_within, _plain])
def test_units_and_draws_may_come_in_any_order(make: Any) -> None:
    rng = np.random.default_rng(4)
    feature, drawn = _drawn(rng, 40, 20, one=True)
    result = placebo_draws.fit(make(feature, drawn), 0.05)
    columns, rows = rng.permutation(20), rng.permutation(40)
    renamed = placebo_draws.fit(make(feature, drawn[:, columns]), 0.05)
    shuffled = placebo_draws.fit(make(feature[rows], drawn[rows]), 0.05)
    mirrored = placebo_draws.fit(make(-feature, -drawn), 0.05)
    for other, sign in ((renamed, 1), (shuffled, 1), (mirrored, -1)):
        assert other.estimate == pytest.approx(sign * result.estimate)
        assert other.p_value == pytest.approx(result.p_value)
        ends = sorted((sign * other.conf_low, sign * other.conf_high))
        assert ends == pytest.approx([result.conf_low, result.conf_high])


def test_the_one_sided_test_counts_placebos_beyond_the_margin() -> None:
    rng = np.random.default_rng(5)
    feature, drawn = _drawn(rng, 20, 39)
    sample, placebos = _within(feature, drawn), drawn.mean(axis=0)
    for effect in (-1.0, 0.5, 3.0):
        below = np.mean(np.append(placebos, feature.mean() - effect) <= feature.mean() - effect)
        assert placebo_draws.beyond(sample, effect, -1) == pytest.approx(below)


# ---- whole trials ----

ARMS = [
    {"name": "control", "intervention": {"kind": "none"}},
    {"name": "treated", "intervention": {"kind": "ablate", "features": [3]}},
    {
        "name": "placebo",
        "intervention": {"kind": "ablate", "features": {"placebo_for": [3], "draws": 20}},
    },
]
DESIGN = {
    "arms": ARMS,
    "assignment": {"method": "crossover"},
    "analysis": {
        "estimator": "placebo_draws",
        "contrasts": [["treated", "placebo"], ["treated", "control"]],
    },
}


def _table(shift: float = 0.0) -> pd.DataFrame:
    feature, drawn = _drawn(np.random.default_rng(6), 30, 20, 0.2)
    units = [f"u{i:02d}" for i in range(30)]
    base = pd.DataFrame({"unit_id": units, "outcome": "gap"})
    arms = [
        base.assign(arm="treated", value=feature + shift),
        base.assign(arm="control", value=feature - 0.5 + np.arange(30) / 30),
        *(base.assign(arm="placebo", value=drawn[:, k], draw=k) for k in range(20)),
    ]
    return pd.concat(arms, ignore_index=True)


def test_a_row_speaks_of_placebos_like_these_and_other_contrasts_stay(make_trial: Any) -> None:
    effects = estimate(make_trial(**DESIGN), _table()).set_index("reference")
    assert effects.loc["placebo", "estimator"] == "placebo_draws"
    assert effects.loc["control", "estimator"] == "hall"
    assert "placebos at random" in effects.loc["placebo", "estimand"]
    assert "placebos at random" not in effects.loc["control", "estimand"]
    codes = split(effects.loc["placebo", "flags"])
    assert "placebo_draws:20" in codes
    assert not [code for code in codes if code.startswith("fixed_draws")]
    plain = {**DESIGN, "analysis": {**DESIGN["analysis"], "estimator": "auto"}}
    row = estimate(make_trial(**plain), _table()).set_index("reference").loc["placebo"]
    assert "fixed_draws:20" in split(row["flags"])


def test_draws_must_be_numbered(make_trial: Any) -> None:
    table = _table()
    one = table[table["draw"].isna() | (table["draw"] == 0)]
    for lacking in (one, one.drop(columns="draw")):
        with pytest.raises(DataError, match="number them in the column 'draw'"):
            estimate(make_trial(**DESIGN), lacking)


def test_placebos_that_do_what_the_feature_does_are_exactly_zero(make_trial: Any) -> None:
    table = _table()
    level = table.set_index("unit_id").query("arm == 'treated'")["value"]
    same = table.assign(value=table["unit_id"].map(level).astype(float))
    row = estimate(make_trial(**DESIGN), same).set_index("reference").loc["placebo"]
    assert (row["estimate"], row["p_value"]) == (0.0, 1.0)
    assert "exact_zero" in split(row["flags"])


def test_an_arm_that_was_never_measured_is_said_to_be_missing(make_trial: Any) -> None:
    table = _table()
    table.loc[table["arm"] == "treated", "value"] = np.nan
    row = estimate(make_trial(**DESIGN), table).set_index("reference").loc["placebo"]
    assert np.isnan(row["estimate"])
    assert {"missing_treatment:30", "too_few_units"} <= set(split(row["flags"]))
