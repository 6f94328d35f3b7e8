"""From units that came in by and by to what each look decided, for each primary contrast."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from causal_sae.errors import DataError, Place
from causal_sae.estimation.choice import choose_for
from causal_sae.estimation.contrasts import Contrast, analysed, unit_values
from causal_sae.estimation.inference import Estimate, settle
from causal_sae.estimation.sequential import always_valid
from causal_sae.estimation.sequential.path import Regions, Stage, follow
from causal_sae.estimation.sequential.spending import SPENDING, planned_spending
from causal_sae.estimation.sequential.stagewise import as_normal
from causal_sae.estimation.sequential.times import is_last, planned_time
from causal_sae.spec.rules.looks import share_of_alpha

if TYPE_CHECKING:
    import pandas as pd

    from causal_sae.spec import Trial
    from causal_sae.spec.analysis import Looks

NEWS = 1e-4
"""A look that adds less information than this is not made, unless it is the last."""


@dataclass(frozen=True)
class Look:
    """One look at one contrast, before anything is decided."""

    number: int
    """From 1, as the units are numbered."""
    time: float
    """The share of the planned information that was in."""
    units: tuple[int, int]
    """Analysed in treatment and reference."""
    fitted: Estimate
    """The naive estimate."""
    at_level: Callable[[float], Estimate] = field(repr=False, compare=False)
    """The same with an interval of one minus another level."""

    @property
    def z(self) -> float:
        """The statistic as a normal quantile."""
        if "exact_zero" in self.fitted.flags:
            return 0.0
        return as_normal(self.fitted.statistic, self.fitted.df)

    @property
    def tested(self) -> bool:
        """Whether there is a statistic."""
        return not np.isnan(self.fitted.p_value)


@dataclass(frozen=True)
class Monitored:
    """A primary contrast through its looks."""

    contrast: Contrast
    alpha: float
    """The contrast's share of the error rate."""
    looks: tuple[Look, ...]
    """Those at which there was a statistic and news, those after the stop too."""
    stages: tuple[Stage, ...]
    """Those up to the one that decided, or all of them."""
    sequence: bool
    """Whether it is looked at by a confidence sequence, which holds wherever it ends."""

    @property
    def decided(self) -> bool:
        """Whether a rule has stopped it."""
        return bool(self.stages) and self.stages[-1].decision != "continue"

    @property
    def stop(self) -> Look | None:
        """The look that its inference is made at; None while there is none."""
        if self.decided or (self.sequence and self.stages):
            return self.looks[len(self.stages) - 1]
        return None


def stops(trial: Trial, observations: pd.DataFrame) -> bool:
    """Whether a rule has decided every primary contrast, so that the trial ends here.

    Parameters
    ----------
    trial:
        Declares ``analysis.looks``.
    observations:
        Those of the units that are in, as for :func:`causal_sae.estimation.estimate`.
    """
    found = monitor(trial, unit_values(trial, observations))
    return bool(found) and all(one.decided for one in found)


def monitor(trial: Trial, values: pd.DataFrame) -> list[Monitored]:
    """Every primary contrast of a trial with looks, in the order of the table of effects.

    Parameters
    ----------
    trial:
        Declares ``analysis.looks``.
    values:
        As :func:`causal_sae.estimation.contrasts.unit_values` returns them, with the column
        ``look``: the first look at which a unit counts.
    """
    looks = trial.analysis.looks
    if looks is None:
        return []
    numbers = look_numbers(trial, values)
    primary = [outcome for outcome in trial.outcomes if outcome.role == "primary"]
    contrasts = [Contrast(o, *pair) for o in primary for pair in trial.contrasts]
    return [_monitored(trial, looks, values, numbers, one) for one in contrasts]


def look_numbers(trial: Trial, values: pd.DataFrame) -> list[int]:
    """The looks that the units are numbered with, rising.

    Raises
    ------
    DataError
        There is no such column, a cell of it is no look, or a unit has several.
    """
    looks, place = trial.analysis.looks, Place(field="look")
    if "look" not in values or values["look"].isna().all():
        if looks is not None and looks.spending == "always_valid":
            return [_as_one_look(looks, values)]
        raise DataError(
            "the trial is looked at before its end, so the observations must say in the column "
            "'look' at which look (1, 2, ...) each unit counts for the first time; add it, or "
            "remove `analysis.looks` if there was one analysis only.",
            place,
        )
    found = values["look"]
    most = np.inf if looks is None or looks.at is None else len(looks.at)
    wrong = values.index[found.isna() | (found % 1 != 0) | (found < 1) | (found > most)]
    if len(wrong):
        row = values.loc[wrong[0]]
        upto = "" if np.isinf(most) else f" up to {most}"
        raise DataError(
            f"'look' must be a whole number from 1{upto}, got '{row['look']}' for unit "
            f"{row['unit_id']!r}; mend the cell.",
            place,
        )
    several = values.groupby("unit_id")["look"].nunique()
    if (several > 1).any():
        raise DataError(
            f"a unit counts from one look on, but unit {several.idxmax()!r} has several in the "
            "column 'look'; mend the cells.",
            place,
        )
    return sorted({int(number) for number in found})


