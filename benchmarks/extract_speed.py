"""What it takes to cache activations: ``python -m benchmarks.extract_speed TRIAL``.

Three ways over the same tokens of the same model and SAE, interleaved, in CPU seconds:

- ours: the pass of ``features extract``, its files included;
- whole: a plain forward pass of all layers, the SAE's encoder on every position, and the places
  that are not zero kept: how delphi caches;
- groups: up to the hook once, then 256 features at a time, encoded densely and kept: how
  SAEDashboard caches, with the model's activations held so that it reads the text once.

The last two are written here after what the packages do; the packages themselves are not run.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from rich.console import Console

from causal_sae.execution.harvest import Piece, harvest
from causal_sae.features.desk import LIMIT, Desk, open_desk
from causal_sae.saes.features.parts import Source
from causal_sae.spec.naming import sources

SEQUENCES, LENGTH, ROUNDS, GROUP, BATCH = 8, 128, 2, 256, 8


def ours(desk: Desk, ids: torch.Tensor) -> int:
    """Our pass."""
    rows = [tuple(row) for row in ids.tolist()]
    pieces = [Piece(i, Source(str(i), None), row, i) for i, row in enumerate(rows)]
    with tempfile.TemporaryDirectory() as folder:
        parts = harvest(desk.host, desk.sae, pieces, Path(folder), "benchmark", LIMIT)
        return sum(path.stat().st_size for path in parts.paths)


@torch.no_grad()
def whole(desk: Desk, ids: torch.Tensor) -> int:
    """All layers, every feature, what is not zero."""
    held: list[torch.Tensor] = []
    module = desk.model.network.get_submodule(desk.host.hook.module)
    handle = module.register_forward_hook(
        lambda _m, _i, out: held.append(out if isinstance(out, torch.Tensor) else out[0])
    )
    found = 0
    for batch in ids.split(BATCH):
        desk.model.network.base_model(input_ids=batch, use_cache=False)
        features = desk.sae.encode(held.pop())
        places = features.nonzero()
        found += len(features[tuple(places.T)])
    handle.remove()
    return found


@torch.no_grad()
def groups(desk: Desk, ids: torch.Tensor) -> int:
    """Up to the hook, then features by groups, dense."""
    held = [desk.host.read(batch).activation for batch in ids.split(BATCH)]
    found = 0
    for start in range(0, desk.sae.config.d_sae, GROUP):
        own = range(start, min(start + GROUP, desk.sae.config.d_sae))
        dense = torch.cat([desk.sae.encode_features(activation, own) for activation in held])
        found += dense.numel()
    return found


WAYS: dict[str, Callable[[Desk, torch.Tensor], int]] = {
    "ours": ours,
    "whole": whole,
    "groups": groups,
}


def main() -> None:
    """Print CPU seconds of each way, and their ratio to ours."""
    torch.set_num_threads(1)
    desk = open_desk(*sources(sys.argv[1], None), Console(stderr=True))
    draw = np.random.default_rng(0)
    shape = (SEQUENCES, LENGTH)
    ids = torch.from_numpy(draw.integers(1000, desk.model.network.config.vocab_size, shape))
    seconds: dict[str, list[float]] = {name: [] for name in WAYS}
    for _ in range(ROUNDS):
        for name, way in WAYS.items():
            begun = time.process_time()
            way(desk, ids)
            seconds[name].append(time.process_time() - begun)
    base = min(seconds["ours"])
    for name, found in seconds.items():
        print(f"{name}: {min(found):.1f} s for {ids.numel():,} tokens, {min(found) / base:.2f}x")


if __name__ == "__main__":
    main()
