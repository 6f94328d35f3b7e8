"""Cards, lists and searches tell what the store holds, and nothing in it is taken for markup."""

from __future__ import annotations

import io
import re

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from causal_sae.errors import DataError
from causal_sae.feature_tables import FeatureStore, write_features
from causal_sae.features.effects import effects_of
from causal_sae.features.find import active_word, by_contrast, by_prompt, by_words
from causal_sae.features.listing import listed
from causal_sae.features.placebos import placebos
from causal_sae.features.places import store_at
from causal_sae.reporting.features.card import cards
from causal_sae.reporting.features.page import render
from causal_sae.reporting.features.terminal import feature_list, found_table, show_card
from causal_sae.tables import CONTEXTS, EXAMPLES

NOTHING = pd.DataFrame(columns=["feature"])


def printed(*things):
    console = Console(file=io.StringIO(), width=100)
    for thing in things:
        console.print(thing)
    return console.file.getvalue()


def shown(card):
    console = Console(file=io.StringIO(), width=100)
    show_card(card, console)
    return console.file.getvalue()


def test_a_card_shows_examples_in_order_with_their_tokens_joined(store):
    card = cards(store, [5], NOTHING)[0]
    top = card.examples["top"]
    assert [e.activation for e in top] == sorted((e.activation for e in top), reverse=True)
    texts = store.companion("examples", [5])
    wanted = texts[texts["bin"] == "top"]["text"].iloc[0].replace("«", "").replace("»", "")
    assert "".join(t.text for t in top[0].tokens) == wanted
    assert sum(t.middle for t in top[0].tokens) == 1
    middle = next(t for t in top[0].tokens if t.middle)
    assert middle.activation == pytest.approx(top[0].activation, rel=1e-6)


def test_the_histogram_counts_every_position(store):
    table = store.companion("histograms")
    count = table.groupby("feature")["positions"].sum()
    density = store.features.set_index("feature")["density"]
    wanted = (density * store.manifest["positions"]).round()
    for feature, total in count.items():
        assert total == wanted[feature]


HOSTILE = "<script>alert(1)</script>[bold]x[/bold]\x1b[31m"


@pytest.fixture
def hostile(store, tmp_path):
    """A store whose tokens, texts and names are written to do harm."""
    features = store.features.copy()
    features["fires_on"] = f"{HOSTILE} | [/] | ["
    write_features(features, tmp_path)
    one = {"feature": 1, "bin": "top", "rank": 1, "position": 3, "activation": 2.0}
    text = {"text": f"a«{HOSTILE}»b", "document": HOSTILE, "group": HOSTILE}
    EXAMPLES.conform(pd.DataFrame([one | text])).to_parquet(tmp_path / "examples.parquet")
    token = {"offset": 0, "token": HOSTILE}
    CONTEXTS.conform(pd.DataFrame([one | token])).to_parquet(tmp_path / "contexts.parquet")
    return FeatureStore(tmp_path)


def test_text_of_a_corpus_is_escaped_on_the_page(hostile):
    page = render(cards(hostile, [1, 2], NOTHING), "about <b>this</b>")
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert "about &lt;b&gt;" in page
    assert "\x1b" not in page
    assert "default-src 'none'" in page
    assert not re.search(r"(?:src|href)=\"(?!#)", page), "the page must open offline"


def test_text_of_a_corpus_is_no_markup_in_the_terminal(hostile):
    said = shown(cards(hostile, [1], NOTHING)[0])
    assert "[bold]x[/bold]" in said
    assert "\x1b[31m" not in said
    table = hostile.features
    listing = printed(feature_list(table, len(table), "density", 200))
    assert "\x1b[31m" not in listing
    found = by_words(hostile, "script")
    assert "[" in printed(found_table(found, table, len(found)))


def test_a_list_is_sorted_and_leaves_out_what_hardly_fires(store):
    table, by = listed(store, "sharpness", False, None, 3)
    assert by == "sharpness"
    assert table["sharpness"].is_monotonic_decreasing
    assert (table["density"] * store.manifest["positions"] > 2.5).all()
    ordered, _ = listed(store, "density", False, "sea", 0)
    low = store.companion("groups").query("group == 'sea'").set_index("feature")["auroc_low"]
    known = ordered["feature"][ordered["feature"].isin(low.index)]
    assert low[known].is_monotonic_decreasing
    with pytest.raises(DataError, match="did you mean 'sea'"):
        listed(store, "density", False, "se", 0)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("the harp«oon»eer went", "harpooneer"),
        ("the« war»; and", " war"),
        ("«un»less", "unless"),
        ("a« b» c", " b"),
    ],
)
def test_the_active_word_is_whole(text, word):
    assert active_word(text) == word


