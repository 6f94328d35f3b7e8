"""The exact effect: one row for each pair of a prompt and a feature that fires on it.

Where a feature is silent its ablation changes nothing, so these pairs are not run. Layers below the
hook run once a prompt; rows of all features and prompts of one length share the batches above it.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from causal_sae.errors import ModelError, Place
from causal_sae.execution.batches import Job, Limit, batches
from causal_sae.execution.bench import Bench, wide
from causal_sae.execution.forward import editable_positions
from causal_sae.execution.metrics.base import Metric, Reading, tokens_read
from causal_sae.execution.sequences import TokenSequence

Pairs = Mapping[str, Sequence[int]]
"""For each unit the features that are ablated on it, one by one."""
Advance = Callable[[int], None]
TOGETHER = 16
"""Prompts that are read together, and written to one part."""


@dataclass(frozen=True)
class Row:
    """One row of a batch."""

    place: int
    """Which of the prompts that were read."""
    feature: int | None
    """The ablated feature; None is the untouched model."""


def rows_of(pairs: Pairs) -> int:
    """How many ablations there are."""
    return sum(len(features) for features in pairs.values())


def measure(
    bench: Bench,
    sequences: Mapping[tuple[str, tuple[int, ...]], TokenSequence],
    metrics: Mapping[str, Metric],
    pairs: Pairs,
    limit: Limit,
    folder: Path,
    advance: Advance = lambda _tokens: None,
) -> pd.DataFrame:
    """The change of each outcome by each ablation.

    Parameters
    ----------
    bench, sequences, metrics, limit:
        As for :func:`causal_sae.execution.screens.attribution.attribute`.
    pairs:
        What is ablated where.
    folder:
        Where parts are written, each whole or not at all; those that are there are not run again.
    advance:
        Called with the number of tokens done, over all rows.

    Returns
    -------
    DataFrame
        unit_id, feature, outcome, difference (ablated minus untouched), untouched; sorted.

    Raises
    ------
    ModelError
        An ablation makes the model give no numbers: names the unit and the feature.
    """
    folder.mkdir(parents=True, exist_ok=True)
    parts, names = [], []
    wanted = [Job(s, ()) for (unit, _), s in sequences.items() if len(pairs.get(unit, ()))]
    for group in batches(wanted, Limit(TOGETHER * 4096)):
        for start in range(0, len(group), TOGETHER):
            jobs = group[start : start + TOGETHER]
            path = folder / f"part-{_digest(bench, jobs, metrics, pairs)}.parquet"
            if not path.exists():
                table = _group(bench, jobs, metrics, pairs, limit)
                partial = path.with_suffix(".partial")
                table.to_parquet(partial, index=False)
                partial.replace(path)
            parts.append(pd.read_parquet(path))
            names.append(path)
            advance(sum(job.tokens * len(pairs[job.sequence.unit_id]) for job in jobs))
    for stale in set(folder.glob("part-*")) - set(names):
        stale.unlink()
    if not parts:
        columns = ["unit_id", "feature", "outcome", "difference", "untouched"]
        return pd.DataFrame(columns=columns)
    together = pd.concat(parts, ignore_index=True)
    return together.sort_values(["outcome", "feature", "unit_id"], ignore_index=True)


def _digest(bench: Bench, jobs: Sequence[Job], metrics: Mapping[str, Metric], pairs: Pairs) -> str:
    units = [
        (j.sequence.unit_id, j.sequence.tokens, tuple(pairs[j.sequence.unit_id])) for j in jobs
    ]
    said = (units, sorted(metrics), bench.skip_sinks, bench.host.model.fingerprint)
    return hashlib.sha256(repr(said).encode()).hexdigest()[:12]


@torch.no_grad()
def _group(
    bench: Bench, jobs: Sequence[Job], metrics: Mapping[str, Metric], pairs: Pairs, limit: Limit
) -> pd.DataFrame:
    """All pairs of a few prompts of one length."""
    ids = torch.tensor([job.sequence.tokens for job in jobs], device=bench.directions.device)
    halfway = bench.host.read(ids)
    clean = halfway.activation
    editable = editable_positions(bench, tuple(jobs), clean)
    # What one unit of a feature adds at each position; nothing where it is not edited.
    features = torch.where(editable[..., None], bench.sae.encode(clean), 0.0)
    features = features * bench.sae.token_scale(clean)
    keep = ids.shape[1] - len(jobs[0].sequence.prompt.tokens) + 1
    tables = []
    for rows in _batches(jobs, pairs, limit):
        place = torch.tensor([row.place for row in rows], device=ids.device)
        edited = clean[place]
        ablated = [i for i, row in enumerate(rows) if row.feature is not None]
        column = torch.tensor([rows[i].feature or 0 for i in ablated], device=ids.device)
        amount = features[place[ablated], :, column]
        taken = amount[..., None] * bench.directions[column][:, None]
        edited[ablated] = edited[ablated] - taken.to(edited.dtype)
        units = [jobs[row.place].sequence.unit_id for row in rows]
        tokens = None if bench.readers is None else tokens_read(bench.readers, units)
        few = None if tokens is None else torch.tensor(tokens, device=ids.device)
        finish = bench.host.resume(halfway.rows(place), edited, keep, tokens=few)
        tables.append(_read(finish.logits, tokens, jobs, rows, metrics))
    return pd.concat(tables, ignore_index=True)


def _batches(jobs: Sequence[Job], pairs: Pairs, limit: Limit) -> Iterator[list[Row]]:
    """Rows in batches, the untouched row of every prompt in each batch that has rows of it."""
    length, scores = len(jobs[0].sequence.tokens), jobs[0].scores
    most = max(2, limit.tokens // length)
    if limit.scores is not None:
        most = max(2, min(most, limit.scores // scores))
    rows: list[Row] = []
    for place, job in enumerate(jobs):
        for feature in pairs[job.sequence.unit_id]:
            new = not rows or rows[-1].place != place
            if rows and len(rows) + 1 + new > most:
                yield rows
                rows, new = [], True
            rows += [Row(place, None)] if new else []
            rows.append(Row(place, int(feature)))
    if rows:
        yield rows


def _read(
    logits: Tensor,
    tokens: tuple[int, ...] | None,
    jobs: Sequence[Job],
    rows: Sequence[Row],
    metrics: Mapping[str, Metric],
) -> pd.DataFrame:
    """The outcomes' differences of one batch; ``tokens`` are those that logits are of, or all."""
    own = [jobs[row.place].sequence for row in rows]
    bad = (~torch.isfinite(logits)).flatten(1).any(dim=1).nonzero()[:, 0].tolist()
    if bad:
        raise ModelError(
            f"with feature {rows[bad[0]].feature} ablated the model gives logits that are not "
            f"finite on unit {own[bad[0]].unit_id!r}; write `dtype: float32`",
            Place(field="model"),
        )
    first: dict[int, int] = {row.place: i for i, row in enumerate(rows) if row.feature is None}
    untouched = torch.tensor([first[row.place] for row in rows], device=logits.device)
    exact = logits.to(wide(logits))
    logprobs = exact.log_softmax(dim=-1) if tokens is None else exact
    reading = Reading(own, logprobs, untouched, {}, tokens)
    tables = []
    for name, metric in metrics.items():
        kept = [
            i
            for i, row in enumerate(rows)
            if row.feature is not None
            and metric.continuation(own[i].unit_id) == own[i].continuation
        ]
        if not kept:
            continue
        values = metric.measure(reading).cpu().double().numpy()
        before = values[[first[rows[i].place] for i in kept]]
        tables.append(
            pd.DataFrame(
                {
                    "unit_id": [own[i].unit_id for i in kept],
                    "feature": np.array([rows[i].feature for i in kept], dtype=np.int64),
                    "outcome": name,
                    "difference": values[kept] - before,
                    "untouched": before,
                }
            )
        )
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()


def pace(
    bench: Bench,
    sequences: Mapping[tuple[str, tuple[int, ...]], TokenSequence],
    metrics: Mapping[str, Metric],
    features: Mapping[str, Sequence[int]],
    limit: Limit,
) -> float:
    """Tokens a second of the exact stage, from two full batches of a prompt of middling length.

    Parameters
    ----------
    bench, sequences, metrics, limit:
        As for :func:`measure`.
    features:
        For each unit features that fire on it.
    """
    wanted = [Job(s, ()) for (unit, _), s in sequences.items() if len(features.get(unit, ()))]
    if not wanted:
        return math.inf
    job = sorted(wanted, key=lambda one: one.tokens)[len(wanted) // 2]
    unit = job.sequence.unit_id
    most = max(1, limit.tokens // len(job.sequence.tokens) - 1)
    for trial in range(2):  # the first warms up
        count = min(len(features[unit]), most if trial else 4)
        begun = time.perf_counter()
        _group(bench, [job], metrics, {unit: list(features[unit])[:count]}, limit)
        seconds = time.perf_counter() - begun
    return job.tokens * count / seconds
