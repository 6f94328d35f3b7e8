from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from causal_sae.errors import SpecError
from causal_sae.estimation.multiplicity import adjust, fixed_sequence
from causal_sae.spec import Multiplicity


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


@pytest.mark.parametrize("method", ["maxt"])
def test_unavailable_corrections_are_refused_with_an_alternative(method: Any) -> None:
    with pytest.raises(SpecError, match="use holm"):
        adjust(_effects([0.01]), Multiplicity(method=method), 0.05)
