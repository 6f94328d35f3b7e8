"""The doses of arms that do the same to the same features, more or less strongly."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import TYPE_CHECKING

from causal_sae.errors import SpecError
from causal_sae.spec.interventions import Add, Clamp, QuantileDose, Scale

if TYPE_CHECKING:
    from causal_sae.spec.analysis import DoseResponse
    from causal_sae.spec.interventions import Arm
    from causal_sae.spec.trial import Trial

UNTOUCHED = frozenset({"none", "splice"})
"""The kinds of intervention that stand at dose 0."""


def ladder(trial: Trial, entry: DoseResponse) -> dict[str, float]:
    """Arm -> dose, from the lowest dose to the highest.

    Parameters
    ----------
    trial:
        Has the arms.
    entry:
        Names them and maybe their doses. Where it does not, a dose is what the arm clamps to or
        adds (in units of activation, or multiples of one quantile), or a scale's factor minus 1;
        arms that edit no feature stand at 0.

    Raises
    ------
    SpecError
        The arms' doses cannot be told from their interventions.
    """
    doses = entry.doses if entry.doses is not None else _derived(trial, entry.arms)
    return dict(sorted(zip(entry.arms, doses, strict=True), key=lambda rung: rung[1]))


def _derived(trial: Trial, arms: tuple[str, ...]) -> list[float]:
    edits = [trial.arm(arm) for arm in arms if trial.arm(arm).intervention.kind not in UNTOUCHED]
    scales = {_scale(arm) for arm in edits}
    if len(scales) > 1:
        raise SpecError(
            "the doses of these arms cannot be compared, because they differ in more than the "
            f"dose ({_difference(edits)}); give `doses`, or name arms that edit the same features "
            "in the same way."
        )
    return [_dose(trial.arm(arm)) for arm in arms]


def _scale(arm: Arm) -> tuple[str, ...]:
    """What two arms must have in common for their doses to be of one scale.

    Raises
    ------
    SpecError
        The arm has no dose.
    """
    edit = arm.intervention
    if not isinstance(edit, Scale | Clamp | Add):
        raise SpecError(
            f"the arm {arm.name!r} ({edit.kind}) has no dose; give `doses`, or name arms that "
            "clamp, add or scale, and a control."
        )
    of = "activation units" if isinstance(edit, Scale) or not _quantile(edit) else _quantile(edit)
    return edit.kind, repr(edit.features), of


def _quantile(edit: Clamp | Add) -> str:
    return edit.dose.of if isinstance(edit.dose, QuantileDose) else ""


def _difference(arms: list[Arm]) -> str:
    first = _scale(arms[0])
    other = next(arm for arm in arms if _scale(arm) != first)
    what = ("kind", "features", "unit of the dose")
    pairs = zip(what, first, _scale(other), strict=True)
    name = next(label for label, a, b in pairs if a != b)
    return f"{arms[0].name} and {other.name}: the {name}"


def _dose(arm: Arm) -> float:
    edit = arm.intervention
    if isinstance(edit, Scale):
        return edit.factor - 1
    if isinstance(edit, Clamp | Add):
        return edit.dose.multiple if isinstance(edit.dose, QuantileDose) else edit.dose
    return 0.0


def problem(trial: Trial, entry: DoseResponse) -> str | None:
    """Why an entry's doses cannot be used, as a sentence; None where they can."""
    if entry.doses is not None and len(entry.doses) != len(entry.arms):
        return (
            f"every arm must have its dose; there are {len(entry.arms)} arms and "
            f"{len(entry.doses)} doses."
        )
    try:
        rungs = ladder(trial, entry)
    except SpecError as error:
        return error.message
    return _repeated(rungs)


def _repeated(rungs: Mapping[str, float]) -> str | None:
    for one, other in pairwise(rungs):
        if rungs[one] == rungs[other]:
            return (
                f"the arms must have different doses; {one!r} and {other!r} both have "
                f"{rungs[one]:g}: leave one out."
            )
    return None
