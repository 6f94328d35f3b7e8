"""What is done to the features of an arm: one class for each kind of edit."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from causal_sae.spec.base import Name, Spec

Index = Annotated[int, Field(ge=0)]
Match = Literal["density", "mean_activation", "decoder_norm"]
Quantile = Literal["mean", "q50", "q90", "q99", "max"]


class Placebo(Spec):
    """Features that resemble the treated ones but are not them: the placebo of a feature."""

    placebo_for: tuple[Index, ...] = Field(min_length=1)
    """The treated features that these stand in for."""
    match: tuple[Match, ...] = Field(
        default=("density", "mean_activation", "decoder_norm"), min_length=1
    )
    """What the placebo features must share with the treated ones."""
    draws: int = Field(default=10, ge=1, le=1000)
    """How many placebo features stand in for each treated one; units are dealt out evenly."""


def _selection_kind(value: Any) -> str:
    if isinstance(value, str):
        return "all"
    return "placebo" if isinstance(value, dict | Placebo) else "listed"


FeatureSelection = Annotated[
    Annotated[Annotated[tuple[Index, ...], Field(min_length=1)], Tag("listed")]
    | Annotated[Placebo, Tag("placebo")]
    | Annotated[Literal["all"], Tag("all")],
    Discriminator(_selection_kind),
]


class QuantileDose(Spec):
    """A dose in the feature's own units: a multiple of a quantile of its activations.

    The quantile is taken over the positions where the feature is active, beginning-of-sequence
    and attention sinks left out.
    """

    multiple: float
    """How many times the quantile."""
    of: Quantile
    """Which quantile of the feature's own active values."""


def _dose_kind(value: Any) -> str:
    return "quantile" if isinstance(value, dict | QuantileDose) else "absolute"


Dose = Annotated[
    Annotated[float, Tag("absolute")] | Annotated[QuantileDose, Tag("quantile")],
    Discriminator(_dose_kind),
]


class Untouched(Spec):
    """The model as it is."""

    kind: Literal["none"] = "none"


class Splice(Spec):
    """Replace the activation by the SAE's reconstruction: the sham of an SAE intervention."""

    kind: Literal["splice"] = "splice"


class Ablate(Spec):
    """Set the features to a value that carries no information about this prompt."""

    kind: Literal["ablate"] = "ablate"
    features: FeatureSelection
    """Feature indices, ``{placebo_for: [...]}``, or ``all`` in a screen."""
    to: Literal["zero", "mean", "resample"] = "zero"
    """Zero, the feature's mean over text, or its value at a random position of a random prompt."""


class Scale(Spec):
    """Multiply the features' activations."""

    kind: Literal["scale"] = "scale"
    features: FeatureSelection
    """Feature indices, or ``{placebo_for: [...]}``."""
    factor: float
    """0 ablates, 1 changes nothing, 2 doubles."""


class Clamp(Spec):
    """Hold the features at one value, whatever they were."""

    kind: Literal["clamp"] = "clamp"
    features: FeatureSelection
    """Feature indices, or ``{placebo_for: [...]}``."""
    dose: Dose
    """The value: in activation units, or ``{multiple: 5, of: q99}``."""


class Add(Spec):
    """Add to the features' activations, active or not."""

    kind: Literal["add"] = "add"
    features: FeatureSelection
    """Feature indices, or ``{placebo_for: [...]}``."""
    dose: Dose
    """What is added: in activation units, or ``{multiple: 2, of: max}``."""


class RandomDirection(Spec):
    """Push the activation as far as another arm does, but in a random direction."""

    kind: Literal["random_direction"] = "random_direction"
    norm_of: Name
    """The arm whose change, position by position, sets the length of the push."""
    draws: int = Field(default=10, ge=1, le=1000)
    """How many directions; units are dealt out evenly."""


FeatureIntervention = Ablate | Scale | Clamp | Add

Intervention = Annotated[
    Untouched | Splice | Ablate | Scale | Clamp | Add | RandomDirection,
    Field(discriminator="kind"),
]


class Arm(Spec):
    """One arm of the trial."""

    name: Name
    """How tables and contrasts call this arm."""
    intervention: Intervention
    """What is done to the model."""
    share: float = Field(default=1.0, gt=0)
    """The arm's part in the randomisation, relative to the other arms."""
    levels: dict[str, str | float] | None = None
    """In a factorial trial: this arm's level of each factor."""
    label: str | None = None
    """What a reader of the report should know of this arm."""
