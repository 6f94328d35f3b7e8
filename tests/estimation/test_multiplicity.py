from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from causal_sae.errors import SpecError
from causal_sae.estimation.multiplicity import CORRECTIONS, Family, adjust, fixed_sequence
from causal_sae.spec import Multiplicity

P_VALUES = st.one_of(st.floats(1e-9, 1), st.floats(1e-9, 0.06))


def _effects(p_values: list[float], **columns: Any) -> pd.DataFrame:
    frame = {"outcome": "gap", "role": "primary", "p_value": p_values, "flags": "", **columns}
    return pd.DataFrame(frame)


@pytest.mark.parametrize("method", ["none", "bonferroni", "holm", "hochberg", "hommel", "bh", "by"])
def test_agrees_with_p_adjust(method: Any, golden: Any) -> None:
    table = golden("adjusted_p").astype(float)
    shuffled = table.sample(frac=1, random_state=3)
    result = adjust(_effects(shuffled["p"].tolist()), Multiplicity(method=method), 0.05)
    assert result["p_adjusted"].to_numpy() == pytest.approx(shuffled[method].to_numpy(), abs=1e-12)


def test_a_missing_p_value_neither_counts_nor_poisons() -> None:
    effects = adjust(_effects([0.01, np.nan, 0.02]), Multiplicity(method="holm"), 0.05)
    assert effects["p_adjusted"].tolist()[::2] == pytest.approx([0.02, 0.02])
    assert np.isnan(effects["p_adjusted"][1])
    assert effects["family_size"].tolist() == [2, 2, 2]
    assert effects["reject"].tolist() == [True, pd.NA, True]
    assert effects["flags"].tolist() == ["", "p_missing", ""]


def test_a_family_without_any_p_value_rejects_nothing() -> None:
    effects = adjust(_effects([np.nan, np.nan]), Multiplicity(), 0.05)
    assert effects["reject"].isna().all()
    assert effects["family_size"].tolist() == [0, 0]


@pytest.mark.parametrize(
    ("family", "labels", "adjusted"),
    [
        ("role", ["primary", "primary", "secondary"], [0.03, 0.03, 0.04]),
        ("outcome", ["gap", "kl", "kl"], [0.015, 0.04, 0.04]),
        ("all", ["all", "all", "all"], [0.045, 0.045, 0.045]),
    ],
)
def test_families(family: Any, labels: list[str], adjusted: list[float]) -> None:
    effects = _effects(
        [0.015, 0.02, 0.04],
        outcome=["gap", "kl", "kl"],
        role=["primary", "primary", "secondary"],
    )
    result = adjust(effects, Multiplicity(method="holm", family=family), 0.05)
    assert result["family"].tolist() == labels
    assert result["p_adjusted"].tolist() == pytest.approx(adjusted)


def test_rejection_includes_alpha_itself() -> None:
    assert adjust(_effects([0.05]), Multiplicity(method="none"), 0.05)["reject"].tolist() == [True]


def test_fixed_sequence_stops_at_the_first_test_that_fails_or_is_missing() -> None:
    assert fixed_sequence(np.array([0.01, 0.2, 0.001])).tolist() == [0.01, 0.2, 0.2]
    effects = adjust(_effects([0.01, np.nan, 0.001]), Multiplicity(method="fixed_sequence"), 0.05)
    assert effects["reject"].tolist() == [True, pd.NA, False]


@pytest.mark.parametrize("method", ["maxt", "single_step", "dunnett"])
def test_corrections_of_units_need_more_than_p_values(method: Any) -> None:
    with pytest.raises(SpecError, match="use holm"):
        adjust(_effects([0.01]), Multiplicity(method=method), 0.05)


def _two_stages(p_values: list[float], alpha: float) -> list[bool]:
    """Definition 6 of Benjamini, Krieger and Yekutieli (2006), step by step."""

    def step_up(level: float) -> list[bool]:
        order = sorted(p_values)
        kept = [i for i, p in enumerate(order, 1) if p <= i * level / len(order)]
        return [p <= order[max(kept) - 1] for p in p_values] if kept else [False] * len(order)

    first = step_up(alpha / (1 + alpha))
    rejected, m = sum(first), len(p_values)
    return first if rejected in (0, m) else step_up(alpha / (1 + alpha) * m / (m - rejected))


@settings(max_examples=20, deadline=None)
@given(st.lists(P_VALUES, min_size=1, max_size=12), st.sampled_from([0.01, 0.05, 0.2]))
def test_two_stages_reject_what_the_definition_does(p_values: list[float], alpha: float) -> None:
    found = adjust(_effects(p_values), Multiplicity(method="tsbh"), alpha)
    assert found["reject"].tolist() == _two_stages(p_values, alpha)


def test_two_stages_hold_the_false_discovery_rate() -> None:
    rng = np.random.default_rng(1)
    shares = []
    for _ in range(120):
        p_values = np.r_[rng.random(30), rng.random(30) * 1e-3]
        reject = CORRECTIONS["tsbh"].adjust(_family(p_values)).p_values <= 0.05
        shares.append(reject[:30].sum() / max(1, reject.sum()))
    assert np.mean(shares) <= 0.05 + 3.29 * np.std(shares) / np.sqrt(120)


def _family(p_values: Any) -> Family:
    return Family(_effects(list(p_values)), Multiplicity(), 0.05)


def _each(p_values: list[float], method: Any) -> Any:
    return CORRECTIONS[method].adjust(_family(p_values)).p_values


@settings(max_examples=20, deadline=None)
@given(st.lists(P_VALUES, min_size=1, max_size=12))
def test_each_is_above_the_p_value_monotone_and_in_its_order(p_values: list[float]) -> None:
    raw, order = np.array(p_values), np.argsort(p_values, kind="stable")
    for method in ("bonferroni", "holm", "hochberg", "hommel", "bh", "by"):
        adjusted = _each(p_values, method)
        assert np.all(adjusted >= raw * (1 - 1e-12)), method
        assert np.all(np.diff(adjusted[order]) >= -1e-12), method
        assert np.all(adjusted <= 1), method


@settings(max_examples=20, deadline=None)
@given(st.lists(P_VALUES, min_size=1, max_size=12), st.randoms(use_true_random=False))
def test_the_order_of_the_tests_does_not_matter(p_values: list[float], random: Any) -> None:
    order = list(range(len(p_values)))
    random.shuffle(order)
    for method in ("none", "bonferroni", "holm", "hochberg", "hommel", "bh", "by", "tsbh"):
        first = _each(p_values, method)[order]
        assert _each([p_values[i] for i in order], method) == pytest.approx(first, rel=1e-12)


@settings(max_examples=20, deadline=None)
@given(st.lists(P_VALUES, min_size=1, max_size=12))
def test_hommel_hochberg_holm_bonferroni_in_this_order(p_values: list[float]) -> None:
    found = [_each(p_values, m) for m in ("hommel", "hochberg", "holm", "bonferroni")]
    for stronger, weaker in pairwise(found):
        assert np.all(stronger <= weaker * (1 + 1e-12))


@settings(max_examples=20, deadline=None)
@given(st.lists(P_VALUES, min_size=1, max_size=8), st.integers(0, 8))
def test_a_missing_test_changes_no_other(p_values: list[float], place: int) -> None:
    at = min(place, len(p_values))
    holed = [*p_values[:at], np.nan, *p_values[at:]]
    for method in ("bonferroni", "holm", "hochberg", "hommel", "bh", "by", "tsbh", "none"):
        found = _each(holed, method)
        assert np.isnan(found[at])
        assert np.delete(found, at).tolist() == _each(p_values, method).tolist()
