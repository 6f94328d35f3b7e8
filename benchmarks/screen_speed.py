"""How fast a screen is: ``python -m benchmarks.screen_speed TRIAL`` with a trial that screens.

Seconds are CPU time of this process, so that another process does not change them; set
``OMP_NUM_THREADS=1``. Three measurements, each printed with what it is of:

- stage 1, attribution of every feature, against plain forward passes over the same prompts;
- stage 2, ablations of features where they fire, against one trace for each feature and prompt;
- estimation and correction of 10,000 features on 2,000 prompts.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from rich.console import Console

from causal_sae.estimation.screens import Differences, adjusted, screened
from causal_sae.execution.backends import open_backend
from causal_sae.execution.batches import Job, Limit, batches
from causal_sae.execution.metrics import Metric
from causal_sae.execution.screens.attribution import attribute
from causal_sae.execution.screens.exact import measure
from causal_sae.spec.loading import load_trial_file
from causal_sae.spec.prompts import read_prompts


def seconds(work: Callable[[], object]) -> float:
    """CPU seconds that it takes."""
    begun = time.process_time()
    work()
    return time.process_time() - begun


def estimation(features: int = 10_000, units: int = 2_000) -> float:
    """Seconds for effects, intervals, p-values and Benjamini-Hochberg of a made-up screen."""
    draw = np.random.default_rng(0)
    fires = draw.random((units, features), dtype=np.float32) < np.exp(
        draw.uniform(-5, -1, features)
    )
    unit, feature = fires.nonzero()
    value = draw.exponential(size=len(unit)) - 1
    differences = Differences(feature, unit, value, fires.sum(axis=0), units)
    print(f"estimation: {len(value):,} differences of {features:,} features on {units:,} prompts")
    return seconds(lambda: adjusted("bh", screened(differences, 0.05).p_value, 0, 0.05))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("trial", type=Path)
    parser.add_argument("--prompts", type=int, default=200)
    parser.add_argument("--traces", type=int, default=20, help="traces that are timed one by one")
    given = parser.parse_args()
    print(f"estimation: {estimation():.2f} s")
    declared = load_trial_file(given.trial, screen=True)
    table = read_prompts(declared.trial, declared.folder).head(given.prompts)
    engine = open_backend("local", declared.trial, declared.folder, table, Console(stderr=True))
    lab = engine.laboratory
    metrics = {name: m for name, m in engine.metrics.items() if isinstance(m, Metric)}
    sequences = lab.sequences(engine.prompts, metrics)
    jobs = list(batches([Job(s, ()) for s in sequences.values()], lab.limit))
    ids = [torch.tensor([job.sequence.tokens for job in batch]) for batch in jobs]
    small = Limit(min(lab.limit.tokens, (1 << 23) // lab.sae.config.d_sae), lab.limit.scores)
    bench = lab.bench(metrics)
    lab.host.plain(ids[0], 1)
    plain = min(seconds(lambda: [lab.host.plain(i, 1) for i in ids]) for _ in range(3))
    found = attribute(bench, sequences, metrics, small)
    first = min(seconds(lambda: attribute(bench, sequences, metrics, small)) for _ in range(3))
    print(
        f"stage 1: {first:.1f} s for {len(table)} prompts, plain forwards {plain:.1f} s: "
        f"{first / plain:.2f} times"
    )
    fires = found.fires.toarray() > 0
    pairs = {unit: np.flatnonzero(fires[row]).tolist() for row, unit in enumerate(found.units)}
    one_unit, share = next(iter(sorted(pairs.items()))), {}
    share[one_unit[0]] = one_unit[1][:150]
    length = next(len(s.tokens) for (unit, _), s in sequences.items() if unit in share)
    with TemporaryDirectory() as folder:
        work = seconds(lambda: measure(bench, sequences, metrics, share, lab.limit, Path(folder)))
    speed = length * len(share[one_unit[0]]) / work
    tokens = sum(len(s.tokens) * len(pairs[unit]) for (unit, _), s in sequences.items())
    one = _trace(lab, sequences, given.traces)
    every = one * lab.sae.config.d_sae * len(table)
    print(
        f"stage 2: {int(fires.sum()):,} ablations where features fire, {tokens:,} tokens at "
        f"{speed:,.0f} a second: {tokens / speed:,.0f} s"
    )
    print(
        f"a trace for each of {lab.sae.config.d_sae * len(table):,} pairs at {one * 1000:.0f} ms: "
        f"{every:,.0f} s, {every / (tokens / speed):.0f} times as long; for the active pairs "
        f"alone {one * fires.sum() / (tokens / speed):.1f} times"
    )
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.1f} GB")


def _trace(lab: object, sequences: object, count: int) -> float:
    """Seconds of one nnsight trace that ablates one feature on one prompt, as users write it."""
    host, sae = lab.host, lab.sae  # type: ignore[attr-defined]
    site = host._site
    chosen = list(sequences.values())[:count]  # type: ignore[attr-defined]

    def run(tokens: tuple[int, ...]) -> None:
        ids = torch.tensor([tokens])
        direction = sae.direction([7])
        with torch.no_grad(), host._tree.trace(input_ids=ids, use_cache=False):
            before = site.output
            amount = sae.encode(before)[..., 7:8]
            site.output = before - amount * direction
            logits = host._tree.output.logits[:, -1].save()
        del logits

    run(chosen[0].tokens)
    return seconds(lambda: [run(s.tokens) for s in chosen]) / len(chosen)


if __name__ == "__main__":
    main()
