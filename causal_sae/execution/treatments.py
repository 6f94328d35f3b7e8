"""What the trial declares, made concrete: features, doses and directions for every unit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch import Tensor

from causal_sae.errors import DataError, Place, SAEError
from causal_sae.execution.edits import FeatureEdit
from causal_sae.randomness import generator
from causal_sae.saes.features.matching import match_placebos
from causal_sae.saes.sae import SAE
from causal_sae.spec.interventions import (
    Ablate,
    Add,
    Arm,
    Clamp,
    Dose,
    FeatureIntervention,
    Placebo,
    RandomDirection,
    Scale,
    Splice,
)
from causal_sae.spec.trial import Trial

Activations = Mapping[int, npt.NDArray[np.float32]]
"""For each feature: its clean activations over the prompts' positions, to resample from."""


@dataclass(frozen=True)
class Treatment:
    """What one arm does to one unit."""

    arm: str
    draw: int | None = None
    """Which of the arm's placebo features or random directions."""
    features: tuple[int, ...] = ()
    """The edited features; none for the untouched, the sham and random directions."""
    gain: tuple[float, ...] = ()
    bias: tuple[float, ...] = ()
    resample: Activations | None = field(default=None, compare=False, repr=False)
    """Where the values come from when they are drawn from other prompts."""
    splice: bool = False
    push_like: Treatment | None = None
    """The treatment whose change sets the length of a push in ``direction``."""
    direction: Tensor | None = field(default=None, compare=False, repr=False)
    """``[d]``"""

    @property
    def changes_nothing(self) -> bool:
        """Whether this is the untouched model."""
        return not (self.features or self.splice or self.push_like)

    @property
    def moves_inactive(self) -> bool:
        """Whether features that do not fire are changed too: then it is never without effect."""
        shape = self.push_like or self
        doses = shape.resample is not None or any(shape.bias)
        return self.splice or doses

    def edit(self, seed: int, unit_id: str, positions: int) -> FeatureEdit | None:
        """The edit of this unit's row; resampled values follow from seed, arm and unit alone.

        Each feature draws on its own, so that a longer sequence begins like a shorter one.
        """
        if not self.features:
            return None
        gain = torch.tensor(self.gain)
        if self.resample is None:
            return FeatureEdit(self.features, gain, torch.tensor(self.bias))
        values = [
            generator(seed, "resample", self.arm, unit_id, str(j)).choice(pool, size=positions)
            for j, pool in ((j, self.resample[j]) for j in self.features)
        ]
        return FeatureEdit(self.features, gain, torch.from_numpy(np.stack(values, axis=1)))


def treatments(
    trial: Trial, sae: SAE, statistics: pd.DataFrame, pool: Activations | None = None
) -> dict[str, tuple[Treatment, ...]]:
    """For each arm the treatments its units are dealt: one, or one for each draw.

    Parameters
    ----------
    trial:
        The trial.
    sae:
        Its SAE.
    statistics:
        The features' own statistics (:data:`causal_sae.tables.FEATURES`).
    pool:
        Clean activations to resample from, where an arm asks for it.

    Raises
    ------
    SAEError
        When a feature index is out of range.
    DataError
        When a dose is a multiple of a statistic that the feature does not have.
    """
    made: dict[str, tuple[Treatment, ...]] = {}
    pushes: list[tuple[Arm, RandomDirection]] = []
    for arm in trial.arms:
        match arm.intervention:
            case Splice():
                made[arm.name] = (Treatment(arm.name, splice=True),)
            case RandomDirection() as intervention:
                pushes.append((arm, intervention))
            case Ablate() | Scale() | Clamp() | Add() as intervention:
                made[arm.name] = _edits(trial, arm, intervention, sae, statistics, pool)
            case _:
                made[arm.name] = (Treatment(arm.name),)
    for arm, push in pushes:
        made[arm.name] = _pushes(trial, arm, push, made[push.norm_of][0], sae)
    return made


def _edits(
    trial: Trial,
    arm: Arm,
    intervention: FeatureIntervention,
    sae: SAE,
    statistics: pd.DataFrame,
    pool: Activations | None,
) -> tuple[Treatment, ...]:
    chosen = _features(trial, arm, intervention, sae, statistics)
    try:
        return tuple(
            _treatment(arm, intervention, features, draw, statistics, pool)
            for draw, features in chosen
        )
    except DataError as error:
        place = Place(field=f"arms[{trial.arms.index(arm)}].intervention.dose")
        raise DataError(error.message, place) from None


def check_features(sae: SAE, features: Sequence[int], place: Place) -> None:
    """Pass when the SAE has every feature; otherwise say where the trial names one it has not."""
    try:
        sae.check_features(features)
    except SAEError as error:
        raise SAEError(error.message, place) from None


