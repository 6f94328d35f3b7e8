"""Bounds on true discoveries against the closure written out."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from causal_sae.errors import DataError
from causal_sae.estimation import true_discoveries
from causal_sae.estimation.true_discoveries import true_discovery_table


def _closure(p_values: list[float], alpha: float, subset: tuple[int, ...]) -> int:
    """|S| minus the size of its largest part that closed testing does not reject."""
    m = len(p_values)

    def simes(rows: tuple[int, ...]) -> bool:
        p = sorted(p_values[i] for i in rows)
        return any(len(p) * p[j] <= (j + 1) * alpha for j in range(len(p)))

    sets = [c for size in range(1, m + 1) for c in combinations(range(m), size)]
    kept = [set(c) for c in sets if not simes(c)]
    inside = (len(one & set(subset)) for one in kept)
    return len(subset) - max(inside, default=0)


P = st.one_of(st.floats(0, 0.1), st.floats(0, 1), st.just(0.0))


@settings(max_examples=40, deadline=None)
@given(st.lists(P, min_size=1, max_size=8), st.data())
def test_the_shortcut_is_the_closure(p_values: list[float], data: Any) -> None:
    rows = data.draw(st.sets(st.integers(0, len(p_values) - 1)))
    subset = tuple(sorted(rows))
    found = true_discoveries(p_values, 0.05, np.array(subset, dtype=int))
    assert found == _closure(p_values, 0.05, subset)


def test_booleans_indices_and_missing_tests() -> None:
    p_values = [0.001, np.nan, 0.002, 0.8, 0.003]
    assert true_discoveries(p_values) == true_discoveries([0.001, 0.002, 0.8, 0.003]) == 3
    chosen = np.array([True, True, False, True, False])
    assert true_discoveries(p_values, 0.05, chosen) == true_discoveries(p_values, 0.05, [0, 1, 3])
    assert true_discoveries([np.nan, np.nan]) == true_discoveries([]) == 0
    assert true_discoveries(p_values, 0.05, []) == 0


def test_a_hundred_thousand_tests() -> None:
    rng = np.random.default_rng(1)
    p_values = np.r_[rng.random(99_000), rng.random(1_000) * 1e-6]
    assert 990 <= true_discoveries(p_values) <= 1_000
    assert true_discoveries(p_values, 0.05, np.arange(99_000)) == 0


def test_the_bound_holds_for_sets_chosen_after_looking() -> None:
    rng = np.random.default_rng(2)
    wrong = 0
    for _ in range(400):
        p_values = np.r_[rng.random(40), rng.random(10) * 0.002]
        order = np.argsort(p_values)
        bounds = [true_discoveries(p_values, 0.1, order[:k]) for k in range(1, 51)]
        real = np.cumsum(order >= 40)
        wrong += bool(np.any(np.array(bounds) > real))
    assert wrong / 400 <= 0.1 + 3.29 * np.sqrt(0.1 * 0.9 / 400)


@pytest.mark.parametrize(
    ("p_values", "subset"), [([0.1, 1.2], None), ([0.1, 0.2], [2]), ([0.1, 0.2], [True])]
)
def test_bad_input_is_refused(p_values: Any, subset: Any) -> None:
    with pytest.raises(DataError):
        true_discoveries(p_values, 0.05, subset)


def test_the_table_is_for_families_of_five_and_more(make_trial: Any) -> None:
    p_values = [0.001, 0.002, 0.003, 0.004, 0.9, np.nan, 0.01]
    effects = pd.DataFrame(
        {
            "family": ["secondary"] * 6 + ["primary"],
            "outcome": list("xxyyyzw"),
            "p_value": p_values,
            "reject": pd.array([True, True, True, True, False, pd.NA, True], dtype="boolean"),
        }
    )
    table = true_discovery_table(make_trial(), pd.DataFrame(), effects)
    assert table["of"].tolist() == ["all tests", "rejected", "x", "y"]
    assert table["tests"].tolist() == [5, 4, 2, 3]
    assert table["rejected"].tolist() == [4, 4, 2, 2]
    assert table["true_discoveries"].tolist() == [4, 4, 2, 2]
    for few in (effects.iloc[5:], pd.DataFrame()):
        assert true_discovery_table(make_trial(), pd.DataFrame(), few).empty
