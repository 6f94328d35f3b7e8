"""The store holds what the model does, however the pass was divided or interrupted."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from causal_sae.errors import DataError
from causal_sae.execution import harvest as harvesting
from causal_sae.saes.features.parts import Parts, read_part


def positions(dense):
    """[n, F] every counted position's activations, and the token on each."""
    values = np.concatenate([v[kept] for _, kept, v in dense])
    tokens = np.concatenate([np.array(p.tokens)[kept] for p, kept, _ in dense])
    return np.where(values > 0, values, 0.0), tokens


def test_the_statistics_are_those_of_a_plain_pass(store, dense):
    values, _ = positions(dense)
    table = store.features
    np.testing.assert_allclose(table["density"], (values > 0).mean(axis=0), rtol=1e-12)
    alive = (values > 0).any(axis=0)
    # Batches round differently from single sequences: float32 in the forward pass.
    np.testing.assert_allclose(table["max_activation"][alive], values.max(axis=0)[alive], rtol=1e-4)
    means = [values[:, j][values[:, j] > 0].mean() for j in np.flatnonzero(alive)]
    np.testing.assert_allclose(table["mean_activation"][alive], means, rtol=1e-4)
    assert table["dead"].tolist() == (~alive).tolist()
    assert store.manifest["positions"] == len(values)


def test_the_first_position_and_what_follows_a_document_do_not_count(store, dense):
    assert all(not kept[0] for _, kept, _ in dense)
    assert store.manifest["tokens"] == sum(len(p.tokens) for p, _, _ in dense)
    assert store.manifest["documents"] == 24


def test_sharpness_is_one_minus_the_normalised_entropy_over_sequences(store, dense):
    mass = np.stack([np.where(v[kept] > 0, v[kept], 0).sum(axis=0) for _, kept, v in dense])
    mass = mass[[bool(kept.any()) for _, kept, _ in dense]]
    share = mass / mass.sum(axis=0)
    logs = np.log(np.where(share > 0, share, 1.0))
    wanted = 1 + (share * logs).sum(axis=0) / np.log(len(mass))
    alive = ~store.features["dead"].to_numpy(bool)
    np.testing.assert_allclose(store.features["sharpness"][alive], wanted[alive], atol=1e-5)


def test_the_top_examples_are_the_strongest_one_of_each_sequence(store, dense):
    peaks = np.stack([np.where(kept[:, None] & (v > 0), v, 0).max(axis=0) for _, kept, v in dense])
    examples = store.companion("examples")
    for feature in range(24):
        own = examples[(examples["feature"] == feature) & (examples["bin"] == "top")]
        wanted = np.sort(peaks[:, feature][peaks[:, feature] > 0])[::-1][:12]
        np.testing.assert_allclose(own["activation"], wanted, rtol=1e-4)
        assert own["rank"].tolist() == list(range(1, len(wanted) + 1))


def test_the_ranges_hold_what_their_names_say(store, dense):
    values, _ = positions(dense)
    examples = store.companion("examples")
    for feature in (2, 11):
        fired = values[:, feature][values[:, feature] > 0]
        low, high = np.quantile(fired, [0.5, 0.9], method="inverted_cdf")
        own = examples[examples["feature"] == feature]
        by = {name: group["activation"] for name, group in own.groupby("bin")}
        assert by["min-q50"].max() <= low * 1.02
        assert by["q50-q90"].between(low * 0.98, high * 1.02).all()
        assert by["q90-max"].min() >= high * 0.98


def test_a_marked_token_is_where_the_feature_fires(store):
    contexts, examples = store.companion("contexts"), store.companion("examples")
    middle = contexts[contexts["offset"] == 0].set_index(["feature", "bin", "rank"])
    rows = examples.set_index(["feature", "bin", "rank"])
    said = middle[["token", "activation"]].rename(columns={"activation": "on_it"})
    joined = rows.join(said)
    np.testing.assert_allclose(joined["activation"], joined["on_it"], rtol=1e-6)
    assert all(f"«{t}»" in text for t, text in zip(joined["token"], joined["text"], strict=True))
    assert not contexts["token"].str.contains("<s>").any()