def _as_one_look(looks: Looks, values: pd.DataFrame) -> int:
    """The number of the only look at units that are not numbered."""
    if looks.at is not None:
        return len(looks.at)
    return max(1, round(values["unit_id"].nunique() / (looks.every or 1)))


def until(values: pd.DataFrame, number: int) -> pd.DataFrame:
    """The units that are in at a look."""
    if "look" not in values or values["look"].isna().all():
        return values
    return values[values["look"] <= number]


def _monitored(
    trial: Trial,
    looks: Looks,
    values: pd.DataFrame,
    numbers: list[int],
    contrast: Contrast,
) -> Monitored:
    alpha = share_of_alpha(trial, contrast.outcome.name)
    made = tuple(_made(trial, looks, values, numbers, contrast))
    sequence = looks.spending == "always_valid"
    stages = list(_sequence(made, alpha)) if sequence else _spent(looks, made, alpha)
    return Monitored(contrast, alpha, made, tuple(stages), sequence)


def _made(
    trial: Trial, looks: Looks, values: pd.DataFrame, numbers: list[int], contrast: Contrast
) -> Iterator[Look]:
    """The looks that have a statistic, and more information than the one before."""
    before = 0.0
    for number in numbers:
        look = _look(trial, until(values, number), contrast, number, planned_time(looks, number))
        if look is None or not look.tested:
            continue
        if is_last(looks, number):
            look = replace(look, time=max(look.time, before + NEWS))
        if look.time >= before + NEWS:
            before = look.time
            yield look


def _look(
    trial: Trial, values: pd.DataFrame, contrast: Contrast, number: int, time: float
) -> Look | None:
    sample, _ = analysed(trial, values, contrast)
    if not len(sample):
        return None
    estimator = choose_for(trial, contrast, sample)[1]

    def at_level(alpha: float) -> Estimate:
        return settle(estimator.fit(sample, alpha), sample.outcome)

    fitted = at_level(trial.analysis.alpha)
    treatment, reference = (len(arm) for arm in sample.arms)
    share = _information(treatment, reference) / _planned(trial, values, contrast)
    return Look(number, time * min(share, 1.0), (treatment, reference), fitted, at_level)


def _information(treatment: int, reference: int) -> float:
    return treatment * reference / (treatment + reference) if treatment and reference else 0.0


def _planned(trial: Trial, values: pd.DataFrame, contrast: Contrast) -> float:
    """The information of the units that were dealt, whether their outcome is there or not."""
    of_arm = {arm: set(rows["unit_id"]) for arm, rows in values.groupby("arm")}
    arms = [of_arm.get(arm, set()) for arm in (contrast.treatment, contrast.reference)]
    if trial.within_unit:
        arms = [arms[0] | arms[1]] * 2
    return _information(len(arms[0]), len(arms[1]))


def _spent(looks: Looks, made: tuple[Look, ...], alpha: float) -> list[Stage]:
    """The looks of a test that spends alpha; the last planned one may spend all of it."""
    planned = planned_spending(looks.spending, alpha, looks.at or (1.0,))
    of_time = SPENDING.get(looks.spending)
    spent = []
    for look in made:
        by_now = planned[look.number - 1] if of_time is None else of_time(alpha / 2, look.time)
        spent.append(alpha / 2 if is_last(looks, look.number) else float(by_now))
    total = sum(not is_last(looks, look.number) for look in made) + 1
    times = [look.time for look in made]
    return follow(times, spent, [look.z for look in made], total, looks.futility, alpha)


def _sequence(made: tuple[Look, ...], alpha: float) -> Iterator[Stage]:
    """The looks of a confidence sequence, up to the first that excludes zero."""
    for look in made:
        bound = always_valid.boundary(alpha, look.time)
        regions = Regions(look.time, -bound, bound)
        stage = Stage(look.z, alpha / 2, regions, regions.decision(look.z, False))
        yield stage
        if stage.decision != "continue":
            return
