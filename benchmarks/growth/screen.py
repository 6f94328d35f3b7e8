"""What a screen of every feature on a million prompts takes: counted, not run."""

from __future__ import annotations

from dataclasses import dataclass

GPU_HOUR = 3600.0


@dataclass(frozen=True)
class Plan:
    """A screen, its model, and the machines."""

    prompts: int = 1_000_000
    tokens: int = 64
    features: int = 65_536
    firing: int = 1_500
    """How many of the features fire somewhere in one prompt."""
    parameters: float = 2.6e9
    above: float = 0.5
    """The part of the layers above the hook."""
    rate: float = 1.6e14
    """Floating-point operations a second that a GPU reaches: two fifths of an A100's 400e12."""
    hits: int = 1_000
    """Features that go on from the first stage to the second."""
    sample: int = 1_000
    """Prompts on which each of them is run, of those where it fires."""
    row_bytes: float = 60.0
    """Of one observation as it is saved."""
    shard_rows: int = 256

    @property
    def read(self) -> float:
        """Operations of one prompt through all layers."""
        return 2 * self.parameters * self.tokens

    def hours(self, operations: float) -> float:
        """GPU hours."""
        return operations / self.rate / GPU_HOUR


@dataclass(frozen=True)
class Way:
    """One way to answer for every feature."""

    name: str
    passes: float
    """Rows that run the layers above the hook, or passes back through all of them."""
    operations: float
    saved: float
    """Rows that are saved."""


def ways(plan: Plan) -> list[Way]:
    """From the one that runs everything to the one that runs what matters."""
    suffix = plan.read * plan.above
    everything = float(plan.prompts) * plan.features
    active = float(plan.prompts) * plan.firing
    chosen = float(plan.hits) * plan.sample
    prefix = plan.read * plan.prompts
    return [
        Way("every feature on every prompt", everything, prefix + everything * suffix, everything),
        Way("every feature where it fires", active, prefix + active * suffix, active),
        Way("one gradient a prompt, all features at once", plan.prompts, 3 * prefix, plan.features),
        Way(
            "that, then the hits where they fire",
            plan.prompts + chosen,
            3 * prefix + chosen * (plan.read * (1 - plan.above) + suffix),
            plan.features + chosen,
        ),
    ]
