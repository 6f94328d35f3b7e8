"""What every part of a trial file has in common."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, StringConstraints


class Spec(BaseModel):
    """A frozen declaration without unknown keys; the text under a field documents it."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False
    )


Name = Annotated[str, StringConstraints(pattern=r"^[a-zA-Z_][a-zA-Z0-9_.-]*$", max_length=64)]
"""A name that survives as a table cell, a file name and a Python keyword argument."""


class Column(Spec):
    """A column of the prompts table whose cell, in each unit's row, is the value."""

    column: str
    """The column's name in the prompts file."""