def test_coactivation_is_the_correlation_of_firing(store, dense):
    fires = positions(dense)[0] > 0
    near = store.companion("neighbours", [4])
    own = near[near["kind"] == "coactivation"]
    for row in own.itertuples():
        wanted = np.corrcoef(fires[:, 4], fires[:, row.neighbour])[0, 1]
        assert row.value == pytest.approx(wanted, abs=1e-9)
    correlation = [np.corrcoef(fires[:, 4], fires[:, j])[0, 1] for j in range(24)]
    together = [(fires[:, 4] & fires[:, j]).sum() for j in range(24)]
    usable = [c for j, c in enumerate(correlation) if j != 4 and together[j] >= 5]
    assert own["value"].iloc[0] == pytest.approx(max(usable), abs=1e-9)


def test_neighbours_by_the_decoder_are_the_largest_cosines(store, desk):
    rows = desk.sae.decoder.double().numpy()
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    cosine = rows @ rows[7]
    cosine[7] = -1
    own = store.companion("neighbours", [7]).query("kind == 'decoder'")
    assert own["neighbour"].iloc[0] == cosine.argmax()
    assert own["value"].iloc[0] == pytest.approx(cosine.max(), abs=1e-6)


def test_groups_are_compared_by_documents(store, dense):
    means, topic = {}, {}
    for piece, kept, v in dense:
        total, size = means.get(piece.document, (0.0, 0))
        fired = np.where(v[kept] > 0, v[kept], 0)
        means[piece.document] = (total + fired[:, 6].sum(), size + kept.sum())
        topic[piece.document] = piece.source.group
    score = np.array([total / size for total, size in means.values()])
    sea = np.array([topic[d] == "sea" for d in means])
    pairs = np.sign(score[sea][:, None] - score[~sea][None])
    row = store.companion("groups", [6]).query("group == 'sea'").iloc[0]
    assert row["auroc"] == pytest.approx((1 + pairs.mean()) / 2, abs=1e-6)
    assert (row["documents"], row["others"]) == (12, 12)
    assert row["auroc_low"] <= row["auroc"] <= row["auroc_high"]


def test_what_a_feature_fires_on_is_counted_by_token(store, dense, desk):
    values, tokens = positions(dense)
    weight = pd.Series(values[:, 3]).groupby(tokens).sum().sort_values(ascending=False)
    row = store.row(3)
    assert row["fires_on"].split(" | ")[0] == desk.model.tokenizer.decode([int(weight.index[0])])
    assert row["token_focus"] == pytest.approx(weight.iloc[0] / weight.sum(), rel=1e-4)


def test_the_tokens_a_feature_raises_are_those_of_the_models_own_head(store, desk):
    """A tiny step along the decoder row, through the real final norm and head."""
    import torch

    network = desk.model.network
    with torch.no_grad():
        stream = torch.randn(200, desk.model.d_model)
        moved = stream + 1e-2 * desk.sae.decoder[5]
        scale = stream.pow(2).mean(-1, keepdim=True).sqrt()
        # The norm's own scale differs by place and is common to all tokens: held fixed.
        gain = network.model.norm.weight
        change = network.lm_head((moved - stream) / scale * gain).mean(dim=0)
    change = (change - change.mean()).numpy()
    logits = store.companion("logits", [5])
    best = logits[logits["kind"] == "boosted"]["token"].iloc[0]
    assert best == desk.model.tokenizer.decode([int(change.argmax())])
    worst = logits[logits["kind"] == "suppressed"]["token"].iloc[0]
    assert worst == desk.model.tokenizer.decode([int(change.argmin())])


