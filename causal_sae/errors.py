"""Everything that can go wrong, as one small tree.

::

    CausalSAEError            the work failed                     exit code 1
    ├── GateError             a hard gate refused the results     exit code 1
    └── InputError            what was given cannot be used       exit code 2
        ├── SpecError         the trial file
        ├── DataError         a table: prompts, observations
        ├── ModelError        the model or its tokenizer
        └── SAEError          the SAE's files or their fit to the model

An :class:`InputError` says where (file, line, column, field), what was given, and what to do.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path


class CausalSAEError(Exception):
    """Base of every error that causal-sae raises on purpose."""

    exit_code = 1


class GateError(CausalSAEError):
    """A hard gate failed: the numbers would not mean what the trial says, so there are none."""


@dataclass(frozen=True)
class Place:
    """Where in the input a problem sits; every part may be unknown. Lines and columns from 1."""

    file: Path | None = None
    line: int | None = None
    column: int | None = None
    field: str | None = None

    def __str__(self) -> str:
        position = ":".join(str(p) for p in (self.file, self.line, self.column) if p is not None)
        return ": ".join(part for part in (position, self.field) if part)


class InputError(CausalSAEError):
    """What was given cannot be used.

    Parameters
    ----------
    message:
        One sentence: what must hold, what was found instead, what to do.
    place:
        Where the problem sits.
    others:
        Further problems of the same input, so that a user mends them in one go.
    """

    exit_code = 2

    def __init__(
        self, message: str, place: Place | None = None, others: Sequence[InputError] = ()
    ) -> None:
        self.message = message
        self.place = place or Place()
        self.others = tuple(others)
        super().__init__(str(self))

    def __str__(self) -> str:
        where = str(self.place)
        first = f"{where}: {self.message}" if where else self.message
        return "\n".join([first, *(str(other) for other in self.others)])


class SpecError(InputError):
    """The trial file does not declare a trial that can be run."""


class DataError(InputError):
    """A table lacks a column, or a cell holds what it cannot."""


class ModelError(InputError):
    """The model or its tokenizer cannot be found, read or used as asked."""


class SAEError(InputError):
    """The SAE cannot be read, or does not fit the model."""


def did_you_mean(given: object, allowed: Iterable[object]) -> str:
    """``"did you mean 'x'? "`` or nothing, followed by what is allowed."""
    names = [str(name) for name in allowed]
    close = get_close_matches(str(given), names, n=1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return f"{hint}Allowed: {', '.join(names)}."
