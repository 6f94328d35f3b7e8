"""The whole trial file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, PrivateAttr, StringConstraints

from causal_sae.spec.analysis import Analysis, Power
from causal_sae.spec.base import Spec
from causal_sae.spec.design import (
    WITHIN_UNIT,
    Assignment,
    Complete,
    Population,
    Positions,
    Rerandomize,
)
from causal_sae.spec.interventions import Arm
from causal_sae.spec.outcomes import Outcome, Role
from causal_sae.spec.sources import ModelSpec, SAESpec

Slug = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=64)]


class Trial(Spec):
    """A randomised controlled trial of an intervention on SAE features."""

    schema_: Literal[1] = Field(alias="schema")
    """The version of this file format."""
    name: Slug
    """Lower-case letters, digits and hyphens; names the run folder."""
    status: Literal["confirmatory", "exploratory"] = "exploratory"
    """A confirmatory trial names its primary outcome and is registered before it runs."""
    question: str
    """The claim under test, in one sentence that a verdict can answer."""
    seed: int = Field(default=0, ge=0, lt=2**32)
    """Everything random follows from this number."""
    model: ModelSpec | None = None
    """The language model; not needed to estimate from observations."""
    sae: SAESpec | None = None
    """The sparse autoencoder; not needed to estimate from observations."""
    population: Population | None = None
    """The prompts; not needed to estimate from observations."""
    assignment: Assignment = Complete()
    """How arms are dealt out."""
    arms: tuple[Arm, ...] = Field(min_length=2)
    """What is compared."""
    positions: Positions = "all"
    """Which tokens are edited. The first position of a sequence and padding never are."""
    attention_sinks: Literal["skip", "edit"] = "skip"
    """Whether positions whose norm exceeds four times the prompt's median are left alone: SAEs
    are not trained on them and a few of them carry the model's attention."""
    outcomes: tuple[Outcome, ...] = Field(min_length=1)
    """What is measured."""
    analysis: Analysis = Analysis()
    """How effects are estimated."""
    power: Power | None = None
    """What the trial is planned to find."""

    _folder: Path = PrivateAttr(default_factory=Path)

    @property
    def folder(self) -> Path:
        """Where relative paths start: the folder the trial was loaded from, or the current one."""
        return self._folder

    def within(self, folder: Path) -> Trial:
        """The same trial with its relative paths starting at ``folder``."""
        moved = self.model_copy()
        moved._folder = folder
        return moved

    def arm(self, name: str) -> Arm:
        """The arm of that name."""
        return next(arm for arm in self.arms if arm.name == name)

    def outcome(self, name: str) -> Outcome:
        """The outcome of that name."""
        return next(outcome for outcome in self.outcomes if outcome.name == name)

    @property
    def within_unit(self) -> bool:
        """Whether every unit goes through every arm."""
        return self.assignment.method in WITHIN_UNIT

    @property
    def rerandomize(self) -> Rerandomize | None:
        """The rule by which assignments are drawn again; None: the first one stands."""
        found: Rerandomize | None = getattr(self.assignment, "rerandomize", None)
        return found

    @property
    def reference(self) -> str:
        """The arm that others are compared with."""
        if self.analysis.reference is not None:
            return self.analysis.reference
        untouched = (arm.name for arm in self.arms if arm.intervention.kind == "none")
        return next(untouched, self.arms[0].name)

    @property
    def contrasts(self) -> tuple[tuple[str, str], ...]:
        """Pairs of treatment and reference, in the order of the table of effects."""
        if self.analysis.contrasts is not None:
            return self.analysis.contrasts
        others = (arm.name for arm in self.arms if arm.name != self.reference)
        return tuple((name, self.reference) for name in others)

    def roles(self) -> dict[str, Role]:
        """The role of each outcome."""
        return {outcome.name: outcome.role for outcome in self.outcomes}