def tables(store):
    names = ("examples", "contexts", "neighbours", "groups", "histograms", "logits")
    return {"features": store.features} | {name: store.companion(name) for name in names}


def assert_same(one, other):
    for name, table in tables(one).items():
        pd.testing.assert_frame_equal(table, tables(other)[name], obj=name)


def test_parts_of_any_size_give_the_same_store(store, make_store, tmp_path, monkeypatch):
    monkeypatch.setattr(harvesting, "SEQUENCES", 7)
    small = make_store(tmp_path / "small")
    assert len(list((tmp_path / "small/activations").iterdir())) > 5
    for name in ("features", "neighbours", "groups"):
        # The contexts that cohesion is held against are drawn part by part.
        one, other = (
            t[name].drop(columns="cohesion", errors="ignore") for t in map(tables, (store, small))
        )
        # Batches of another size round differently in the forward pass.
        pd.testing.assert_frame_equal(one, other, obj=name, rtol=2e-3, atol=1e-5)
    one, other = (tables(made)["examples"]["activation"] for made in (store, small))
    np.testing.assert_allclose(one, other, rtol=1e-4)


def test_a_killed_pass_goes_on_and_ends_the_same(make_store, tmp_path, monkeypatch):
    monkeypatch.setattr(harvesting, "SEQUENCES", 7)
    whole = make_store(tmp_path / "whole")
    read, calls = harvesting._read, []

    def dies(*arguments):
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return read(*arguments)

    monkeypatch.setattr(harvesting, "_read", dies)
    with pytest.raises(KeyboardInterrupt):
        make_store(tmp_path / "killed")
    assert not (tmp_path / "killed/features.parquet").exists()
    with pytest.raises(DataError, match="--resume"):
        make_store(tmp_path / "killed")
    resumed = make_store(tmp_path / "killed", resume=True)
    assert_same(whole, resumed)
    parts = len(list((tmp_path / "whole/activations").iterdir()))
    assert len(calls) == parts + 1, "what was done was done again"


def test_parts_of_another_corpus_are_not_taken_up(make_store, tmp_path, monkeypatch):
    monkeypatch.setattr(harvesting, "SEQUENCES", 7)
    sequences = make_store(tmp_path / "out").manifest["sequences"]
    again = make_store(tmp_path / "out", context=8, replace=True)
    assert again.manifest["sequences"] > sequences
    other = make_store(tmp_path / "fresh", context=8)
    assert_same(again, other)


def test_a_store_is_not_overwritten_unasked(store, make_store):
    with pytest.raises(DataError, match="--replace"):
        make_store(store.path)


def test_a_store_without_its_activations_can_be_read(make_store, tmp_path):
    made = make_store(tmp_path / "lean", discard=True)
    assert not (tmp_path / "lean/activations").exists()
    assert len(made.features) == 24


def test_a_damaged_part_is_named(store, tmp_path):
    broken = tmp_path / "part-00000-x.safetensors"
    broken.write_bytes(b"not a part")
    with pytest.raises(DataError, match="damaged"):
        list(Parts((broken,)))
    whole = sorted((store.path / "activations").iterdir())[0]
    assert read_part(whole).positions > 0


def test_a_limit_of_tokens_stops_the_pass(make_store, tmp_path):
    made = make_store(tmp_path / "short", most=100)
    assert 100 <= made.manifest["tokens"] < 112


def test_a_replicate_tells_which_features_are_found_again(make_store, desk, tmp_path, tiny_sae):
    twin = tiny_sae("blocks.1.hook_resid_post")
    made = make_store(tmp_path / "twin", replicate=twin)
    np.testing.assert_allclose(made.features["stability"], 1.0, atol=1e-6)
    assert made.features["twin"].tolist() == list(range(24))
    narrow = tiny_sae("blocks.1.hook_resid_post", width=16, d_sae=12)
    with pytest.raises(DataError, match="width 32"):
        make_store(tmp_path / "narrow", replicate=narrow)
