"""The feature store of the pack: statistics over the training text, the rest on unseen text."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from rich.console import Console
from rich.progress import track

from causal_sae.execution.model import LanguageModel
from causal_sae.feature_tables import NAME, FeatureStore, write_features
from causal_sae.features.desk import desk_of
from causal_sae.features.extract import Options, extract
from causal_sae.saes.features.statistics import FeatureStatistics
from causal_sae.saes.sae import SAE
from causal_sae.spec.corpus import Corpus
from packs.smollm2_layer8.corpus import Document

LONGEST = 6_000  # characters taken of one document
BUDGET = {  # characters taken of each source: 164,497 tokens
    "state_of_the_union": 200_000,
    "moby_dick": 140_000,
    "email": 140_000,
    "king_james_bible": 140_000,
    "python_documentation": 140_000,
}
UNSEEN = (
    *("sharpness", "cohesion", "top_tokens", "suppressed_tokens", "fires_on", "token_focus"),
    *("kurtosis", "bimodality", "absorption", "absorbed_by"),
)
"""The columns that come from unseen text, or from the weights alone."""


def statistics(sae: SAE, activations: npt.NDArray[np.float16]) -> FeatureStatistics:
    """Density and quantiles of every feature over activations ``[n, d_in]``."""
    counted = FeatureStatistics.empty(sae.config.d_sae)
    for start in track(range(0, len(activations), 4096), "statistics"):
        chunk = torch.from_numpy(activations[start : start + 4096].astype(np.float32))
        counted.update(sae.encode(chunk))
    return counted


def unseen_text(documents: Iterable[Document], path: Path) -> Path:
    """Documents that the SAE was not trained on, as jsonl with their source."""
    held = [one for one in documents if one.split in ("evaluate", "discovery")]
    random.Random(1).shuffle(held)
    left, lines = dict(BUDGET), []
    for one in held:
        text = one.text[:LONGEST]
        if left[one.source] > 0:
            left[one.source] -= len(text)
            lines.append(json.dumps({"text": text, "source": one.source, "key": one.key}))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def unseen_store(
    model: LanguageModel, sae: SAE, documents: Iterable[Document], cache: Path, console: Console
) -> FeatureStore:
    """What ``causal-sae features extract`` makes of the unseen text; made once."""
    out = cache / "features"
    if (out / NAME).exists():
        return FeatureStore(out)
    corpus = Corpus(unseen_text(documents, cache / "unseen.jsonl"), label="source")
    return extract(desk_of(model, sae), corpus, out, Options(resume=out.exists()), console)


def write_store(
    folder: Path, counted: FeatureStatistics, sae: SAE, unseen: FeatureStore
) -> pd.DataFrame:
    """Write ``features.parquet`` beside the SAE and return it."""
    table = counted.table(sae.decoder_norm)
    for name in UNSEEN:
        table[name] = unseen.features[name]
    write_features(table, folder)
    return table
