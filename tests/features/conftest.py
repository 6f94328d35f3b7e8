"""A small model with its SAE, a small corpus, and the store that they make."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

WORDS = (  # noqa: SIM905
    "the a whale sea ship boat captain white old man said went saw deep water storm"
).split()
LAND = (  # noqa: SIM905
    "city road house tree stone bird song king queen great small old man said went saw"
).split()
HOOK = "blocks.1.hook_resid_post"


def write_corpus(folder: Path) -> Path:
    """24 documents of two topics and several lengths, as jsonl."""
    draw = np.random.default_rng(3)
    lines = []
    for n in range(24):
        words = draw.choice(WORDS if n % 2 else LAND, size=5 + 3 * (n % 9))
        topic = "sea" if n % 2 else "land"
        lines.append(json.dumps({"text": " ".join(words), "topic": topic, "id": n}))
    path = folder / "corpus.jsonl"
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture(scope="session")
def desk(tiny_model, tiny_sae):
    from causal_sae.features.desk import desk_of

    return desk_of(tiny_model("llama"), tiny_sae(HOOK))


@pytest.fixture(scope="session")
def quiet() -> Console:
    import io

    return Console(file=io.StringIO())


@pytest.fixture(scope="session")
def corpus(tmp_path_factory):
    from causal_sae.spec.corpus import Corpus

    return Corpus(write_corpus(tmp_path_factory.mktemp("corpus")), label="topic")


@pytest.fixture(scope="session")
def make_store(desk, corpus, quiet):
    """``make_store(folder, **options)`` -> the store."""
    from causal_sae.features.extract import Options, extract

    def make(folder: Path, **options):
        return extract(desk, corpus, folder, Options(**{"context": 12} | options), quiet)

    return make


@pytest.fixture(scope="session")
def store(make_store, tmp_path_factory):
    """A store, made once: do not change it."""
    return make_store(tmp_path_factory.mktemp("store") / "store")


@pytest.fixture(scope="session")
def dense(desk, corpus):
    """What the model does, without any of our batches and parts: one sequence at a time.

    A list of (document, tokens, which positions count, activations ``[S, F]``).
    """
    import torch

    from causal_sae.execution.edits import attention_sinks
    from causal_sae.execution.harvest import Cutter

    found = []
    for piece in Cutter.of(desk.model, desk.sae, 12).cut(corpus):
        ids = torch.tensor([piece.tokens])
        with torch.no_grad():
            out = desk.model.network(ids, output_hidden_states=True)
            hidden = out.hidden_states[2]
            kept = ~attention_sinks(hidden)[0]
            kept[0] = False
            values = desk.sae.encode(hidden)[0]
        found.append((piece, kept.numpy(), values.numpy().astype(np.float64)))
    return found
