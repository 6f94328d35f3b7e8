"""What a label must pass to be upheld, and the rule by which verdicts are reached."""

from __future__ import annotations

from dataclasses import dataclass

from causal_sae.tables import FLAG, INTEGER, NUMBER, TEXT, Table


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
KINDS = ("harmful", "not upheld", "upheld", "cannot tell")
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

VERDICTS = Table(
    "verdicts",
    {
        "concept": TEXT,
        "feature": INTEGER,
        "verdict": TEXT,
        "because": TEXT,
        "p_upheld_adjusted": NUMBER,
        "p_not_upheld_adjusted": NUMBER,
        "p_harmful_adjusted": NUMBER,
        "p_upheld": NUMBER,
        "p_not_upheld": NUMBER,
        "p_harmful": NUMBER,
        "family_size": INTEGER,
        "correction": TEXT,
        "found": FLAG,
        "auroc": NUMBER,
        "auroc_low": NUMBER,
        "auroc_high": NUMBER,
        "auroc_fresh": NUMBER,
        "sensitivity": NUMBER,
        "specificity": NUMBER,
        "n_ablation": INTEGER,
        "ablation_estimate": NUMBER,
        "ablation_conf_low": NUMBER,
        "ablation_conf_high": NUMBER,
        "ablate_placebo": NUMBER,
        "ablate_random": NUMBER,
        "n_amplification": INTEGER,
        "dose": NUMBER,
        "amplification_estimate": NUMBER,
        "amplification_conf_low": NUMBER,
        "amplification_conf_high": NUMBER,
        "amplify_placebo": NUMBER,
        "amplify_random": NUMBER,
        "kl_ablate": NUMBER,
        "nll_ablate": NUMBER,
        "kl_amplify": NUMBER,
        "nll_amplify": NUMBER,
        "placebos": TEXT,
    },
    required=frozenset({"concept", "feature", "verdict"}),
)
"""One row a claim: a feature and a concept."""