def focal_features(trial: Trial) -> tuple[int, ...]:
    """The features the trial is about: those that arms list by number."""
    listed: set[int] = set()
    for arm in trial.arms:
        chosen = getattr(arm.intervention, "features", ())
        if isinstance(chosen, tuple):
            listed |= set(chosen)
        elif isinstance(chosen, Placebo):
            listed |= set(chosen.placebo_for)
    return tuple(sorted(listed))


def deal_draws(
    trial: Trial, assignment: pd.DataFrame, made: Mapping[str, Sequence[Treatment]]
) -> dict[tuple[str, str], Treatment]:
    """For each unit and arm its treatment: the arm's draws are dealt evenly, at random."""
    dealt: dict[tuple[str, str], Treatment] = {}
    for arm, choices in made.items():
        units = sorted(assignment.loc[assignment["arm"] == arm, "unit_id"].astype(str))
        order = generator(trial.seed, "draws", arm).permutation(len(units))
        for unit, rank in zip(units, order, strict=True):
            dealt[unit, arm] = choices[int(rank) % len(choices)]
    return dealt


def _features(
    trial: Trial, arm: Arm, intervention: FeatureIntervention, sae: SAE, statistics: pd.DataFrame
) -> list[tuple[int | None, tuple[int, ...]]]:
    """The arm's draws: one without a number for listed features, one for each placebo set."""
    place = Place(field=f"arms[{trial.arms.index(arm)}].intervention.features")
    chosen = intervention.features
    if chosen == "all":
        raise DataError("`features: all` is for a screen; list the features of a trial", place)
    if not isinstance(chosen, Placebo):
        check_features(sae, chosen, place)
        return [(None, chosen)]
    check_features(sae, chosen.placebo_for, place)
    # Placebos match the treated features; every feature under test is kept out of their pool.
    taken = set(focal_features(trial)) - set(chosen.placebo_for)
    try:
        sets = match_placebos(
            statistics[~statistics["feature"].isin(taken)],
            chosen.placebo_for,
            chosen.match,
            chosen.draws,
            generator(trial.seed, "placebo", *map(str, chosen.placebo_for)),
            decoder=sae.decoder.cpu().numpy(),
        )
    except DataError as error:
        raise DataError(error.message, place) from None
    return [(draw, tuple(features)) for draw, features in enumerate(sets)]


def _treatment(
    arm: Arm,
    intervention: FeatureIntervention,
    features: tuple[int, ...],
    draw: int | None,
    statistics: pd.DataFrame,
    pool: Activations | None,
) -> Treatment:
    zeros, ones = (0.0,) * len(features), (1.0,) * len(features)
    match intervention:
        case Ablate(to="resample"):
            return Treatment(arm.name, draw, features, zeros, zeros, resample=pool)
        case Ablate(to="mean"):
            rows = statistics.set_index("feature").loc[list(features)]
            means = tuple((rows["density"] * rows["mean_activation"]).fillna(0.0).astype(float))
            return Treatment(arm.name, draw, features, zeros, means)
        case Ablate():
            return Treatment(arm.name, draw, features, zeros, zeros)
        case Scale(factor=factor):
            return Treatment(arm.name, draw, features, (factor,) * len(features), zeros)
        case Clamp(dose=dose):
            doses = tuple(activation_units(dose, j, statistics, arm.name) for j in features)
            return Treatment(arm.name, draw, features, zeros, doses)
        case Add(dose=dose):
            doses = tuple(activation_units(dose, j, statistics, arm.name) for j in features)
            return Treatment(arm.name, draw, features, ones, doses)


def activation_units(dose: Dose, feature: int, statistics: pd.DataFrame, arm: str) -> float:
    """A dose in activation units; quantiles are those of the feature's own active values."""
    if isinstance(dose, float):
        return dose
    column = {"mean": "mean_activation", "max": "max_activation"}.get(dose.of, dose.of)
    unit = float(statistics.set_index("feature")[column].loc[feature])
    if not unit > 0:
        raise DataError(
            f"the dose of arm {arm!r} is a multiple of the {dose.of} of feature {feature}, which "
            "never fires in the text its statistics come from; give the dose in activation units"
        )
    return dose.multiple * unit


def _pushes(
    trial: Trial, arm: Arm, push: RandomDirection, like: Treatment, sae: SAE
) -> tuple[Treatment, ...]:
    draw = generator(trial.seed, "direction", arm.name)
    directions = draw.standard_normal((push.draws, sae.config.d_out)).astype(np.float32)
    return tuple(
        Treatment(arm.name, number, push_like=like, direction=torch.from_numpy(direction))
        for number, direction in enumerate(directions)
    )
