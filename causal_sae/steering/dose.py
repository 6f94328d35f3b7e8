"""What is done to which features, and how strongly, as a user writes it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, get_args

from causal_sae.errors import Place, SpecError
from causal_sae.spec.interventions import Add, Clamp, Dose, Intervention, QuantileDose, Scale

How = Literal["clamp", "add", "scale"]
UNITS = ("mean", "q50", "q90", "q99", "max")
WRITTEN = re.compile(rf"^\s*([-+]?\d*\.?\d+)\s*[x*]?\s*({'|'.join(UNITS)})?\s*$", re.IGNORECASE)
FIELD = Place(field="--dose")


@dataclass(frozen=True)
class Setting:
    """One way to steer."""

    features: tuple[int, ...]
    """The features, edited together."""
    dose: Dose
    """In activation units or in multiples of the feature's own quantile; a factor for ``scale``."""
    how: How = "clamp"
    """Hold the activation at the dose, add the dose to it, or multiply it by the dose."""

    @property
    def intervention(self) -> Intervention:
        """As a trial's arm declares it."""
        if self.how == "scale":
            if isinstance(self.dose, QuantileDose):
                raise SpecError("must be a plain number for `scale`, such as 4", FIELD)
            return Scale(kind="scale", features=self.features, factor=self.dose)
        kind = Clamp if self.how == "clamp" else Add
        return kind.model_validate({"kind": self.how, "features": self.features, "dose": self.dose})

    def __str__(self) -> str:
        named = ", ".join(str(feature) for feature in self.features)
        verb = {"clamp": "held at", "add": "raised by", "scale": "multiplied by"}[self.how]
        return f"feature {named} {verb} {dose_text(self.dose)}"


def parse_dose(text: str) -> Dose:
    """A dose as it is written on the command line: ``4q99``, ``2 x max``, ``12.5``.

    Raises
    ------
    SpecError
        Says what may be written.
    """
    match = WRITTEN.match(text)
    if match is None:
        raise SpecError(
            f"must be a number in activation units, or a multiple of the feature's own "
            f"{', '.join(UNITS)}, such as 4q99; got {text!r}",
            FIELD,
        )
    number, unit = float(match[1]), match[2]
    if unit is None:
        return number
    return QuantileDose.model_validate({"multiple": number, "of": unit.lower()})


def dose_text(dose: Dose) -> str:
    """``4q99`` or ``12.5``: what :func:`parse_dose` reads."""
    return f"{dose.multiple:g}{dose.of}" if isinstance(dose, QuantileDose) else f"{dose:g}"


def parse_how(text: str) -> How:
    """``clamp``, ``add`` or ``scale``.

    Raises
    ------
    SpecError
        Names the three.
    """
    known: dict[str, How] = {name: name for name in get_args(How)}
    if text not in known:
        raise SpecError(f"must be clamp, add or scale, got {text!r}", Place(field="--how"))
    return known[text]
