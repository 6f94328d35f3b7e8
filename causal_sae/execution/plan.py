"""Every batch of a run, laid out before anything runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias, TypeVar

from causal_sae.execution.batches import Batch, Job, batches
from causal_sae.execution.bench import Bench
from causal_sae.execution.generation import Writing, writing_batches
from causal_sae.execution.laboratory import Laboratory
from causal_sae.execution.metrics import Metric
from causal_sae.execution.sequences import Prompt
from causal_sae.execution.text_metrics import TextMetric
from causal_sae.execution.texts import writings
from causal_sae.execution.treatments import Treatment

Shard: TypeAlias = Sequence[tuple[Any, ...]]
"""Batches that are saved together: all of :class:`Job`, or all of :class:`Writing`."""
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
    places: Mapping[tuple[str, str], int] = field(default_factory=dict)
    """For each unit and arm the place in the unit's sequence of arms, where it has one."""
    text_metrics: Mapping[str, TextMetric] = field(default_factory=dict)
    text_shards: tuple[tuple[tuple[Writing, ...], ...], ...] = ()
    """Every batch of generated text, in the order in which it runs, after the others."""
    looked_at: tuple[Job, ...] = ()
    """Prompts that the gates look at where no outcome reads the next token."""
    breaks: tuple[tuple[int, int], ...] = ()
    """How many shards, of both kinds, have run at each look before the end; empty: no looks."""

    @property
    def every_shard(self) -> list[Shard]:
        """All shards, in the order in which they run and are saved."""
        found: list[Shard] = []
        before = (0, 0)
        for ends in self._ends:
            shards, texts = (slice(a, b) for a, b in zip(before, ends, strict=True))
            found += [*self.shards[shards], *self.text_shards[texts]]
            before = ends
        return found

    @property
    def looks(self) -> list[int]:
        """How many of all shards have run at each look, and at the end."""
        return [shards + texts for shards, texts in self._ends]

    @property
    def _ends(self) -> tuple[tuple[int, int], ...]:
        return self.breaks or ((len(self.shards), len(self.text_shards)),)

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
    shards: list[tuple[Batch, ...]] = []
    text_shards: list[tuple[tuple[Writing, ...], ...]] = []
    breaks = []
    for names in _by_look(units):
        now = [job for job in jobs if job.sequence.unit_id in names] if read else []
        shards += _shards(batches(now, laboratory.limit))
        writing = [text for text in texts if text.prompt.unit_id in names]
        text_shards += _shards(writing_batches(writing, laboratory.limit))
        breaks.append((len(shards), len(text_shards)))
    return Plan(
        replace(laboratory.bench(read), sparse=True),
        read,
        tuple(shards),
        dealt,
        focal,
        units,
        text_metrics=scored,
        text_shards=tuple(text_shards),
        looked_at=() if read else tuple(jobs),
        breaks=tuple(breaks),
    )


def _by_look(units: Mapping[str, Mapping[str, object]]) -> list[set[str]]:
    """The units that come in at each look, in order; all together where there are no looks."""
    found: dict[int, set[str]] = {}
    for unit, columns in units.items():
        found.setdefault(int(str(columns.get("look", 1))), set()).add(unit)
    return [found[number] for number in sorted(found)]


B = TypeVar("B", bound=tuple[Any, ...])


def _shards(made: Iterable[B]) -> tuple[tuple[B, ...], ...]:
    """Batches together, as many as are written to one file."""
    shards: list[tuple[B, ...]] = []
    current: list[B] = []
    rows = 0
    for batch in made:
        current.append(batch)
        rows += sum(job.rows for job in batch)
        if rows >= SHARD_ROWS:
            shards.append(tuple(current))
            current, rows = [], 0
    return (*shards, tuple(current)) if current else tuple(shards)
