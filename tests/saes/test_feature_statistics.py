from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from causal_sae.errors import DataError
from causal_sae.saes.config import SAEConfig
from causal_sae.saes.features import (
    FeatureStatistics,
    read_features,
    stored_features,
    write_features,
)
from causal_sae.saes.sae import build
from causal_sae.saes.weights import Weights
from causal_sae.tables import FEATURES

torch.set_num_threads(1)


def sparse(n: int, d_sae: int, seed: int) -> torch.Tensor:
    """Log-normal activations, each feature with its own density; feature 0 never fires."""
    draw = np.random.default_rng(seed)
    density = np.linspace(0, 0.6, d_sae)
    size = draw.lognormal(mean=draw.normal(0, 2, d_sae), sigma=1.0, size=(n, d_sae))
    return torch.from_numpy(np.where(draw.random((n, d_sae)) < density, size, 0)).float()


def counted(*chunks: torch.Tensor) -> FeatureStatistics:
    statistics = FeatureStatistics.empty(chunks[0].shape[1])
    for chunk in chunks:
        statistics.update(chunk)
    return statistics


def test_the_table_is_what_numpy_computes_over_active_positions():
    acts = sparse(4000, 9, seed=1)
    table = counted(acts[:1500], acts[1500:]).table(torch.arange(9.0) + 1)
    assert list(table.columns) == list(FEATURES.columns)
    for feature in range(1, 9):
        row, values = table.iloc[feature], acts[:, feature].double().numpy()
        active = values[values > 0]
        assert row["density"] == len(active) / 4000
        assert row["mean_activation"] == pytest.approx(active.mean(), rel=1e-12)
        assert row["max_activation"] == active.max()
        assert row["decoder_norm"] == feature + 1
        for name, share in {"q50": 0.5, "q90": 0.9, "q99": 0.99}.items():
            exact = np.quantile(active, share, method="inverted_cdf")
            assert row[name] == pytest.approx(exact, rel=0.01)


def test_dead_and_dense_features_are_marked_and_a_dead_one_has_no_activation():
    acts = torch.zeros(100, 3)
    acts[:10, 1], acts[:11, 2] = 2.0, 2.0
    table = counted(acts).table(torch.ones(3))
    assert table["dead"].tolist() == [True, False, False]
    assert table["dense"].tolist() == [False, False, True]  # more than a tenth, not a tenth
    assert table.loc[0, "density"] == 0
    assert table.loc[0, ["mean_activation", "max_activation", "q50", "q99"]].isna().all()


def test_a_single_value_is_its_own_quantiles():
    acts = torch.zeros(50, 2)
    acts[7, 1] = 3.14159
    row = counted(acts).table(torch.ones(2)).iloc[1]
    assert row["q50"] == row["q99"] == row["max_activation"] == pytest.approx(3.14159, rel=1e-6)


def same(a: FeatureStatistics, b: FeatureStatistics) -> None:
    assert a.positions == b.positions
    for exact in ("active", "largest", "smallest", "histogram"):
        assert torch.equal(getattr(a, exact), getattr(b, exact))
    torch.testing.assert_close(a.total, b.total, rtol=1e-12, atol=0)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), cut=st.integers(0, 60))
def test_neither_the_order_of_the_text_nor_its_division_matters(seed, cut):
    acts = sparse(60, 5, seed)
    shuffled = acts[torch.from_numpy(np.random.default_rng(seed).permutation(60))]
    whole = counted(acts)
    same(whole, counted(shuffled))
    same(whole, counted(acts[:cut]).merge(counted(acts[cut:])))
    same(whole, counted(acts[cut:]).merge(counted(acts[:cut])))


def test_values_beyond_the_bins_stay_within_the_exact_extremes():
    acts = torch.tensor([[1e-9, 1e9], [1e-9, 1e9]])
    table = counted(acts).table(torch.ones(2))
    assert table["q50"].tolist() == pytest.approx([1e-9, 1e9])


def test_what_cannot_be_counted_is_refused():
    statistics = FeatureStatistics.empty(3)
    with pytest.raises(DataError, match=r"\[positions, 3\]; got \[2, 4\]"):
        statistics.update(torch.zeros(2, 4))
    with pytest.raises(DataError, match="finite"):
        statistics.update(torch.tensor([[0.0, float("nan"), 1.0]]))
    with pytest.raises(DataError, match="at least one position"):
        statistics.table(torch.ones(3))


def test_the_table_comes_back_from_disk_as_it_went(tmp_path):
    table = counted(sparse(300, 4, seed=2)).table(torch.ones(4))
    file = write_features(table.iloc[::-1], tmp_path)
    assert file == tmp_path / "features.parquet"
    pd.testing.assert_frame_equal(read_features(tmp_path), table)
    pd.testing.assert_frame_equal(read_features(file), table)
    assert [p.name for p in tmp_path.iterdir()] == ["features.parquet"]


def test_an_sae_finds_its_own_table_and_not_anothers(tmp_path):
    config = SAEConfig(architecture="standard", d_in=2, d_sae=4, d_out=2, path=tmp_path)
    weights = Weights(torch.ones(2, 4), torch.ones(4, 2), torch.ones(2), torch.ones(4))
    sae = build(config, weights)
    assert stored_features(sae) is None
    table = counted(sparse(300, 4, seed=2)).table(sae.decoder_norm)
    write_features(table, tmp_path)
    pd.testing.assert_frame_equal(stored_features(sae), table)
    write_features(table.iloc[:3], tmp_path)
    with pytest.raises(DataError, match="each of the SAE's 4 features; it has 3"):
        stored_features(sae)


def test_a_table_that_cannot_be_read_is_a_sentence(tmp_path):
    with pytest.raises(DataError, match="causal-sae features extract"):
        read_features(tmp_path)
    (tmp_path / "features.parquet").write_text("not parquet")
    with pytest.raises(DataError, match="not readable as parquet"):
        read_features(tmp_path)
    pd.DataFrame({"feature": [0], "density": [0.1], "decoder_norm": [1.0]}).to_parquet(
        tmp_path / "features.parquet"
    )
    with pytest.raises(DataError, match="'mean_activation'"):
        read_features(tmp_path)
    table = counted(sparse(300, 4, seed=2)).table(torch.ones(4))
    write_features(pd.concat([table, table.iloc[[2]]]), tmp_path)
    with pytest.raises(DataError, match="2 has several"):
        read_features(tmp_path)
