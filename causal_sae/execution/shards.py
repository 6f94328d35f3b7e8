"""One shard of a run: what its batches measure, and the name under which it is saved."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd

from causal_sae.execution.batches import Job
from causal_sae.execution.forward import Pass, run_batch
from causal_sae.execution.generation import Writing
from causal_sae.execution.memory import Memory
from causal_sae.execution.plan import Plan, Shard
from causal_sae.execution.texts import written
from causal_sae.execution.treatments import Treatment
from causal_sae.tables import OBSERVATIONS

Advance = Callable[[int], None]


@dataclass(frozen=True)
class Measured:
    """What one shard gave."""

    observations: pd.DataFrame
    texts: pd.DataFrame | None = None
    """The texts that it wrote, where it wrote any."""


def measure(
    run: Plan, shard: Shard, memory: Memory, advance: Advance = lambda _tokens: None
) -> Measured:
    """Run one shard.

    Parameters
    ----------
    run:
        The plan that it is of.
    shard:
        One of the plan's.
    memory:
        What the device has been found to hold.
    advance:
        Called with the number of tokens done, batch by batch.
    """
    rows: list[dict[str, object]] = []
    texts: list[pd.DataFrame] = []
    for batch in shard:
        if isinstance(batch[0], Job):
            for part in memory.run(lambda jobs: _rows(run, run_batch(run.bench, jobs)), batch):
                rows += part
        else:
            for found, table in memory.run(lambda jobs: written(run, jobs), batch):
                rows += found
                texts.append(table)
        advance(sum(job.tokens for job in batch))
    observations = OBSERVATIONS.conform(pd.DataFrame(rows))
    return Measured(observations, pd.concat(texts, ignore_index=True) if texts else None)


def file_name(run: Plan, number: int, shard: Shard) -> str:
    """The name under which a shard is saved: a hash of all that decides what is in it."""
    return f"part-{number:05d}-{_digest(run, shard)}.parquet"


def _digest(run: Plan, shard: Shard) -> str:
    said = [_identity(job) for batch in shard for job in batch]
    names = sorted([*run.metrics, *run.text_metrics])
    bench = (run.bench.seed, run.bench.skip_sinks, run.bench.host.model.fingerprint)
    return hashlib.sha256(repr((said, names, bench)).encode()).hexdigest()[:12]


def _identity(job: Job | Writing) -> tuple[object, ...]:
    treatments = [repr(t) for t in job.treatments]
    if isinstance(job, Job):
        return job.sequence.unit_id, job.sequence.tokens, treatments
    how = (job.settings, job.edit_generated, job.untouched)
    return job.prompt.unit_id, job.prompt.tokens, treatments, *how


def _rows(run: Plan, done: Pass) -> list[dict[str, object]]:
    """One row for each unit, arm and outcome that this batch measured."""
    rows: list[dict[str, object]] = []
    sequences = [job.sequence for job in done.jobs]
    for name, metric in run.metrics.items():
        if not any(s.answers(metric.continuation(s.unit_id)) for s in sequences):
            continue
        values = metric.measure(done.reading).tolist()
        for row, job in enumerate(done.jobs):
            unit = job.sequence.unit_id
            asked = metric.continuation(unit)
            if not job.sequence.answers(asked):
                continue
            first = int(done.untouched[row])
            rows += [
                {"outcome": name, "value": values[row], "clean_outcome": values[first]}
                | _delivered(run, done, row, bool(asked), treatment)
                | dict(run.units[unit])
                for treatment in done.stands_for(row)
            ]
    return rows


def _delivered(
    run: Plan, done: Pass, row: int, whole: bool, treatment: Treatment
) -> dict[str, object]:
    """What was done to a row: over the whole sequence, or over its prompt alone."""
    unit = done.jobs[row].sequence.unit_id
    fires, delivery = (done.active, done.delivery) if whole else done.in_prompt
    active = int(fires[row, list(run.focal)].sum()) if run.focal else 0
    edits, edited = bool(treatment.features), bool(delivery.positions[row])
    levels = (delivery.before[row], delivery.asked[row], delivery.found[row])
    before, asked, found = map(float, levels) if edits and edited else (math.nan,) * 3
    return {
        "unit_id": unit,
        "arm": treatment.arm,
        "draw": treatment.draw,
        "run_order": run.places.get((unit, treatment.arm)),
        "exposed": active > 0 if run.focal else None,
        "received": bool(delivery.received[row]),
        "dose": float(delivery.dose[row]) if edits or treatment.changes_nothing else math.nan,
        "status": "ok",
        "positions": int(delivery.positions[row]),
        "active_positions": active,
        "norm_ratio": float(delivery.norm_ratio[row]),
        "activation_before": before,
        "activation_asked": asked,
        "activation_found": found,
        "not_run": treatment in done.idle[row],
    }
