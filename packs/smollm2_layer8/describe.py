"""The feature store of the pack: statistics over the corpus, and top contexts on unseen text."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from rich.progress import track

from causal_sae.execution.host import Host
from causal_sae.execution.model import LanguageModel
from causal_sae.saes.features.statistics import FeatureStatistics
from causal_sae.saes.sae import SAE
from packs.smollm2_layer8.harvest import Sequences, read

TOP = 12  # contexts kept of each feature
BEFORE, AFTER = 24, 8  # tokens of context around the position


def statistics(sae: SAE, activations: npt.NDArray[np.float16]) -> FeatureStatistics:
    """Density and quantiles of every feature over activations ``[n, d_in]``."""
    counted = FeatureStatistics.empty(sae.config.d_sae)
    for start in track(range(0, len(activations), 4096), "statistics"):
        chunk = torch.from_numpy(activations[start : start + 4096].astype(np.float32))
        counted.update(sae.encode(chunk))
    return counted


def top_tokens(model: LanguageModel, sae: SAE, count: int = 10) -> list[str]:
    """For each feature the tokens whose logits its decoder row raises most."""
    network = model.network
    gain = network.model.norm.weight
    head = network.lm_head.weight
    rows = []
    for start in range(0, sae.config.d_sae, 256):
        directions = sae.direction(range(start, min(start + 256, sae.config.d_sae)))
        best = ((directions * gain) @ head.T).topk(count, dim=1).indices
        rows += [" | ".join(model.tokenizer.decode([i]) for i in ids) for ids in best.tolist()]
    return rows


@torch.no_grad()
def examples(host: Host, sae: SAE, sequences: Sequences, batch_size: int = 16) -> pd.DataFrame:
    """The strongest contexts of every feature, one for each sequence at most.

    Columns: feature, rank, activation, source, key, text (the active token in ``«»``).
    """
    strength = torch.zeros(TOP, sae.config.d_sae)
    where = torch.zeros(TOP, sae.config.d_sae, 2, dtype=torch.long)
    for start in track(range(0, len(sequences.tokens), batch_size), "contexts"):
        activation, kept = read(host, sequences.tokens[start : start + batch_size])
        features = torch.where(kept[..., None], sae.encode(activation), 0.0).cpu()
        peak, position = features.max(dim=1)
        number = torch.arange(start, start + len(activation))[:, None].expand_as(position)
        values = torch.cat([strength, peak])
        places = torch.cat([where, torch.stack([number, position], dim=-1)])
        strength, order = values.topk(TOP, dim=0)
        where = places.gather(0, order[..., None].expand(-1, -1, 2))
    rows = []
    for feature in range(sae.config.d_sae):
        for rank in range(TOP):
            if strength[rank, feature] > 0:
                number, position = where[rank, feature].tolist()
                rows.append(
                    {
                        "feature": feature,
                        "rank": rank,
                        "activation": float(strength[rank, feature]),
                        "source": sequences.source[number],
                        "key": sequences.key[number],
                        "text": _context(host.model, sequences.tokens[number], position),
                    }
                )
    return pd.DataFrame(rows)


def _context(model: LanguageModel, tokens: npt.NDArray[np.int32], position: int) -> str:
    decode = model.tokenizer.decode
    before = decode(tokens[max(1, position - BEFORE) : position].tolist())
    after = decode(tokens[position + 1 : position + 1 + AFTER].tolist())
    return f"{before}«{decode([int(tokens[position])])}»{after}"


def write_store(
    folder: Path, counted: FeatureStatistics, model: LanguageModel, sae: SAE
) -> pd.DataFrame:
    """Write ``features.parquet`` beside the SAE and return it."""
    from causal_sae.saes.features.store import write_features  # noqa: PLC0415

    table = counted.table(sae.decoder_norm)
    table["top_tokens"] = top_tokens(model, sae)
    write_features(table, folder)
    return table