def test_words_are_found_where_features_fire(store):
    found = by_words(store, "Whale, nothing-else")
    best = found.iloc[0]
    texts = store.companion("examples", [int(best["feature"])])["text"]
    assert best["on_word"] == pytest.approx(texts.map(active_word).str.contains("whale").mean())
    assert best["on_word"] == found["on_word"].max()
    assert by_words(store, "qqqq").empty


def test_a_contrast_finds_the_feature_that_was_planted(desk, tmp_path):
    """The concept is the word whale: the feature that fires on it most is nobody's secret."""
    positive = [f"the {w} whale said" for w in ("old", "great", "white", "small", "deep", "a")]
    negative = [text.replace("whale", "stone") for text in positive]
    (tmp_path / "with.txt").write_text("\n".join(positive))
    (tmp_path / "without.txt").write_text("\n".join(negative))
    found = by_contrast(desk, tmp_path / "with.txt", tmp_path / "without.txt", 0.05)
    assert found["auroc_low"].is_monotonic_decreasing
    assert (found["p_adjusted"] >= found["p_value"] - 1e-12).all()
    best = found.iloc[0]
    peaks = {}
    for kind, texts in (("with", positive), ("without", negative)):
        for text in texts:
            table = by_prompt(desk, text, None).set_index("feature")["activation"]
            peaks.setdefault(kind, []).append(table.get(best["feature"], 0.0))
    sign = np.sign(np.subtract.outer(np.array(peaks["with"]), np.array(peaks["without"])))
    assert best["auroc"] == pytest.approx((1 + sign.mean()) / 2)
    assert best["sensitivity"] == np.mean(np.array(peaks["with"]) > 0)
    (tmp_path / "few.txt").write_text("one\ntwo\n")
    with pytest.raises(DataError, match="5 texts or more"):
        by_contrast(desk, tmp_path / "few.txt", tmp_path / "without.txt", 0.05)


def test_a_prompt_names_the_token_that_a_feature_fires_on(desk, dense):
    piece, kept, values = max(dense, key=lambda one: len(one[0].tokens))
    text = desk.model.tokenizer.decode(list(piece.tokens[1:]))
    found = by_prompt(desk, text, None).set_index("feature")
    counted = np.where(kept[:, None], values, 0.0)
    np.testing.assert_allclose(found["activation"], counted.max(axis=0)[found.index], rtol=1e-4)
    feature = int(found.index[0])
    token = piece.tokens[int(counted[:, feature].argmax())]
    assert found["token"].iloc[0] == desk.model.tokenizer.decode([token])


def test_placebos_keep_to_the_caliper_and_are_shown_beside_the_treated(store):
    table, note = placebos(store, [3], ("density",), 3, 1.0, 0.9, 0)
    assert table["role"].tolist() == ["treated", "placebo", "placebo", "placebo"]
    logs = np.log(store.features["density"].to_numpy(float))
    reach = logs[np.isfinite(logs)].std()
    apart = np.log(table["density"].iloc[1:].to_numpy(float) / table["density"].iloc[0])
    assert (np.abs(apart) <= reach).all()
    assert "density" in note
    with pytest.raises(DataError, match="caliper of 1e-09"):
        placebos(store, [3], ("density",), 3, 1e-9, 0.9, 0)
    with pytest.raises(DataError, match="did you mean 'density'"):
        placebos(store, [3], ("densty",), 3, None, 0.9, 0)


def test_what_trials_found_of_a_feature_is_on_its_card(finished, store):
    root = finished.folder.path.parent
    found = effects_of([3, 4], root, None)
    assert set(found["feature"]) == {3}
    assert dict(zip(found["treatment"], found["part"], strict=True)) == {
        "clamp": "clamp",
        "placebo": "placebo",
    }
    card = cards(store, [3], found)[0]
    assert "tiny" in shown(card)
    assert "<td>clamp \u2212 control</td>" in render([card], "")
    assert effects_of([3], root, "another SAE").empty


def test_a_store_is_found_beside_the_sae_of_a_trial(store, trial_folder, tmp_path):
    path = trial_folder()
    with pytest.raises(DataError, match="no feature store here"):
        store_at(path)
    (tmp_path / "sae").unlink()
    (tmp_path / "sae").mkdir()
    write_features(store.features, tmp_path / "sae")
    assert len(store_at(path).features) == 24
    with pytest.raises(DataError, match="there is no folder"):
        store_at(tmp_path / "nowhere")


def test_a_store_is_opened_in_python_without_torch(store):
    import subprocess
    import sys

    said = (
        "import sys, causal_sae as cs; "
        f"s = cs.open_store({str(store.path)!r}); "
        "assert len(s.features) == 24 and len(s.companion('examples', [3])) > 0; "
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", said], check=True)
