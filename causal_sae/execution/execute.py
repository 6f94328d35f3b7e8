"""Run an assignment on the model: observations, written shard by shard so that a run resumes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd

from causal_sae.execution.batches import Job, Limit, batches
from causal_sae.execution.bench import Bench
from causal_sae.execution.forward import exercised, firing, run_batch
from causal_sae.execution.gates import Gate, check_batches, check_dose, check_idle
from causal_sae.execution.memory import Memory
from causal_sae.execution.plan import Plan
from causal_sae.execution.shards import Advance, Measured, file_name, measure
from causal_sae.execution.treatments import Treatment
from causal_sae.randomness import generator
from causal_sae.tables import OBSERVATIONS

Stop = Callable[[pd.DataFrame], bool]
Runner = Callable[[Plan, Sequence[int], Advance], Iterable[tuple[int, Measured]]]
"""Runs the shards of those numbers and gives each when it is done, in whatever order."""
GATE_UNITS = 4  # units of every arm that the gates look at
GATE_CHUNK = 64  # sequences read at a time in search of units where an arm's features fire


def never(_observations: pd.DataFrame) -> bool:
    """Stop at no look."""
    return False


def check(run: Plan, limit: Limit) -> list[Gate]:
    """Pass the gates that need a few batches: batch invariance, and the dose as found."""
    jobs = run.jobs or list(run.looked_at)
    shuffled = [jobs[i] for i in generator(run.bench.seed, "gates").permutation(len(jobs))]
    bench = replace(run.bench, sparse=False, readers=None)
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


def here(run: Plan, numbers: Sequence[int], advance: Advance) -> Iterator[tuple[int, Measured]]:
    """Run shards one after the other in this process."""
    memory, shards = Memory(), run.every_shard
    for number in numbers:
        yield number, measure(run, shards[number], memory, advance)


def execute(
    run: Plan,
    folder: Path,
    advance: Advance = lambda _tokens: None,
    runner: Runner = here,
    stop: Stop = never,
) -> pd.DataFrame:
    """Run every shard that ``folder`` does not hold yet, and return all observations.

    A shard is written whole or not at all; its name holds a hash of what is in it, so that a
    resumed run takes up only what this very plan has made; what another plan left is removed.

    Parameters
    ----------
    run:
        The plan.
    folder:
        Where the shards are written.
    advance:
        Called with the number of tokens done.
    runner:
        What runs the shards that are missing.
    stop:
        Asked at each look before the end, with the observations so far, whether to stop there.

    Returns
    -------
    DataFrame
        :data:`causal_sae.tables.OBSERVATIONS`, sorted by unit, arm and outcome.
    """
    folder.mkdir(parents=True, exist_ok=True)
    shards = run.every_shard
    paths = [folder / file_name(run, number, shard) for number, shard in enumerate(shards)]
    _sweep(folder, [path.name for path in paths])
    kept = (shard for shard, path in zip(shards, paths, strict=True) if path.exists())
    advance(sum(job.tokens for shard in kept for batch in shard for job in batch))
    start = 0
    for end in run.looks:
        missing = [number for number in range(start, end) if not paths[number].exists()]
        for number, done in runner(run, missing, advance):
            _save(paths[number], done)
        if end < len(shards) and stop(_together(paths[:end])):
            _sweep(folder, [path.name for path in paths[:end]])
            return _together(paths[:end])
        start = end
    return _together(paths)


def _together(paths: Sequence[Path]) -> pd.DataFrame:
    together = pd.concat([pd.read_parquet(path) for path in paths], ignore_index=True)
    keys = ["unit_id", "arm", "outcome", "sample"]
    return OBSERVATIONS.conform(together.sort_values(keys, ignore_index=True))


def _save(path: Path, done: Measured) -> None:
    """Write a shard: its texts before its observations, which say that it is whole."""
    if done.texts is not None:
        _write(texts_of(path.parent) / path.name, done.texts)
    _write(path, done.observations)


def texts_of(observations: Path) -> Path:
    """The folder of generated texts that belongs to a folder of observations."""
    return observations.with_name("texts")


def _sweep(folder: Path, names: Sequence[str]) -> None:
    """Remove what another plan left."""
    known = set(names)
    for kept in (folder, texts_of(folder)):
        for stale in {path for path in kept.glob("part-*") if path.name not in known}:
            stale.unlink()


def _write(path: Path, table: pd.DataFrame) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    table.to_parquet(partial, index=False)
    partial.replace(path)
