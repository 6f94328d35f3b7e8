"""The baseline table."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from causal_sae.errors import DataError
from causal_sae.randomization import balance_table
from causal_sae.randomization.balance import COLUMNS, standardised_difference

ASSIGNED = pd.DataFrame({"unit_id": list("abcdef"), "arm": ["t", "t", "t", "c", "c", "c"]})


def test_standardised_difference_by_hand() -> None:
    """Means 2 and 4, variances 1 and 4: the spread is sqrt(2.5), the difference -2 of it."""
    sd, smd = standardised_difference(np.array([1.0, 2, 3]), np.array([2.0, 4, 6]))
    assert sd == pytest.approx(2.5**0.5)
    assert smd == pytest.approx(-2 / 2.5**0.5)


@pytest.mark.parametrize(("treatment", "smd"), [([1.0, 1.0], 0.0), ([2.0, 2.0], np.inf)])
def test_no_spread(treatment: list[float], smd: float) -> None:
    assert standardised_difference(np.array(treatment), np.array([1.0, 1.0])) == (0.0, smd)


def test_too_few_values_have_no_spread() -> None:
    assert np.isnan(standardised_difference(np.array([1.0]), np.array([1.0, 2.0]))).all()


def test_table_expands_text_to_levels_and_counts_missing_cells() -> None:
    covariates = pd.DataFrame(
        {
            "unit_id": list("fedcba"),
            "length": [6.0, 4.0, 2.0, 3.0, 2.0, 1.0],
            "topic": ["x", "y", "x", None, "y", "x"],
        }
    )
    table = balance_table(ASSIGNED, covariates, reference="c")
    assert list(table) == list(COLUMNS)
    assert list(table["covariate"]) == ["length", "topic: x", "topic: y", "topic: missing"]
    assert set(table["arm"]) == {"t"}
    rows = table.set_index("covariate")
    assert rows.loc["length", "mean_treatment"] == 2
    assert rows.loc["length", "smd"] == pytest.approx(-2 / 2.5**0.5)
    assert rows.loc["topic: missing", "mean_treatment"] == pytest.approx(1 / 3)
    assert rows.loc["topic: x", "mean_reference"] == pytest.approx(2 / 3)


def test_rare_levels_are_put_together() -> None:
    n = 60
    assigned = pd.DataFrame({"unit_id": [str(i) for i in range(n)], "arm": ["c", "t"] * (n // 2)})
    covariates = pd.DataFrame({"unit_id": assigned["unit_id"], "word": [f"w{i}" for i in range(n)]})
    table = balance_table(assigned, covariates)
    assert len(table) == 20
    assert table["covariate"].iloc[-1] == "word: other"
    assert set(table["reference"]) == {"c"}


def test_numbers_with_gaps_use_what_is_there() -> None:
    covariates = pd.DataFrame(
        {
            "unit_id": list("abcdef"),
            "x": [1.0, np.nan, 3.0, 2.0, 4.0, 6.0],
            "flag": [True, False] * 3,
        }
    )
    rows = balance_table(ASSIGNED, covariates, "c").set_index("covariate")
    assert rows.loc["x", "mean_treatment"] == 2
    assert rows.loc["x: missing", "mean_treatment"] == pytest.approx(1 / 3)
    assert rows.loc["flag", "mean_treatment"] == pytest.approx(2 / 3)


def test_unknown_reference_and_lost_units_are_refused() -> None:
    covariates = pd.DataFrame({"unit_id": list("abcde"), "x": range(5)})
    with pytest.raises(DataError, match="unit 'f' has none"):
        balance_table(ASSIGNED, covariates)
    with pytest.raises(DataError, match="the reference must be an arm, not 'sham'"):
        balance_table(ASSIGNED, covariates, "sham")
