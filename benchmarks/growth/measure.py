"""Runs of growing size on a model of four small layers: what is measured is everything else."""

from __future__ import annotations

import resource
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from transformers import AutoModelForCausalLM
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from causal_sae.execution.execute import execute
from causal_sae.execution.laboratory import assemble
from causal_sae.execution.model import wrap_model
from causal_sae.execution.plan import plan
from causal_sae.execution.sequences import Prompt
from causal_sae.execution.treatments import treatments
from causal_sae.saes.config import SAEConfig
from causal_sae.saes.sae import SAE, build
from causal_sae.saes.weights import Weights
from causal_sae.spec import Trial

WIDTH, LAYERS, VOCABULARY, FEATURES, TOKENS = 32, 4, 200, 64, 8
HOOK = "blocks.1.hook_resid_post"
TRIAL = {
    "schema": 1,
    "name": "growth",
    "question": "How does it grow?",
    "seed": 1,
    "model": {"source": {"path": "model"}},
    "sae": {"source": {"path": "sae"}},
    "population": {"prompts": "prompts.csv", "bos": "never"},
    "assignment": {"method": "crossover"},
    "arms": [
        {"name": "control", "intervention": {"kind": "none"}},
        {"name": "clamp", "intervention": {"kind": "clamp", "features": [3], "dose": 4.0}},
        {"name": "ablate", "intervention": {"kind": "ablate", "features": [5]}},
    ],
    "outcomes": [{"name": "drift", "role": "primary", "metric": "kl"}],
}


class Plain:
    """A tokenizer for prompts that are tokens already."""

    bos_token_id = eos_token_id = None
    chat_template = None


def measured(sizes: list[int]) -> pd.DataFrame:
    """One row a size: seconds of planning and of running, the memory at the peak, bytes written."""
    torch.set_num_threads(1)
    rows = []
    for units in sizes:
        with tempfile.TemporaryDirectory() as folder:
            rows.append({"units": units, **_run(units, Path(folder))})
        print(rows[-1], flush=True)
    return pd.DataFrame(rows)


def _run(units: int, folder: Path) -> dict[str, float]:
    trial = Trial.model_validate(TRIAL)
    lab = assemble(trial, folder, wrap_model(_network(), Plain(), "small", "0"), _sae())
    draw = np.random.default_rng(1)
    ids = draw.integers(0, VOCABULARY, (units, TOKENS))
    mask = np.arange(TOKENS) > 0
    prompts = [Prompt(f"u{n:07d}", tuple(row), mask) for n, row in enumerate(ids.tolist())]
    table = pd.DataFrame({"unit_id": [prompt.unit_id for prompt in prompts]})
    made = treatments(trial, lab.sae, pd.DataFrame())
    planning = []
    for _ in range(3):  # the fastest: the collector of garbage comes when it likes
        start = time.process_time()
        dealt = {(p.unit_id, arm): made[arm][0] for p in prompts for arm in made}
        units_of = {p.unit_id: {} for p in prompts}
        laid = plan(lab, prompts, lab.metrics(table), dealt, (3,), units_of)
        planning.append(time.process_time() - start)
    planned = time.process_time()
    execute(laid, folder / "observations")
    done = time.process_time()
    size = sum(path.stat().st_size for path in (folder / "observations").iterdir())
    return {
        "planning": min(planning),
        "running": done - planned,
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "bytes": size,
        "shards": len(laid.shards),
        "observations": 3 * units,
    }


def _network() -> torch.nn.Module:
    torch.manual_seed(0)
    config = CONFIG_MAPPING["llama"](
        hidden_size=WIDTH,
        intermediate_size=48,
        num_hidden_layers=LAYERS,
        num_attention_heads=4,
        vocab_size=VOCABULARY,
        max_position_embeddings=64,
    )
    return AutoModelForCausalLM.from_config(config)


def _sae() -> SAE:
    draw = torch.Generator().manual_seed(1)
    decoder = torch.randn(FEATURES, WIDTH, generator=draw)
    weights = Weights(
        w_enc=decoder.T.contiguous(),
        w_dec=decoder,
        b_dec=torch.zeros(WIDTH),
        b_enc=torch.zeros(FEATURES),
        threshold=torch.full((FEATURES,), 2.0),
    )
    return build(SAEConfig("jumprelu", WIDTH, FEATURES, WIDTH, hook=HOOK), weights)


def exponent(table: pd.DataFrame, column: str) -> float:
    """The power of the number of units with which a column grows: 1 is linear.

    By least squares on the logarithms, the smallest size left out: what is fixed weighs there.
    """
    later = table.sort_values("units").iloc[1:]
    return float(np.polyfit(np.log(later["units"]), np.log(later[column]), 1)[0])
