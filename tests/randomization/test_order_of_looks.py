"""The order in which units come in: drawn from the seed, every arm and block in step."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from causal_sae.errors import DataError
from causal_sae.randomization import assign
from causal_sae.spec import Trial


def declare(looks: dict, assignment: dict, seed: int = 0, arms: int = 2) -> Trial:
    return Trial.model_validate(
        {
            "schema": 1,
            "name": "order",
            "question": "Who comes first?",
            "seed": seed,
            "arms": [{"name": f"a{i}", "intervention": {"kind": "none"}} for i in range(arms)],
            "assignment": assignment,
            "outcomes": [{"name": "gap", "role": "primary", "metric": "entropy"}],
            "analysis": {"looks": looks},
        }
    )


def units(n: int) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "unit_id": [f"u{i:03d}" for i in range(n)],
            "topic": [f"t{i % 3}" for i in range(n)],
            "template": [f"c{i // 4}" for i in range(n)],
        }
    )


@given(st.integers(40, 160), st.integers(2, 4), st.integers(0, 2**31))
@settings(max_examples=25, deadline=None)
def test_each_look_has_its_share_of_every_arm_of_every_block(n, arms, seed):
    at = [0.4, 0.75, 1]
    trial = declare({"at": at}, {"method": "block", "block_by": ["topic"]}, seed, arms)
    table = assign(trial, units(n))
    for number, share in enumerate(at, 1):
        seen = table["look"] <= number
        assert abs(seen.sum() - share * n) <= 1
        cells = table.groupby(["arm", "block"])["look"].agg(
            lambda look, number=number: (look <= number).sum()
        )
        sizes = table.groupby(["arm", "block"]).size()
        assert ((cells - share * sizes).abs() < 1.5).all()


def test_pairs_come_in_together_and_blocks_in_step():
    trial = declare({"at": [0.5, 1]}, {"method": "crossover"})
    table = assign(trial, units(40))
    assert (table.groupby("unit_id")["look"].nunique() == 1).all()
    assert (table["look"] == 1).sum() == 40


@pytest.mark.parametrize(
    "assignment",
    [
        {"method": "cluster", "cluster_by": "template"},
        {"method": "crossover", "cluster_by": "template"},
    ],
)
def test_clusters_come_in_whole(assignment):
    table = assign(declare({"at": [0.5, 1]}, assignment), units(80))
    assert (table.groupby("cluster")["look"].nunique() == 1).all()
    assert table.loc[table["look"] == 1, "cluster"].nunique() == 10


def test_the_order_follows_from_the_seed_and_not_from_the_file():
    trial = declare({"at": [0.5, 1]}, {"method": "complete"})
    again = assign(trial, units(60).sample(frac=1, random_state=2))
    pd.testing.assert_frame_equal(assign(trial, units(60)), again)
    other = assign(declare({"at": [0.5, 1]}, {"method": "complete"}, seed=1), units(60))
    assert not again["look"].equals(other["look"])


def test_every_unit_is_as_likely_to_come_first():
    first = np.zeros(40)
    for seed in range(120):
        table = assign(declare({"at": [0.25, 1]}, {"method": "complete"}, seed), units(40))
        first += (table["look"] == 1).to_numpy()
    assert np.abs(first / 120 - 0.25).max() < 3.9 * np.sqrt(0.25 * 0.75 / 120)


def test_a_sequence_looks_after_every_so_many_units():
    table = assign(
        declare({"spending": "always_valid", "every": 20}, {"method": "complete"}), units(90)
    )
    assert table["look"].value_counts().sort_index().tolist() == [20, 20, 20, 20, 10]


def test_a_first_look_without_enough_units_is_refused():
    with pytest.raises(DataError, match="at the first look every arm must have at least 2 units"):
        assign(declare({"at": [0.05, 1]}, {"method": "complete"}), units(40))


def test_trials_without_looks_have_no_order():
    trial = declare({"at": [0.5, 1]}, {"method": "complete"})
    plain = trial.model_copy(update={"analysis": trial.analysis.model_copy(update={"looks": None})})
    assert assign(plain, units(40))["look"].isna().all()
