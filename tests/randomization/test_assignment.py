"""What must hold of every way of dealing arms."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from math import ceil, floor

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from causal_sae.errors import DataError
from causal_sae.randomization import SCHEMES, assign
from causal_sae.randomization.dealing import Arms
from causal_sae.randomization.latin_square import williams_squares
from causal_sae.randomization.units import sorted_units
from causal_sae.spec import Trial
from causal_sae.tables import ASSIGNMENT

BLOCKED = {"block", "block_cluster"}
CLUSTERED = {"cluster", "block_cluster"}
WITHIN = {"crossover", "latin_square"}
PARALLEL = sorted(set(SCHEMES) - WITHIN)
QUOTA = ("complete", "block", "cluster", "block_cluster", "factorial")


def make_trial(method: str, shares: list[float], seed: int = 1, **assignment: object) -> Trial:
    design: dict[str, object] = {"method": method, **assignment}
    if method in BLOCKED:
        design.setdefault("block_by", ["topic"])
    if method in CLUSTERED:
        design.setdefault("cluster_by", "template")
    arms = [
        {"name": f"arm{i}", "intervention": {"kind": "none"}, "share": share}
        for i, share in enumerate(shares)
    ]
    return Trial.model_validate(
        {
            "schema": 1,
            "name": "dealing",
            "question": "Who gets what?",
            "seed": seed,
            "assignment": design,
            "arms": arms,
            "outcomes": [{"name": "y", "metric": "entropy"}],
        }
    )


def make_units(n: int, blocks: int = 3, cluster_size: int = 2) -> pd.DataFrame:
    clusters = np.arange(n) // cluster_size
    return pd.DataFrame(
        {
            "unit_id": [f"u{i}" for i in range(n)],
            "topic": [f"topic {c % blocks}" for c in clusters],
            "template": clusters,
        }
    )


def expected_bounds(n: int, shares: list[float]) -> list[tuple[int, int]]:
    quotas = [n * share / sum(shares) for share in shares]
    return [(floor(q + 1e-9), ceil(q - 1e-9)) for q in quotas]


def assert_quotas(arms: pd.Series, n: int, shares: list[float]) -> None:
    sizes = arms.value_counts()
    for i, (low, high) in enumerate(expected_bounds(n, shares)):
        assert low <= sizes.get(f"arm{i}", 0) <= high


shares_of_arms = st.lists(st.sampled_from([1.0, 2.0, 3.0, 0.5, 1.7]), min_size=2, max_size=5)
seeds = st.integers(0, 2**32 - 1)


@given(shares=shares_of_arms, n=st.integers(20, 70), seed=seeds)
@settings(max_examples=8, deadline=None)
def test_complete_gives_every_arm_its_quota_rounded_down_or_up(
    shares: list[float], n: int, seed: int
) -> None:
    table = assign(make_trial("complete", shares, seed), make_units(n))
    assert len(table) == n
    assert table["unit_id"].is_unique
    assert_quotas(table["arm"], n, shares)


@given(shares=shares_of_arms, n=st.integers(60, 90), seed=seeds)
@settings(max_examples=8, deadline=None)
def test_block_and_factorial_give_every_arm_its_quota_of_each_block(
    shares: list[float], n: int, seed: int
) -> None:
    for method in ("block", "factorial"):
        table = assign(make_trial(method, shares, seed, block_by=["topic"]), make_units(n))
        for _, block in table.groupby("block"):
            assert_quotas(block["arm"], len(block), shares)


@given(shares=shares_of_arms, size=st.integers(1, 4), seed=seeds)
@settings(max_examples=8, deadline=None)
def test_clusters_stay_whole_and_are_dealt_by_quota(
    shares: list[float], size: int, seed: int
) -> None:
    units = make_units(60 * size, cluster_size=size)
    for method in CLUSTERED:
        table = assign(make_trial(method, shares, seed), units)
        assert (table.groupby("cluster")["arm"].nunique() == 1).all()
        clusters = table.drop_duplicates("cluster")
        groups = clusters.groupby("block") if method == "block_cluster" else [("", clusters)]
        for _, group in groups:
            assert_quotas(group["arm"], len(group), shares)


@given(method=st.sampled_from(sorted(SCHEMES)), seed=seeds, order=st.integers(0, 999))
@settings(max_examples=16, deadline=None)
def test_rows_order_and_other_columns_do_not_matter(method: str, seed: int, order: int) -> None:
    trial, units = make_trial(method, [1, 1, 1], seed), make_units(60)
    shuffled = units.sample(frac=1, random_state=order).assign(extra="x")
    pd.testing.assert_frame_equal(assign(trial, units), assign(trial, shuffled))


@pytest.mark.parametrize("method", sorted(SCHEMES))
def test_same_seed_same_bytes_and_other_seed_other_deal(method: str) -> None:
    units = make_units(60)
    first = assign(make_trial(method, [1, 1, 1], 5), units)
    assert first.to_csv() == assign(make_trial(method, [1, 1, 1], 5), units).to_csv()
    assert first.to_csv() != assign(make_trial(method, [1, 1, 1], 6), units).to_csv()


@pytest.mark.parametrize("method", sorted(SCHEMES))
def test_the_table_has_the_contract_s_columns_in_order(method: str) -> None:
    table = assign(make_trial(method, [1, 1, 1]), make_units(60))
    assert list(table) == list(ASSIGNMENT.columns)
    assert table["unit_id"].is_monotonic_increasing
    assert table["run_order"].isna().all() == (method not in WITHIN)
    assert table["block"].notna().all() == (method in BLOCKED)
    assert table["cluster"].notna().all() == (method in CLUSTERED)


def test_clusters_are_recorded_where_units_are_assigned() -> None:
    trial = make_trial("complete", [1, 1], cluster_by="template")
    table = assign(trial, make_units(20))
    assert table.set_index("unit_id")["cluster"]["u7"] == "3"


@pytest.mark.parametrize("method", PARALLEL)
def test_propensity_is_the_arm_s_share(method: str) -> None:
    table = assign(make_trial(method, [2, 1, 1]), make_units(80))
    by_arm = table.groupby("arm")["propensity"].unique()
    assert {arm: list(values) for arm, values in by_arm.items()} == {
        "arm0": [0.5],
        "arm1": [0.25],
        "arm2": [0.25],
    }


def deals(method: str, shares: list[float], units: pd.DataFrame, seeds: int) -> Arms:
    """The arm of every unit under many seeds, shape ``[seeds, units]``."""
    design = {"block_by": ["topic"]} if method == "factorial" else {}
    ordered = sorted_units(make_trial(method, shares, 1, **design), units)
    return np.array([SCHEMES[method](ordered, shares, seed) for seed in range(seeds)])


@pytest.mark.parametrize("method", PARALLEL)
def test_every_unit_gets_each_arm_as_often_as_its_propensity_says(method: str) -> None:
    """Not only the average unit. 26 units in blocks of 14 and 12, and 13 clusters, leave
    remainders under the shares 2:1:1, which is where a bias would hide.
    """
    repetitions = 1500
    arms = deals(method, [2.0, 1.0, 1.0], make_units(26, blocks=2), repetitions)
    for arm, p in enumerate([0.5, 0.25, 0.25]):
        # 5 standard errors: of the 468 comparisons here chance passes that in one seed of 3,700.
        tolerance = 5 * (p * (1 - p) / repetitions) ** 0.5
        np.testing.assert_allclose((arms == arm).mean(axis=0), p, atol=tolerance)


@pytest.mark.parametrize("method", QUOTA)
def test_remainders_are_dealt_in_proportion(method: str) -> None:
    """Quotas of 5.6, 5.6 and 16.8: rounding to the nearest, or up for the first, shows here."""
    arms = deals(method, [1.0, 1.0, 3.0], make_units(28, blocks=2), 1500)
    found = [(arms == arm).mean() for arm in range(3)]
    np.testing.assert_allclose(found, [0.2, 0.2, 0.6], atol=0.005)


def test_a_new_block_leaves_the_others_as_they_were() -> None:
    for method in ("block", "block_cluster", "factorial"):
        trial = make_trial(method, [1, 1], block_by=["topic"])
        units = make_units(36, blocks=3)
        fewer = units[units["topic"] != "topic 1"]
        whole = assign(trial, units)
        kept = whole[whole["block"] != "topic 1"].reset_index(drop=True)
        pd.testing.assert_frame_equal(assign(trial, fewer), kept)


@given(k=st.integers(2, 6), n=st.integers(1, 30), seed=seeds)
@settings(max_examples=12, deadline=None)
def test_every_unit_goes_through_every_arm_once(k: int, n: int, seed: int) -> None:
    for method in WITHIN:
        table = assign(make_trial(method, [1.0] * k, seed), make_units(n))
        assert len(table) == n * k
        for _, rows in table.groupby("unit_id"):
            assert sorted(rows["arm"]) == [f"arm{i}" for i in range(k)]
            assert list(rows["run_order"]) == list(range(1, k + 1))
        assert (table["propensity"] == 1).all()


@given(k=st.integers(2, 6), n=st.integers(1, 40), seed=seeds)
@settings(max_examples=12, deadline=None)
def test_latin_square_balances_places_for_any_number_of_units(k: int, n: int, seed: int) -> None:
    table = assign(make_trial("latin_square", [1.0] * k, seed), make_units(n))
    counts = pd.crosstab(table["arm"], table["run_order"]).reindex(
        [f"arm{i}" for i in range(k)], fill_value=0
    )
    assert counts.to_numpy().max() - counts.to_numpy().min() <= 1


@pytest.mark.parametrize("k", range(2, 9))
def test_williams_squares_balance_places_and_carry_over(k: int) -> None:
    rows = np.concatenate(williams_squares(k))
    assert len(rows) == (k if k % 2 == 0 else 2 * k)
    for place in rows.T:
        assert set(Counter(place.tolist()).values()) == {len(rows) // k}
    follows = Counter(pair for row in rows.tolist() for pair in pairwise(row))
    assert set(follows) == {(a, b) for a in range(k) for b in range(k) if a != b}
    assert len(set(follows.values())) == 1


def test_crossover_orders_are_uniform() -> None:
    table = assign(make_trial("crossover", [1, 1, 1], 3), make_units(1200))
    orders = table.groupby("unit_id")["arm"].agg("-".join).value_counts()
    assert len(orders) == 6
    assert ((orders - 200).abs() < 4.5 * (1200 * (1 / 6) * (5 / 6)) ** 0.5).all()


def test_blocks_of_several_columns_do_not_run_together() -> None:
    units = pd.DataFrame(
        {"unit_id": list("abcd"), "p": ["x|y", "x", "x|y", "x"], "q": ["z", "y|z", "z", "y|z"]}
    )
    table = assign(make_trial("block", [1, 1], block_by=["p", "q"]), units)
    assert table["block"].nunique() == 2


@pytest.mark.parametrize(
    ("method", "shares", "n", "sentence"),
    [
        ("complete", [1, 1, 1, 1], 3, "there must be at least 4 units for 4 arms, not 3"),
        ("complete", [1, 200], 12, "with these shares it takes at least 201 units"),
        ("cluster", [1, 1, 1], 4, "there must be at least 3 clusters for 3 arms, not 2"),
        ("cluster", [1, 200], 12, "at least 201 clusters"),
        ("block", [1, 200], 12, "at least 201 units in one block"),
        ("simple", [1, 20_000], 12, "use `method: complete`, or give at least"),
    ],
)
def test_an_empty_arm_is_refused_with_the_number_it_takes(
    method: str, shares: list[float], n: int, sentence: str
) -> None:
    with pytest.raises(DataError, match=sentence):
        assign(make_trial(method, shares, seed=11), make_units(n))


@pytest.mark.parametrize(
    ("method", "change", "sentence"),
    [
        ("complete", {"unit_id": None}, "row 1: column 'unit_id' must have a value"),
        ("complete", {"unit_id": "u5"}, "each unit must stand once, but 'u5'"),
        ("block", {"topic": None}, "column 'topic' must have a value"),
        ("cluster", {"template": float("nan")}, "column 'template' must have a value"),
        ("block_cluster", {"topic": "topic 2"}, "every cluster must lie in one block, but '0'"),
    ],
)
def test_bad_units_are_refused(method: str, change: dict[str, object], sentence: str) -> None:
    units = make_units(30).astype(object)
    for column, value in change.items():
        units[column] = [value, *units[column].iloc[1:]]
    with pytest.raises(DataError, match=sentence):
        assign(make_trial(method, [1, 1]), units)


def test_a_missing_column_is_refused_with_the_nearest() -> None:
    units = make_units(30).rename(columns={"topic": "topics"})
    with pytest.raises(DataError, match="must have the column 'topic'; did you mean 'topics'"):
        assign(make_trial("block", [1, 1]), units)
