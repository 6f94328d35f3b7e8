"""Which rows run together: sequences of one shape, all arms of a prompt side by side."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby

from causal_sae.execution.sequences import TokenSequence
from causal_sae.execution.treatments import Treatment


@dataclass(frozen=True)
class Job:
    """One sequence with every treatment that it gets."""

    sequence: TokenSequence
    treatments: tuple[Treatment, ...]

    @property
    def rows(self) -> int:
        """Rows in the batch: the untouched model, and each treatment that changes something."""
        return 1 + sum(not treatment.changes_nothing for treatment in self.treatments)

    @property
    def tokens(self) -> int:
        """Tokens over all rows."""
        return self.rows * len(self.sequence.tokens)

    @property
    def scores(self) -> int:
        """Next-token distributions over all rows: after the prompt, and along a continuation."""
        return self.rows * (1 + len(self.sequence.continuation))


@dataclass(frozen=True)
class Limit:
    """What one batch may hold."""

    tokens: int
    """Tokens over all rows: bounds the memory of the forward pass."""
    scores: int | None = None
    """Next-token distributions over all rows: bounds the memory of the logits."""

    def holds(self, tokens: int, scores: int) -> bool:
        """Whether so many fit into one batch."""
        return tokens <= self.tokens and (self.scores is None or scores <= self.scores)


Batch = tuple[Job, ...]


def batches(jobs: Iterable[Job], limit: Limit) -> Iterator[Batch]:
    """Group jobs of one shape into batches within ``limit``; a job beyond it runs alone.

    There is no padding: every sequence of a batch has the same length. A prompt's arms are never
    parted, so that whatever a batch does to the last bit it does to all of them.
    """
    ordered = sorted(jobs, key=_place)
    for _, same in groupby(ordered, key=lambda job: job.sequence.shape):
        batch: list[Job] = []
        tokens = scores = 0
        for job in same:
            if batch and not limit.holds(tokens + job.tokens, scores + job.scores):
                yield tuple(batch)
                batch, tokens, scores = [], 0, 0
            batch.append(job)
            tokens, scores = tokens + job.tokens, scores + job.scores
        yield tuple(batch)


def _place(job: Job) -> tuple[tuple[int, int], str, tuple[int, ...]]:
    """By shape, then by unit: the same jobs make the same batches in whatever order they come."""
    return job.sequence.shape, job.sequence.unit_id, job.sequence.continuation
