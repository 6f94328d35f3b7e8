"""What a label must pass to be upheld, and the rule by which verdicts are reached."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Requirement:
    """One thing that must hold for a label to be upheld."""

    name: str
    arm: str
    reference: str | None
    """The arm that it is held against; None: the untouched model."""
    measure: str
    """``concept``, ``kl`` or ``nll``."""
    sign: int
    """1: the difference must be above the limit; -1: below."""
    says: str


EFFECTS = (
    Requirement("ablate", "ablate", None, "concept", -1, "ablation lowers the concept"),
    Requirement(
        "ablate_placebo", "ablate", "ablate_placebo", "concept", -1, "more than a placebo's"
    ),
    Requirement(
        "ablate_random", "ablate", "ablate_random", "concept", -1, "more than a random direction"
    ),
    Requirement("amplify", "amplify", None, "concept", 1, "amplification raises the concept"),
    Requirement(
        "amplify_placebo", "amplify", "amplify_placebo", "concept", 1, "more than a placebo's"
    ),
    Requirement(
        "amplify_random", "amplify", "amplify_random", "concept", 1, "more than a random direction"
    ),
)
GUARDS = tuple(
    Requirement(f"{measure}_{arm}", arm, None, measure, -1, f"{arm}: {measure} within its margin")
    for arm in ("ablate", "amplify")
    for measure in ("kl", "nll")
)
VERDICTS = ("harmful", "not upheld", "upheld", "cannot tell")
RULE = (
    "Effects are means of treated minus untouched, or minus another arm of the same text, over the "
    "texts that were drawn. Every test is one-sided.",
    "harmful: some guardrail is shown to be beyond its margin; p is four times the smallest of "
    "four.",
    "not upheld: some effect is shown to be smaller than `least`, in the direction that was "
    "claimed; p is six times the smallest of six.",
    "upheld: all six effects are shown to be in the direction that was claimed, and all four "
    "guardrails to be within their margins; p is the largest of ten (intersection-union).",
    "cannot tell: none of these; or a test could not be made.",
    "Each kind of p is adjusted over all claims of the file; the first verdict in this order whose "
    "adjusted p is at most alpha is given.",
)
