"""Time the ways in turn, round after round: whatever else the machine does hits them all."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from benchmarks.executor.case import Case
from benchmarks.executor.floor import bare_flops, floor_flops
from benchmarks.executor.ways import UNEDITED, Way

FAST = "bare forward, one head"
"""The way whose pace the floor has."""
PAGE = 4096  # bytes of a page in /proc/self/statm
STATM = Path("/proc/self/statm")


def measured(
    case: Case, ways: Mapping[str, Way], rounds: int, draw: np.random.Generator
) -> pd.DataFrame:
    """One row for each way and round.

    Raises
    ------
    RuntimeError
        When two ways do not give the same log-probabilities.
    """
    _agree(case, ways)
    rows = []
    for number in range(rounds):
        for name in draw.permutation(list(ways)):
            with _watched() as found:
                ways[name].run(case)
            rows.append({"way": name, "round": number, **found})
    return pd.DataFrame(rows).assign(
        layer=case.layer,
        arms=case.arms,
        last=case.last,
        rows=case.rows,
        tokens=case.rows * case.tokens,
        floor=floor_flops(case),
        bare=bare_flops(case),
    )


def _agree(case: Case, ways: Mapping[str, Way]) -> None:
    """All ways give the same log-probabilities; this is their warm-up too."""
    found = {name: way.run(case).double() for name, way in ways.items()}
    pair = list(case.pair)
    first = found["causal-sae"].log_softmax(-1)
    for name, logits in found.items():
        if name in UNEDITED:
            continue
        gap = (
            logits.diff(dim=-1) - first[:, pair].diff(dim=-1)
            if ways[name].pair
            else logits.log_softmax(-1) - first
        )
        worst = float(gap.abs().max())
        if not worst < 1e-2:
            raise RuntimeError(f"{name} differs by {worst:.3g} nats on {case.arms} arms")


@contextmanager
def _watched() -> Iterator[dict[str, float]]:
    """Seconds, and the peak of memory over what was in use before, in MB."""
    found: dict[str, float] = {}
    cuda = torch.cuda.is_available()
    if cuda:
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
    before, stop, peak = _resident(), threading.Event(), [0]
    sampler = threading.Thread(target=_sample, args=(stop, peak))
    if not cuda and STATM.exists():
        sampler.start()
    wall, spent = time.perf_counter(), time.process_time()
    yield found
    if cuda:
        torch.cuda.synchronize()
    found["wall"] = time.perf_counter() - wall
    found["seconds"] = found["wall"] if cuda else time.process_time() - spent
    stop.set()
    if sampler.is_alive():
        sampler.join()
    found["peak"] = (
        torch.cuda.max_memory_allocated() / 1e6 if cuda else max(0, peak[0] - before) / 1e6
    )


def _sample(stop: threading.Event, peak: list[int]) -> None:
    while not stop.wait(0.005):
        peak[0] = max(peak[0], _resident())


def _resident() -> int:
    return int(STATM.read_text().split()[1]) * PAGE if STATM.exists() else 0


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """Medians, and ratios to the bare forward and to the floor, each within its own round.

    The floor's seconds are the faster bare forward's (:data:`FAST`), times the share of its
    arithmetic that is needed.
    """
    keys = ["last", "layer", "arms"]
    bare = table[table["way"] == "bare forward"].set_index([*keys, "round"])["seconds"]
    fast = table[table["way"] == FAST].set_index([*keys, "round"])["seconds"]
    own = table.join(bare.rename("bare_seconds"), on=[*keys, "round"])
    own = own.join(fast.rename("fast_seconds"), on=[*keys, "round"])
    own["of_bare"] = own["seconds"] / own["bare_seconds"]
    own["of_floor"] = own["seconds"] / own["fast_seconds"] * own["bare"] / own["floor"]
    own["tokens_per_second"] = own["tokens"] / own["seconds"]
    columns = ["seconds", "of_bare", "of_floor", "tokens_per_second", "peak"]
    return own.groupby([*keys, "way"], sort=False)[columns].median().reset_index()


def speedup(table: pd.DataFrame, over: str, ours: str = "causal-sae", **case: object) -> float:
    """How many times faster ours is than another way, the median over rounds."""
    chosen = table
    for name, value in case.items():
        chosen = chosen[chosen[name] == value]
    wide = chosen.pivot_table(index=["layer", "arms", "round"], columns="way", values="seconds")
    return float((wide[over] / wide[ours]).median())
