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


Batch = tuple[Job, ...]


def batches(jobs: Iterable[Job], max_tokens: int) -> Iterator[Batch]:
    """Group jobs of one shape into batches of at most ``max_tokens`` tokens.

    There is no padding: every sequence of a batch has the same length. A prompt's arms are never
    parted, so that whatever a batch does to the last bit it does to all of them.
    """
    ordered = sorted(jobs, key=lambda job: (job.sequence.shape, job.sequence.unit_id))
    for _, same in groupby(ordered, key=lambda job: job.sequence.shape):
        batch: list[Job] = []
        for job in same:
            if batch and sum(j.tokens for j in batch) + job.tokens > max_tokens:
                yield tuple(batch)
                batch = []
            batch.append(job)
        yield tuple(batch)
