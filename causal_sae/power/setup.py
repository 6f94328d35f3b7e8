"""What a forecast and a diagnosis begin with: the plan at its size, and its pilot."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from causal_sae.errors import DataError, InputError, Place
from causal_sae.power.declared import plan_of
from causal_sae.power.earlier import Earlier
from causal_sae.power.joint import OF_P_VALUES
from causal_sae.power.sizing import Sized, sized_plan
from causal_sae.spec.files import at_home
from causal_sae.spec.loading import TrialFile
from causal_sae.spec.trial import Trial

if TYPE_CHECKING:
    import pandas as pd

    from causal_sae.spec.analysis import Power

PilotSource: TypeAlias = "str | Path | pd.DataFrame | None"
"""A pilot: a run folder, a file, a table, or none beside what the trial names."""


@dataclass(frozen=True)
class Setup:
    """A declared trial, ready to be planned or simulated."""

    power: Power
    earlier: Earlier | None
    """The pilot, if there is one."""
    sized: Sized
    notes: tuple[str, ...]
    """What was taken for granted, one sentence each."""

    @property
    def rate(self) -> tuple[float, str]:
        """Seconds of a forward pass and the device; NaN where no speed was measured."""
        return (np.nan, "") if self.earlier is None else self.earlier.rate()


def set_up(declared: TrialFile, pilot: PilotSource, n: int | None) -> Setup:
    """The plan of a trial at its size.

    Parameters
    ----------
    declared:
        It declares ``power``.
    pilot:
        Default: what ``power.pilot`` names, if anything.
    n:
        Units in all; default: the prompts there are.

    Raises
    ------
    InputError
        When the trial does not declare enough, or the pilot cannot be used.
    """
    from causal_sae.estimation import check_analysis  # noqa: PLC0415 - loads statsmodels

    power = plan_of(declared.trial)
    check_analysis(declared.trial)
    if pilot is None and power.pilot is not None:
        pilot = declared.folder / power.pilot
    earlier = Earlier.of(declared.trial, pilot)
    sized, notes = sized_plan(declared, power, earlier, n)
    return Setup(power, earlier, sized, tuple(notes))


@contextmanager
def placed(declared: TrialFile) -> Iterator[None]:
    """Give errors the file and the place in it, unless they are about an option."""
    try:
        yield
    except InputError as error:
        if error.place.file or (error.place.field or "").startswith("-"):
            raise
        raise at_home(error, declared) from None


def check_units(n: int | None) -> None:
    """Refuse a number of units that is no trial."""
    if n is not None and n < 2:
        raise DataError(f"must be at least 2 units, got {n}", Place(field="--n"))


def many(trial: Trial, asked: int | None, usual: int, slow: int) -> int:
    """How many trials are simulated: as many as asked for, or what takes seconds.

    Parameters
    ----------
    trial, asked:
        The declaration, and the number that was asked for, if any.
    usual, slow:
        The defaults: where p-values are enough, and where the correction needs whole estimates.
    """
    if asked is not None:
        return asked
    return usual if trial.analysis.multiplicity.method in OF_P_VALUES else slow
