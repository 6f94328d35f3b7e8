"""Drawing prompts from a pool: sizes, probabilities, and what they may depend on."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from causal_sae.errors import DataError
from causal_sae.randomization import draw_units
from causal_sae.spec.design import Enrich


def pool(exposed: int, unexposed: int) -> pd.Series:
    names = [f"u{i:04d}" for i in range(exposed + unexposed)]
    return pd.Series(np.arange(len(names)) < exposed, index=pd.Index(names, name="unit_id"))


def rule(exposed: int, unexposed: int = 0) -> Enrich:
    return Enrich(feature=7, exposed=exposed, unexposed=unexposed)


@given(
    st.integers(1, 30), st.integers(0, 30), st.integers(0, 20), st.integers(0, 20), st.integers(0)
)
def test_sizes_probabilities_and_shares(n1: int, n0: int, more1: int, more0: int, seed: int):
    whole = pool(n1 + more1, n0 + more0)
    found = draw_units(rule(n1, n0), whole, seed % 2**32)
    assert found["unit_id"].is_unique
    assert found["unit_id"].is_monotonic_increasing
    assert (whole[found["unit_id"]].to_numpy() == found["exposed"].to_numpy()).all()
    assert found["exposed"].sum() == n1
    assert len(found) == n1 + n0
    # Weights give back the pool.
    np.testing.assert_allclose(
        (1 / found["sampling_probability"])[found["exposed"]].sum(), n1 + more1
    )
    if n0:
        strata = found.drop_duplicates("exposed")
        np.testing.assert_allclose(strata["stratum_share"].sum(), 1)


@given(st.integers(0, 1000))
def test_rows_order_and_the_other_stratum_change_nothing(seed: int) -> None:
    whole = pool(40, 60)
    first = draw_units(rule(10, 20), whole, seed)
    shuffled = whole.sample(frac=1, random_state=seed)
    pd.testing.assert_frame_equal(first, draw_units(rule(10, 20), shuffled, seed))
    alone = draw_units(rule(10), whole, seed)
    assert first.loc[first["exposed"], "unit_id"].tolist() == alone["unit_id"].tolist()


def test_every_prompt_of_a_stratum_is_as_likely() -> None:
    whole = pool(20, 5)
    times = pd.Series(0, index=whole.index)
    for seed in range(2000):
        times[draw_units(rule(5, 1), whole, seed)["unit_id"]] += 1
    for stratum, chance in ((True, 0.25), (False, 0.2)):
        of = times[whole == stratum]
        expected = 2000 * chance
        # The counts of a stratum sum to a constant: a chi-square with one degree less.
        statistic = float(((of - expected) ** 2 / (expected * (1 - chance))).sum())
        assert statistic * (len(of) - 1) / len(of) < 50


@pytest.mark.parametrize(
    ("ask", "says"),
    [
        (rule(21), r"21 prompts on which feature 7 fires, but 20 of its 25 .*20 exposed, 5 unexp"),
        (rule(20, 6), "6 prompts on which feature 7 is silent, but 5 of its 25"),
    ],
)
def test_more_than_the_pool_has_is_refused(ask: Enrich, says: str) -> None:
    with pytest.raises(DataError, match=says) as caught:
        draw_units(ask, pool(20, 5), 0)
    assert str(caught.value.place.field).startswith("population.enrich.")
