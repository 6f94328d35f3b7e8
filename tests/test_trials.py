"""The ready trials and their pack: what they promise, checked without a model."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
import torch

from causal_sae.execution.treatments import focal_features
from causal_sae.saes import load_sae
from causal_sae.saes.features.store import stored_features
from causal_sae.spec.files import check_files
from causal_sae.spec.loading import load_trial_file
from causal_sae.steering.save import SWEPT
from causal_sae.steering.session import openers

ROOT = Path(__file__).resolve().parents[1]
PACK = ROOT / "packs" / "smollm2-layer8"
SAVED = ROOT / "trials" / "golden-gate" / "trial.yaml"
"""Written by ``steer --save``: on openings of no topic, not on passages of documents."""
TRIALS = sorted(set((ROOT / "trials").glob("*/trial.yaml")) - {SAVED})


@pytest.fixture(scope="module")
def pack():
    return load_sae(PACK)


@pytest.mark.parametrize("path", TRIALS, ids=lambda path: path.parent.name)
def test_a_ready_trial_is_valid_and_large_enough(path, pack):
    declared = load_trial_file(path)
    summary = check_files(declared)
    assert summary is not None
    assert summary.units >= 200
    pack.check_features(focal_features(declared.trial))


@pytest.mark.parametrize("path", TRIALS, ids=lambda path: path.parent.name)
def test_no_document_is_in_both_halves(path):
    discovery = pd.read_csv(path.parent / "discovery.csv")
    confirmation = pd.read_csv(path.parent / "prompts.csv")
    assert not set(discovery["document"]) & set(confirmation["document"])
    assert not confirmation["text"].duplicated().any()
    assert not set(discovery["text"]) & set(confirmation["text"])


def test_the_saved_trial_is_valid_and_leaves_the_sweep_its_prompts(pack):
    declared = load_trial_file(SAVED)
    summary = check_files(declared)
    assert summary is not None
    assert summary.units == len(openers()) - SWEPT
    pack.check_features(focal_features(declared.trial))
    texts = pd.read_csv(SAVED.parent / "prompts.csv")["text"]
    assert list(texts) == openers()[SWEPT:]


def test_every_ready_trial_is_here():
    assert [path.parent.name for path in TRIALS] == ["golden", "lord", "rare", "scripture"]


def test_the_pack_is_small_and_says_where_it_reads(pack):
    size = sum(file.stat().st_size for file in PACK.iterdir())
    assert size <= 12_000_000
    assert pack.config.hook == "blocks.8.hook_resid_post"
    assert pack.config.prepend_bos is True
    assert pack.config.d_sae >= 4096


def test_the_feature_store_belongs_to_the_weights(pack):
    store = stored_features(pack)
    assert store is not None
    assert store["dead"].sum() == json.loads((PACK / "quality.json").read_text())["dead"]
    torch.testing.assert_close(
        torch.tensor(store["decoder_norm"].to_numpy(float)),
        pack.decoder_norm.double(),
        atol=1e-6,
        rtol=1e-6,
    )


def test_the_model_card_tells_the_measured_figures():
    card = (PACK / "README.md").read_text(encoding="utf-8")
    measured = json.loads((PACK / "quality.json").read_text())
    assert measured["variance_explained"] >= 0.80
    assert measured["loss_recovered"] >= 0.94
    for key, shown in (("variance_explained", ".3f"), ("loss_recovered", ".3f"), ("l0", ".1f")):
        assert format(measured[key], shown) in card
    for key in ("training_tokens", "training_activations", "positions"):
        assert f"{measured[key]:,}" in card
