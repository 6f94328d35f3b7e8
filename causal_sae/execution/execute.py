"""Run an assignment on the model: observations, written shard by shard so that a run resumes."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import pandas as pd

from causal_sae.execution.batches import Batch, Job, Limit, batches
from causal_sae.execution.bench import Bench
from causal_sae.execution.forward import Pass, exercised, firing, run_batch
from causal_sae.execution.gates import Gate, check_batches, check_dose, check_idle
from causal_sae.execution.generation import Writing, writing_batches
from causal_sae.execution.laboratory import Laboratory
from causal_sae.execution.memory import Memory
from causal_sae.execution.metrics import Metric
from causal_sae.execution.sequences import Prompt
from causal_sae.execution.text_metrics import TextMetric
from causal_sae.execution.texts import writings, written
from causal_sae.execution.treatments import Treatment
from causal_sae.randomness import generator
from causal_sae.tables import OBSERVATIONS

Advance = Callable[[int], None]
Shard: TypeAlias = Sequence[tuple[Any, ...]]
"""Batches that are saved together: all of :class:`Job`, or all of :class:`Writing`."""
SHARD_ROWS = 256  # rows of the model's batches between two writes
GATE_UNITS = 4  # units of every arm that the gates look at
GATE_CHUNK = 64  # sequences read at a time in search of units where an arm's features fire


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
    places: Mapping[tuple[str, str], int] = field(default_factory=dict)
    """For each unit and arm the place in the unit's sequence of arms, where it has one."""
    text_metrics: Mapping[str, TextMetric] = field(default_factory=dict)
    text_shards: tuple[tuple[tuple[Writing, ...], ...], ...] = ()
    """Every batch of generated text, in the order in which it runs, after the others."""
    looked_at: tuple[Job, ...] = ()
    """Prompts that the gates look at where no outcome reads the next token."""

    @property
    def jobs(self) -> list[Job]:
        """Every sequence that is read for its next tokens."""
        return [job for shard in self.shards for batch in shard for job in batch]

    @property
    def tokens(self) -> int:
        """Tokens over all rows: what the run costs."""
        texts = sum(job.tokens for shard in self.text_shards for b in shard for job in b)
        return texts + sum(job.tokens for job in self.jobs)


