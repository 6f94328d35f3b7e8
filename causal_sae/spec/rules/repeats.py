"""Find what stands twice."""

from __future__ import annotations

from collections.abc import Iterable, Iterator


def repeats(values: Iterable[object]) -> Iterator[tuple[int, int]]:
    """The place of each value that has stood before, and the place where it first stood."""
    first: dict[object, int] = {}
    for i, value in enumerate(values):
        if value in first:
            yield i, first[value]
        first.setdefault(value, i)
