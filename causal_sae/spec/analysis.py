"""How effects are estimated and how many tests there are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Discriminator, Field, PositiveFloat, Tag

from causal_sae.spec.base import Name, Spec

Estimator = Literal[
    "auto",
    "hall",
    "welch",
    "difference_in_means",
    "ancova",
    "lin",
    "block",
    "fixed_effects",
    "cluster",
    "paired",
    "sparse",
    "crossover",
    "mixed",
    "wilcoxon",
    "mann_whitney",
    "mcnemar",
    "logistic",
    "poisson",
    "cace",
    "wald",
    "anderson_rubin",
    "enriched",
    "placebo_draws",
    "randomization",
    "dowhy",
    "dowhy_iv",
]
Correction = Literal[
    "none",
    "bonferroni",
    "holm",
    "hochberg",
    "hommel",
    "bh",
    "by",
    "tsbh",
    "dunnett",
    "single_step",
    "maxt",
    "fixed_sequence",
    "graphical",
]
SizeName = Literal[
    "auto",
    "hedges_g",
    "hedges_g_av",
    "cohen_d",
    "glass_delta",
    "cohen_dz",
    "cliff_delta",
    "cles",
    "risk_difference",
    "risk_ratio",
    "odds_ratio",
    "rate_ratio",
]


SD = Annotated[
    Annotated[PositiveFloat, Tag("all")]
    | Annotated[dict[str, PositiveFloat], Field(min_length=1), Tag("each")],
    Discriminator(lambda value: "each" if isinstance(value, dict) else "all"),
]


class StatedSD(Spec):
    """A standard deviation that is known beforehand: effects are divided by it as it stands."""

    sd: SD
    """In the outcome's units: one number, or one for each outcome by name; other outcomes get what
    ``auto`` takes."""


EffectSize = Annotated[
    Annotated[SizeName, Tag("name")] | Annotated[StatedSD, Tag("stated")],
    Discriminator(lambda value: "name" if isinstance(value, str) else "stated"),
]
Refuter = Literal[
    "placebo_treatment", "random_common_cause", "data_subset", "unobserved_common_cause"
]

Share = Annotated[float, Field(ge=0, le=1)]


def hypotheses(
    names: Iterable[tuple[str, str, str]], contrasts: Sequence[tuple[str, str]]
) -> dict[str, int]:
    """Every way to call a test -> its place.

    Parameters
    ----------
    names:
        Outcome, treatment and reference of each test.
    contrasts:
        The trial's; where there is one, its tests may be called by their outcome alone.
    """
    found: dict[str, int] = {}
    for i, (outcome, treatment, reference) in enumerate(names):
        found[f"{outcome}: {treatment} - {reference}"] = i
        if len(contrasts) == 1 and (treatment, reference) == tuple(contrasts[0]):
            found[outcome] = i
    return found


class Multiplicity(Spec):
    """The correction for testing more than once."""

    method: Correction = "holm"
    """The procedure."""
    family: Literal["role", "outcome", "all"] = "role"
    """Which tests are corrected together: those of one role, of one outcome, or all."""

    weights: dict[str, Share] | None = None
    """For ``graphical``: the share of alpha that each test starts with, in sum at most 1; tests
    that are not named start with none. A test is called ``outcome: treatment - reference``, or by
    its outcome alone in a trial with one contrast. Default: primary outcomes share alpha as under
    ``holm``; secondary ones get it once all primary ones are rejected, exploratory ones after them;
    guardrails are a family of their own."""
    transitions: dict[str, dict[str, Share]] | None = None
    """For ``graphical``: to which tests the share of a rejected test passes on, and in which parts,
    in sum at most 1. Default: to all others in proportion to their weights, as under ``holm``."""

    def family_of(self, role: str, outcome: str) -> str:
        """The family that the tests of an outcome belong to; a graph holds all of them."""
        if self.method == "graphical":
            return "guardrail" if self.weights is None and role == "guardrail" else "all"
        return {"role": role, "outcome": outcome, "all": "all"}[self.family]


class DoseResponse(Spec):
    """Arms that differ in the dose alone: how the outcomes follow it."""

    arms: tuple[Name, ...] = Field(min_length=3)
    """The arms, a control among them where there is one."""
    doses: tuple[float, ...] | None = None
    """Their doses, in the order of ``arms``; default: what the arms declare (the value or the
    multiple that is clamped to or added; a scale's factor minus 1; 0 for an untouched arm)."""
    test: bool = False
    """Whether the linear trend stands in the table of effects, corrected with its family."""


class Looks(Spec):
    """Looks at the primary outcomes before all units are in, and the rule that stops the trial."""

    at: Annotated[tuple[Annotated[float, Field(gt=0, le=1)], ...], Field(min_length=1)] | None = (
        None
    )
    """When: shares of the planned units, rising, the last one 1."""
    every: Annotated[int, Field(ge=10)] | None = None
    """With ``always_valid``, instead of ``at``: a look after every so many units."""
    spending: Literal[
        "obrien_fleming",
        "pocock",
        "classical_obrien_fleming",
        "classical_pocock",
        "always_valid",
    ] = "obrien_fleming"
    """How alpha is spent over the looks: by Lan and DeMets's functions of O'Brien and Fleming's
    type (little at first) or Pocock's (evenly); by the classical boundaries of the planned looks;
    or by a confidence sequence, which holds at any number of looks."""
    futility: Annotated[float, Field(gt=0, le=0.5)] | None = None
    """Stop also where the conditional power, should the trend go on, is below this. Binding."""


class Analysis(Spec):
    """The statistics of the trial."""

    alpha: float = Field(default=0.05, gt=0, lt=0.5)
    """The error rate; intervals have level 1 - alpha."""
    reference: Name | None = None
    """The arm that every other is compared with; default: the first arm that is ``none``."""
    contrasts: tuple[tuple[Name, Name], ...] | None = None
    """Pairs ``[treatment, reference]``; default: every arm against ``reference``."""
    estimator: Estimator = "auto"
    """``auto`` follows the assignment."""
    se_type: Literal["HC2", "HC3"] = "HC2"
    """The robust standard error of ``difference_in_means``, ``ancova``, ``lin``, ``block``,
    ``fixed_effects`` and ``crossover``: HC3 is wider in small samples."""
    supplementary: tuple[Estimator, ...] = ()
    """Further estimators of the same contrasts, in a table of their own that is not corrected for
    multiplicity: they support the main estimates and never replace them."""
    factorial: Literal["none", "main", "two_way", "all"] = "none"
    """Which effects of crossed factors stand in the table of effects: main effects, also
    interactions of two factors, or of any number."""
    dose_response: tuple[DoseResponse, ...] = ()
    """Dose-response analyses, each of arms that differ in the dose alone."""
    effect_size: EffectSize = "auto"
    """The standardised effect of the table of effects; ``auto`` follows outcome and design.
    ``{sd: 0.4}`` divides by a standard deviation that is stated, ``{sd: {gap: 0.4}}`` for one
    outcome."""
    covariates: tuple[str, ...] = ()
    """Pre-treatment columns: of the prompts, or ``clean_outcome`` (the untouched model's)."""
    multiplicity: Multiplicity = Multiplicity()
    """The correction and its families."""
    refuters: tuple[Refuter, ...] = ()
    """DoWhy's refutations, run on primary contrasts."""
    looks: Looks | None = None
    """Looks before the end; default: one analysis, when all units are in."""


class Power(Spec):
    """What the trial is planned to find."""

    target: float = Field(default=0.8, gt=0, lt=1)
    """The power that is wanted."""
    effect: float
    """The smallest effect that matters: on all units, or with `active` on those on which the
    feature fires."""
    unit: Literal["sd", "outcome"] = "sd"
    """Whether ``effect`` is in standard deviations or in the outcome's units."""
    sd: SD | None = None
    """The standard deviation over units, in the outcome's units: one number, or one for each
    outcome by name. A guardrail that is named is planned for too: is its margin excluded where
    nothing changes?"""
    rho: Annotated[float, Field(gt=-1, lt=1)] | None = None
    """The correlation of a unit's outcomes in two arms."""
    icc: Annotated[float, Field(ge=0, lt=1)] | None = None
    """The intracluster correlation; in a blocked design without clusters, the share of the
    variance that lies between blocks."""
    cluster_size: Annotated[float, Field(ge=1)] | None = None
    """The mean number of units in a cluster, where there is no prompts file to count them in."""
    active: Annotated[float, Field(gt=0, le=1)] | None = None
    """The share of units on which the feature fires."""
    placebo_sd: Annotated[float, Field(ge=0)] | None = None
    """How much placebo features, or random directions, differ in what they do: the standard
    deviation of their effects, in the unit of ``effect``. It decides how many draws are needed."""
    baseline: Annotated[float, Field(gt=0)] | None = None
    """The outcome's mean on the untouched model, for the estimators whose power depends on it: the
    share of ones (``logistic``, ``mcnemar``), or the mean count (``poisson``)."""
    pilot: Path | None = None
    """A run folder, or a table of observations, that the numbers above are taken from."""

    def sd_of(self, outcome: str) -> float | None:
        """The standard deviation that is declared of an outcome."""
        return self.sd.get(outcome) if isinstance(self.sd, dict) else self.sd
