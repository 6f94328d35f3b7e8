"""Run an assignment on the model: observations, written shard by shard so that a run resumes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from causal_sae.execution.batches import Batch, Job, batches
from causal_sae.execution.forward import Bench, Pass, run_batch
from causal_sae.execution.gates import Gate, check_batches, check_dose
from causal_sae.execution.laboratory import Laboratory
from causal_sae.execution.metrics import Metric
from causal_sae.execution.sequences import Prompt
from causal_sae.execution.treatments import Treatment
from causal_sae.tables import OBSERVATIONS

Advance = Callable[[int], None]
SHARD_ROWS = 256  # rows of the model's batches between two writes


@dataclass(frozen=True)
class Plan:
    """Every batch of a run, in the order in which it runs."""

    bench: Bench
    metrics: Mapping[str, Metric]
    shards: tuple[tuple[Batch, ...], ...]
    arms: Mapping[tuple[str, str], Treatment]
    focal: tuple[int, ...]
    units: Mapping[str, Mapping[str, object]]
    """For each unit the columns that do not vary: block, cluster, covariates."""

    @property
    def tokens(self) -> int:
        """Tokens over all rows: what the run costs."""
        return sum(job.tokens for shard in self.shards for batch in shard for job in batch)


def plan(
    laboratory: Laboratory,
    prompts: Iterable[Prompt],
    metrics: Mapping[str, Metric],
    dealt: Mapping[tuple[str, str], Treatment],
    focal: tuple[int, ...],
    units: Mapping[str, Mapping[str, object]],
) -> Plan:
    """Lay out the batches.

    Parameters
    ----------
    laboratory:
        The model and the SAE.
    prompts:
        The prompts of all assigned units.
    metrics:
        The outcomes.
    dealt:
        For each unit and arm its treatment.
    focal:
        The features whose activity on the clean pass is the exposure.
    units:
        For each unit the columns that every observation of it carries.
    """
    each: dict[str, list[Treatment]] = {}
    for (unit, _), treatment in sorted(dealt.items(), key=lambda item: item[0]):
        each.setdefault(unit, []).append(treatment)
    assigned = [prompt for prompt in prompts if prompt.unit_id in each]
    sequences = laboratory.sequences(assigned, metrics)
    jobs = [Job(s, tuple(each[unit])) for (unit, _), s in sequences.items()]
    shards: list[tuple[Batch, ...]] = []
    current: list[Batch] = []
    for batch in batches(jobs, laboratory.max_tokens):
        current.append(batch)
        if sum(job.rows for b in current for job in b) >= SHARD_ROWS:
            shards.append(tuple(current))
            current = []
    if current:
        shards.append(tuple(current))
    return Plan(laboratory.bench(metrics), metrics, tuple(shards), dealt, focal, units)


def check(run: Plan) -> list[Gate]:
    """Pass the gates that need a few batches: batch invariance, and the dose as found.

    The sample holds, for every arm, up to four units that were dealt it.
    """
    jobs = [job for shard in run.shards for batch in shard for job in batch]
    seen: dict[str, int] = {}
    sample = []
    for job in jobs:
        fresh = [t.arm for t in job.treatments if seen.get(t.arm, 0) < 4]
        if (fresh and not job.sequence.continuation) or (fresh and len(sample) < 4):
            sample.append(job)
            for arm in fresh:
                seen[arm] = seen.get(arm, 0) + 1
    invariance = check_batches(run.bench, sample, list(run.metrics.values()))
    passes = [run_batch(run.bench, batch) for batch in batches(sample, 1024)]
    return [invariance, *check_dose(passes)]


def execute(run: Plan, folder: Path, advance: Advance = lambda _tokens: None) -> pd.DataFrame:
    """Run every shard that ``folder`` does not hold yet, and return all observations.

    A shard is written whole or not at all; its name holds a hash of what is in it, so that a
    resumed run takes up only what this very plan has made.

    Returns
    -------
    DataFrame
        :data:`causal_sae.tables.OBSERVATIONS`, sorted by unit, arm and outcome.
    """
    folder.mkdir(parents=True, exist_ok=True)
    parts = []
    for number, shard in enumerate(run.shards):
        path = folder / f"part-{number:05d}-{_digest(run, shard)}.parquet"
        tokens = sum(job.tokens for batch in shard for job in batch)
        if not path.exists():
            rows = [row for batch in shard for row in _rows(run, run_batch(run.bench, batch))]
            partial = path.with_suffix(".partial")
            OBSERVATIONS.conform(pd.DataFrame(rows)).to_parquet(partial, index=False)
            partial.replace(path)
        parts.append(pd.read_parquet(path))
        advance(tokens)
    together = pd.concat(parts, ignore_index=True)
    order = together.sort_values(["unit_id", "arm", "outcome"], ignore_index=True)
    return OBSERVATIONS.conform(order)


def _digest(run: Plan, shard: tuple[Batch, ...]) -> str:
    said = [
        (job.sequence.unit_id, job.sequence.tokens, [repr(t) for t in job.treatments])
        for batch in shard
        for job in batch
    ]
    names = sorted(run.metrics)
    bench = (run.bench.seed, run.bench.skip_sinks, run.bench.host.model.fingerprint)
    return hashlib.sha256(repr((said, names, bench)).encode()).hexdigest()[:12]


def _rows(run: Plan, done: Pass) -> list[dict[str, object]]:
    """One row for each unit, arm and outcome that this batch measured."""
    rows: list[dict[str, object]] = []
    for name, metric in run.metrics.items():
        values = metric.measure(done.reading).tolist()
        for row, (job, own) in enumerate(zip(done.jobs, done.treatments, strict=True)):
            unit = job.sequence.unit_id
            if metric.continuation(unit) != job.sequence.continuation:
                continue
            first = int(done.untouched[row])
            # The untouched row stands for every arm that changes nothing.
            arms = [own] if own else [t for t in job.treatments if t.changes_nothing]
            rows += [
                {"outcome": name, "value": values[row], "clean_outcome": values[first]}
                | _delivered(run, done, row, unit, treatment)
                | dict(run.units[unit])
                for treatment in arms
            ]
    return rows


def _delivered(
    run: Plan, done: Pass, row: int, unit: str, treatment: Treatment
) -> dict[str, object]:
    delivery = done.delivery
    active = int(done.active[row, list(run.focal)].sum()) if run.focal else 0
    edits = bool(treatment.features)
    return {
        "unit_id": unit,
        "arm": treatment.arm,
        "draw": treatment.draw,
        "exposed": active > 0 if run.focal else None,
        "received": bool(delivery.received[row]),
        "dose": float(delivery.dose[row]) if edits or treatment.changes_nothing else None,
        "status": "ok",
        "positions": int(delivery.positions[row]),
        "active_positions": active,
        "norm_ratio": float(delivery.norm_ratio[row]),
        "activation_before": float(delivery.before[row]) if edits else None,
        "activation_asked": float(delivery.asked[row]) if edits else None,
        "activation_found": float(delivery.found[row]) if edits else None,
    }