def plan(
    laboratory: Laboratory,
    prompts: Iterable[Prompt],
    metrics: Mapping[str, Metric | TextMetric],
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
    read = {name: m for name, m in metrics.items() if isinstance(m, Metric)}
    scored = {name: m for name, m in metrics.items() if isinstance(m, TextMetric)}
    sequences = laboratory.sequences(assigned, read)
    jobs = [Job(s, tuple(each[unit])) for (unit, _), s in sequences.items()]
    texts = writings(laboratory, assigned, scored, each)
    return Plan(
        replace(laboratory.bench(read), sparse=True),
        read,
        _shards(batches(jobs, laboratory.limit)) if read else (),
        dealt,
        focal,
        units,
        text_metrics=scored,
        text_shards=_shards(writing_batches(texts, laboratory.limit)),
        looked_at=() if read else tuple(jobs),
    )


B = TypeVar("B", bound=tuple[Any, ...])


def _shards(made: Iterable[B]) -> tuple[tuple[B, ...], ...]:
    """Batches together, as many as are written to one file."""
    shards: list[tuple[B, ...]] = []
    current: list[B] = []
    for batch in made:
        current.append(batch)
        if sum(job.rows for b in current for job in b) >= SHARD_ROWS:
            shards.append(tuple(current))
            current = []
    return (*shards, tuple(current)) if current else tuple(shards)


def check(run: Plan, limit: Limit) -> list[Gate]:
    """Pass the gates that need a few batches: batch invariance, and the dose as found."""
    jobs = run.jobs or list(run.looked_at)
    shuffled = [jobs[i] for i in generator(run.bench.seed, "gates").permutation(len(jobs))]
    bench = replace(run.bench, sparse=False)
    sample = _sample(run, shuffled, limit)
    invariance = check_batches(bench, sample, run.metrics, shuffled)
    passes = [run_batch(bench, batch) for batch in batches(sample, limit)]
    doses = {gate.check.removeprefix("manipulation: "): gate for gate in check_dose(passes)}
    idle = _idle(bench, shuffled[:GATE_CHUNK], limit)
    return [invariance, *(doses[arm] for arm in bench.arms if arm in doses), *idle]


def _idle(bench: Bench, jobs: Sequence[Job], limit: Limit) -> list[Gate]:
    """Run a few edits whose features do not fire."""
    fires = firing(bench, jobs, limit)
    quiet = []
    for job in jobs:
        edits = [t for t in job.treatments if not exercised(t, fires[id(job)])]
        if edits:
            quiet.append(replace(job, treatments=tuple(edits)))
            fires[id(quiet[-1])] = fires[id(job)]
    few = quiet[:GATE_UNITS]
    return check_idle(bench, list(batches(few, limit)), fires)


def _sample(run: Plan, jobs: Sequence[Job], limit: Limit) -> list[Job]:
    """For every arm a few units that were dealt it; where its features fire, if there are any."""
    sample: dict[int, Job] = {}
    seen = dict.fromkeys(sorted({t.arm for job in jobs for t in job.treatments}), 0)
    for start in range(0, len(jobs), GATE_CHUNK):
        if all(count >= GATE_UNITS for count in seen.values()):
            break
        chunk = [j for j in jobs[start : start + GATE_CHUNK] if _wanted(j, seen)]
        active = firing(run.bench, chunk, limit)
        for job in chunk:
            for treatment in _wanted(job, seen):
                if exercised(treatment, active[id(job)]):
                    sample[id(job)] = job
                    seen[treatment.arm] += 1
    for job in jobs:
        # What never fires is looked at all the same: the gate then says that it was not exercised.
        for treatment in _wanted(job, seen):
            sample[id(job)] = job
            seen[treatment.arm] += 1
    return list(sample.values())


def _wanted(job: Job, seen: Mapping[str, int]) -> list[Treatment]:
    return [t for t in job.treatments if seen[t.arm] < GATE_UNITS]


def execute(run: Plan, folder: Path, advance: Advance = lambda _tokens: None) -> pd.DataFrame:
    """Run every shard that ``folder`` does not hold yet, and return all observations.

    A shard is written whole or not at all; its name holds a hash of what is in it, so that a
    resumed run takes up only what this very plan has made; what another plan left is removed.

    Returns
    -------
    DataFrame
        :data:`causal_sae.tables.OBSERVATIONS`, sorted by unit, arm and outcome.
    """
    folder.mkdir(parents=True, exist_ok=True)
    shards: list[Shard] = [*run.shards, *run.text_shards]
    names = [f"part-{n:05d}-{_digest(run, shard)}.parquet" for n, shard in enumerate(shards)]
    _sweep(folder, names)
    parts, memory = [], Memory()
    for name, shard in zip(names, shards, strict=True):
        path = folder / name
        if path.exists():
            advance(sum(job.tokens for batch in shard for job in batch))
        else:
            rows = _measured(run, shard, path, memory, advance)
            _write(path, OBSERVATIONS.conform(pd.DataFrame(rows)))
        parts.append(pd.read_parquet(path))
    together = pd.concat(parts, ignore_index=True)
    keys = ["unit_id", "arm", "outcome", "sample"]
    return OBSERVATIONS.conform(together.sort_values(keys, ignore_index=True))


def texts_of(observations: Path) -> Path:
    """The folder of generated texts that belongs to a folder of observations."""
    return observations.with_name("texts")


def _sweep(folder: Path, names: Sequence[str]) -> None:
    """Remove what another plan left."""
    for kept in (folder, texts_of(folder)):
        for stale in {path for path in kept.glob("part-*") if path.name not in names}:
            stale.unlink()


def _write(path: Path, table: pd.DataFrame) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    table.to_parquet(partial, index=False)
    partial.replace(path)


def _measured(
    run: Plan, shard: Shard, path: Path, memory: Memory, advance: Advance
) -> list[dict[str, object]]:
    """Run one shard; the texts that it writes are saved before its observations."""
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
    if texts:
        _write(texts_of(path.parent) / path.name, pd.concat(texts, ignore_index=True))
    return rows


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
