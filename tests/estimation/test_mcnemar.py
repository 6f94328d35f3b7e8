from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from causal_sae.errors import SpecError
from causal_sae.estimation import estimate
from causal_sae.estimation.estimators import mcnemar
from causal_sae.estimation.sample import Sample
from causal_sae.flags import split


def _of(gained: int, lost: int, both: int, neither: int, **design: Any) -> Sample:
    counts = [gained, lost, both, neither]
    n = sum(counts)
    y = np.column_stack([np.repeat(arm, counts) for arm in ([1.0, 0, 1, 0], [0.0, 1, 1, 0])])
    units = np.array([f"u{i:05d}" for i in range(n)]).repeat(2)
    return Sample(units, y.ravel(), np.tile([True, False], n), np.empty((2 * n, 0)), **design)


def test_agrees_with_r(golden: Any) -> None:
    tables = golden("mcnemar")
    for _, row in tables.iterrows():
        sample = _of(*(int(row[name]) for name in ("gained", "lost", "both", "neither")))
        result = mcnemar.fit(sample, 0.05)
        assert result.p_value == pytest.approx(row["p_value"], rel=1e-12)
        assert result.estimate == pytest.approx((row["gained"] - row["lost"]) / len(sample) * 2)
        # R's maximum was searched for, which leaves some 1e-9.
        assert mcnemar.beyond(sample, 0.15, -1) == pytest.approx(row["below"], abs=1e-7)
        assert mcnemar.beyond(sample, -0.15, 1) == pytest.approx(row["above"], abs=1e-7)


def test_the_interval_is_newcombes(golden: Any) -> None:
    for _, row in golden("paired_risk_differences").iterrows():
        counts = (int(row[name]) for name in ("first", "second", "both", "neither"))
        result = mcnemar.fit(_of(*counts), 0.05)
        assert (result.conf_low, result.conf_high) == pytest.approx((row["low"], row["high"]))


@settings(max_examples=50, deadline=None)
@given(counts=st.tuples(*[st.integers(0, 12)] * 4).filter(lambda counts: sum(counts) > 1))
def test_arms_may_be_swapped(counts: tuple[int, int, int, int]) -> None:
    gained, lost, both, neither = counts
    result, swapped = (mcnemar.fit(_of(*c), 0.1) for c in (counts, (lost, gained, both, neither)))
    assert swapped.estimate == pytest.approx(-result.estimate)
    assert swapped.p_value == pytest.approx(result.p_value)
    assert (swapped.conf_low, swapped.conf_high) == pytest.approx(
        (-result.conf_high, -result.conf_low)
    )
    one, other = _of(*counts), _of(lost, gained, both, neither)
    assert mcnemar.beyond(one, 0.2, -1) == pytest.approx(mcnemar.beyond(other, -0.2, 1))
    assert mcnemar.beyond(one, 0.2, -1) + mcnemar.beyond(one, 0.2, 1) == pytest.approx(1)


def test_error_rates_are_held_and_the_interval_covers() -> None:
    rng, repetitions = np.random.default_rng(0), 400
    counts = rng.multinomial(30, [0.2, 0.2, 0.3, 0.3], repetitions)
    found = [mcnemar.fit(_of(*count), 0.05) for count in counts]
    assert np.mean([one.p_value <= 0.05 for one in found]) <= 0.05
    covered = np.mean([one.conf_low <= 0 <= one.conf_high for one in found])
    assert abs(covered - 0.95) < 3.29 * np.sqrt(0.05 * 0.95 / repetitions)
    harmed = rng.multinomial(30, [0.25, 0.1, 0.3, 0.35], 4 * repetitions)
    passed = np.mean([mcnemar.beyond(_of(*count), 0.15, -1) <= 0.05 for count in harmed])
    assert passed < 0.05 + 3.29 * np.sqrt(0.05 * 0.95 / (4 * repetitions))


def test_no_unit_that_changed_is_no_certainty() -> None:
    """Ten units without a change do not show that a tenth of all units is not harmed."""
    sample = _of(0, 0, 4, 6)
    result = mcnemar.fit(sample, 0.05)
    assert (result.estimate, result.p_value) == (0.0, 1.0)
    assert result.conf_low < -0.1 < 0.1 < result.conf_high
    assert mcnemar.beyond(sample, 0.1, -1) > 0.05
    assert mcnemar.beyond(_of(0, 0, 400, 600), 0.1, -1) < 1e-6


def test_units_that_all_change_alike_keep_their_exact_test() -> None:
    result = mcnemar.fit(_of(8, 0, 0, 0), 0.05)
    assert result.p_value == pytest.approx(2 * 0.5**8)
    assert result.estimate == 1
    assert 0 < result.conf_low < result.conf_high


def test_one_unit_is_no_inference() -> None:
    assert mcnemar.fit(_of(1, 0, 0, 0), 0.05).flags == ("too_few_units",)


@pytest.mark.parametrize("effect", [1.0, 1.5, -1.0, -2.0])
def test_effects_that_no_unit_could_exceed_are_excluded(effect: float) -> None:
    side = -1 if effect > 0 else 1
    assert mcnemar.beyond(_of(3, 2, 5, 5), effect, side) == 0.0
    assert mcnemar.beyond(_of(3, 2, 5, 5), effect, -side) == 1.0


def test_clusters_are_refused() -> None:
    with pytest.raises(SpecError, match="use 'paired' or 'randomization'"):
        mcnemar.fit(_of(2, 1, 2, 1, cluster=np.arange(12) // 4), 0.05)


def test_other_outcomes_of_the_trial_are_paired(make_trial: Any) -> None:
    rng = np.random.default_rng(1)
    table = pd.concat(
        [
            pd.DataFrame({"unit_id": range(40), "arm": arm, "outcome": name, "value": value})
            for arm in ("treated", "control")
            for name, value in (
                ("said", rng.integers(0, 2, 40)),
                ("gap", rng.normal(size=40)),
                ("harm", 0),
            )
        ]
    )
    outcomes = [
        {"name": "said", "role": "primary", "metric": "entropy"},
        {"name": "gap", "role": "secondary", "metric": "entropy"},
        {"name": "harm", "role": "guardrail", "metric": "entropy", "margin": 0.2},
    ]
    trial = make_trial(
        assignment={"method": "crossover"}, outcomes=outcomes, analysis={"estimator": "mcnemar"}
    )
    effects = estimate(trial, table).set_index("outcome")
    assert list(effects["estimator"]) == ["mcnemar", "hall", "mcnemar"]
    assert effects.loc["said", "effect_size"] == effects.loc["said", "estimate"]
    assert "non_inferior" in split(effects.loc["harm", "flags"])
    assert effects.loc["harm", "p_value"] == pytest.approx(
        mcnemar.beyond(_of(0, 0, 0, 40), 0.2, -1)
    )
