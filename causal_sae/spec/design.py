"""Who is in the trial and how arms are dealt out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from causal_sae.spec.base import Spec
from causal_sae.spec.interventions import Index


class Active(Spec):
    """The feature fires on the untouched prompt."""

    feature: Index
    """The feature that must fire."""
    min_tokens: int = Field(default=1, ge=1)
    """At how many positions at least, attention sinks left out."""


class Eligibility(Spec):
    """Which prompts may enter. Everything here is known before any arm is assigned."""

    min_tokens: int | None = Field(default=None, ge=1)
    """The shortest prompt, in tokens."""
    max_tokens: int | None = Field(default=None, ge=1)
    """The longest prompt, in tokens."""
    active: Active | None = None
    """A feature that must fire on the untouched prompt."""


class Enrich(Spec):
    """Draw exposed prompts from a large pool with known probabilities."""

    feature: Index
    """Exposed: this feature fires on the untouched prompt, at a position that is edited."""
    exposed: int = Field(ge=1)
    """How many exposed prompts are drawn."""
    unexposed: int = Field(default=0, ge=0)
    """How many unexposed prompts are drawn."""
    of: Path | None = None
    """The pool: a table like the prompts file, which is then not read. Left out: the prompts file
    is the pool."""


class Population(Spec):
    """The prompts and how they become tokens."""

    prompts: Path
    """csv, jsonl or parquet; relative paths start at the folder of the trial file."""
    text: str = "text"
    """The column that holds the prompt."""
    unit: str | None = None
    """The column that names the unit; default: the row number."""
    format: Literal["raw", "chat"] = "raw"
    """``chat`` puts the prompt into the tokenizer's chat template."""
    system: str | None = None
    """In chat format: the system message."""
    bos: Literal["auto", "always", "never"] = "auto"
    """Whether the beginning-of-sequence token stands in front; ``auto`` follows the SAE's training
    where its files tell, and otherwise the tokenizer."""
    claim: Literal["superpopulation", "finite"] = "superpopulation"
    """Whether the claim is about prompts like these, or about these prompts."""
    eligibility: Eligibility = Eligibility()
    """Which prompts may enter."""
    enrich: Enrich | None = None
    """Draw exposed prompts from a pool instead of taking all."""


class _Assignment(Spec):
    cluster_by: str | None = None
    """The column whose values are clusters, such as the template a prompt was made from. In the
    methods ``cluster`` and ``block_cluster`` whole clusters are assigned; in the others clusters
    are recorded, and standard errors respect them."""


Columns = Annotated[tuple[str, ...], Field(min_length=1)]


class Until(Spec):
    """How close the arms must be: one of the two."""

    probability: Annotated[float, Field(ge=0.001, le=1)] | None = None
    """The share of assignments that are accepted, in large samples: the distance is that quantile
    of its chi-square distribution."""
    distance: Annotated[float, Field(gt=0)] | None = None
    """The largest distance itself: with two arms, the Mahalanobis distance of their means."""


class Rerandomize(Spec):
    """Draw the assignment again until the arms are alike on covariates (Morgan and Rubin 2012)."""

    on: Columns
    """Columns of the prompts that hold numbers."""
    until: Until = Until(probability=0.01)
    """How close the arms must be."""


class Simple(_Assignment):
    """Each unit draws its arm on its own."""

    method: Literal["simple"] = "simple"


class Complete(_Assignment):
    """Arms have fixed sizes."""

    method: Literal["complete"] = "complete"
    rerandomize: Rerandomize | None = None
    """Draw again until the arms are alike on covariates."""


class Block(_Assignment):
    """Arms have fixed sizes in every block."""

    method: Literal["block"] = "block"
    block_by: Columns
    """The columns whose combinations are the blocks."""
    rerandomize: Rerandomize | None = None
    """Draw again until the arms are alike on covariates."""


class Cluster(_Assignment):
    """Whole clusters are assigned."""

    method: Literal["cluster"] = "cluster"
    cluster_by: str
    """The column whose values are the clusters."""


class BlockCluster(_Assignment):
    """Whole clusters are assigned, with fixed numbers in every block."""

    method: Literal["block_cluster"] = "block_cluster"
    block_by: Columns
    """The columns whose combinations are the blocks; constant within a cluster."""
    cluster_by: str
    """The column whose values are the clusters."""


class Crossover(_Assignment):
    """Every unit goes through every arm, in an order of its own."""

    method: Literal["crossover"] = "crossover"


class LatinSquare(_Assignment):
    """Every unit goes through every arm; each arm stands equally often at each place."""

    method: Literal["latin_square"] = "latin_square"


class Factorial(_Assignment):
    """Arms are the cells of crossed factors, dealt out evenly."""

    method: Literal["factorial"] = "factorial"
    block_by: Columns | None = None
    """Balance the cells within these blocks."""


Assignment = Annotated[
    Simple | Complete | Block | Cluster | BlockCluster | Crossover | LatinSquare | Factorial,
    Field(discriminator="method"),
]

WITHIN_UNIT = frozenset({"crossover", "latin_square"})
"""The methods in which a unit is in every arm."""


class TextPositions(Spec):
    """The tokens that overlap a match of a pattern in the prompt."""

    regex: str
    """A Python regular expression."""


def _positions_kind(value: Any) -> str:
    return "regex" if isinstance(value, dict | TextPositions) else "named"


Positions = Annotated[
    Annotated[Literal["all", "last", "prompt", "generated"], Tag("named")]
    | Annotated[TextPositions, Tag("regex")],
    Discriminator(_positions_kind),
]
