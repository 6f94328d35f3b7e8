from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from causal_sae.errors import DataError
from causal_sae.saes.features import balance, match_placebos
from causal_sae.tables import FEATURES

ALL = ("density", "mean_activation", "decoder_norm")


def population(n: int = 200, seed: int = 0) -> pd.DataFrame:
    draw = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "feature": np.arange(n),
            "density": 10 ** draw.uniform(-5, -0.5, n),
            "mean_activation": 10 ** draw.uniform(-1, 2, n),
            "decoder_norm": draw.uniform(0.5, 2, n),
            "dead": False,
        }
    )


def plant(table: pd.DataFrame, like: int, at: list[int]) -> pd.DataFrame:
    """Copies of feature ``like`` but for a hair, at rows ``at``."""
    table = table.copy()
    for step, feature in enumerate(at, 1):
        for name in ALL:
            table.loc[feature, name] = table.loc[like, name] * (1 + 1e-4 * step)
    return table


def draw(table, treated, draws=3, seed=1, on=ALL, **more):
    return match_placebos(table, treated, on, draws, np.random.default_rng(seed), **more)


def test_planted_twins_are_found():
    table = plant(population(), like=5, at=[40, 90, 150])
    found = draw(table, [5])
    assert len(found) == 3
    assert sorted(f for [f] in found) == [40, 90, 150]


def test_every_treated_feature_gets_its_own_twins_in_its_own_place():
    table = plant(plant(population(), like=5, at=[40, 90]), like=7, at=[30, 60])
    found = draw(table, [7, 5], draws=2)
    assert sorted(first for first, _ in found) == [30, 60]
    assert sorted(second for _, second in found) == [40, 90]


def test_only_what_is_matched_on_counts():
    table = plant(population(), like=5, at=[40, 90, 150])
    table.loc[[40, 90, 150], "decoder_norm"] *= 50
    assert sorted(f for [f] in draw(table, [5], on=("density", "mean_activation"))) == [40, 90, 150]
    assert not {40, 90, 150} & {f for [f] in draw(table, [5])}


def test_distances_are_ratios_not_differences():
    # 1e-4 against 1e-3 is far, 0.1 against 0.11 is near, though the differences say otherwise.
    table = population(4)
    table["density"] = [0.1, 0.11, 1e-4, 1e-3]
    assert draw(table, [0], draws=1, on=("density",)) == [[1]]
    table["density"] = [1e-4, 0.011, 1.1e-4, 1e-3]
    assert draw(table, [0], draws=1, on=("density",)) == [[2]]


def test_dead_treated_and_parallel_features_are_never_placebos():
    table = plant(population(), like=5, at=[40, 90, 150, 160])
    table.loc[40, "dead"] = True
    decoder = np.random.default_rng(2).normal(size=(200, 300))
    decoder[90] = -3 * decoder[5] + 0.1 * decoder[90]  # the opposite direction is as bad
    found = {f for [f] in draw(table, [5], draws=2, decoder=decoder)}
    assert found == {150, 160}
    both = draw(table, [5, 150], draws=4, decoder=decoder)
    assert not {5, 150, 40, 90} & {f for pair in both for f in pair}


def test_no_feature_is_used_twice():
    table = plant(population(), like=5, at=[6, 40, 90, 150])
    used = [f for pair in draw(table, [5, 6], draws=20) for f in pair]
    assert len(used) == len(set(used)) == 40


def test_the_same_seed_gives_the_same_draws_and_row_order_does_not_matter():
    table = population()
    assert draw(table, [5, 9], draws=8) == draw(table, [5, 9], draws=8)
    assert draw(table.sample(frac=1, random_state=3), [5, 9], draws=8) == draw(
        table, [5, 9], draws=8
    )
    other = draw(table, [5], draws=8, seed=2)
    assert sorted(other) == sorted(draw(table, [5], draws=8))  # the same features, dealt otherwise
    assert other != draw(table, [5], draws=8)


def test_too_few_candidates_are_a_sentence():
    with pytest.raises(DataError, match=r"need 12 features.*there are 9: ask for fewer draws"):
        draw(population(10), [5], draws=12)


@pytest.mark.parametrize("treated", [3, 999])
def test_a_feature_that_never_fires_has_no_placebo(treated):
    table = population()
    table.loc[3, ["density", "mean_activation"]] = [0.0, np.nan]
    with pytest.raises(DataError, match=f"feature {treated} cannot be matched"):
        draw(table, [treated])


def test_a_table_as_it_comes_from_disk_is_matched_the_same():
    table = plant(population(), like=5, at=[40, 90, 150])
    assert draw(FEATURES.conform(table), [5]) == draw(table, [5])


def test_the_balance_table_shows_each_placebo_beside_its_treated():
    table = plant(plant(population(), like=5, at=[40, 90]), like=7, at=[30, 60])
    placebos = draw(table, [7, 5], draws=2)
    shown = balance(table, [7, 5], placebos)
    assert shown["stands_for"].tolist() == [7, 7, 7, 5, 5, 5]
    assert shown["role"].tolist() == ["treated", "placebo", "placebo"] * 2
    assert shown["draw"].tolist()[1:3] == [0, 1]
    assert shown["feature"].tolist()[1:3] == [placebos[0][0], placebos[1][0]]
    assert shown["density_ratio"].between(0.999, 1.001).all()
    assert shown.loc[0, "density"] == table.loc[7, "density"]
