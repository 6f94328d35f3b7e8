"""The file of a concept trial: which concepts, and what their features must do to keep the name."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from causal_sae.errors import DataError, Place, SpecError
from causal_sae.spec.base import Name, Spec
from causal_sae.spec.loading import parse_spec
from causal_sae.spec.sources import ModelSpec, PathSource, SAESpec
from causal_sae.spec.yaml_tree import Problem

Texts = Path | Annotated[tuple[str, ...], Field(min_length=1)]
FEWEST_TEXTS = 10
"""Texts of a kind and half that a concept needs."""


class Concept(Spec):
    """One concept, told by texts that have it."""

    name: Name
    """Its name."""
    positive: Texts
    """Texts that have it: a list, or a file (txt, one a line; csv, jsonl or parquet with a column
    ``text``)."""
    negative: Texts | None = None
    """Texts without it, else alike. Default: the positive texts of the other concepts that hold
    none of this concept's words."""
    words: tuple[str, ...] | None = Field(default=None, min_length=1)
    """Its words, each one token as written, the leading space kept. Default: the tokens that mark
    its positive texts most, learned from the half of the texts on which nothing is tested."""
    features: tuple[Annotated[int, Field(ge=0)], ...] = ()
    """Features that are said to carry it, tried whatever they fire on. Others are found."""


class Claims(Spec):
    """Which features claim a concept: those that tell its texts from others."""

    auroc: float = Field(default=0.7, ge=0.5, lt=1)
    """The least AUROC of the feature's largest activation in a text."""
    most: int = Field(default=12, ge=0)
    """Features of one concept at most: the surest, by the lower limit of the AUROC."""


class Guardrails(Spec):
    """How much an edit may change beside the concept, in nats a token."""

    kl: float = Field(default=0.2, gt=0)
    """Divergence of the next-token distribution from the untouched model's."""
    nll: float = Field(default=0.1, gt=0)
    """Rise of the loss on the text itself: 0.1 is a perplexity 10.5% higher."""


class ConceptAnalysis(Spec):
    """How verdicts are reached."""

    alpha: float = Field(default=0.05, gt=0, lt=0.5)
    """The rate of wrong verdicts, of each kind."""
    multiplicity: Literal["bh", "by", "holm", "bonferroni"] = "bh"
    """The correction over all claims of the file, for each kind of verdict: ``bh`` and ``by`` bound
    the share of wrong ones among the verdicts given, ``holm`` the chance of any."""


class ConceptTrial(Spec):
    """Concepts, the features that claim them, and what is done to those features."""

    schema_version: Literal[1] = Field(alias="schema")
    """The version of this format: 1."""
    name: Annotated[str, StringConstraints(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=64)]
    """Its name: small letters, digits and hyphens."""
    question: str | None = None
    """What it asks."""
    seed: int = Field(default=0, ge=0)
    """Splits, draws and directions follow from it."""
    model: ModelSpec
    """The language model, as in a trial."""
    sae: SAESpec
    """The SAE, as in a trial."""
    concepts: tuple[Concept, ...] = Field(min_length=1)
    """The concepts."""
    claims: Claims = Claims()
    """Which features are tried."""
    outcome: Literal["words", "likelihood"] = "words"
    """``words``: the logarithm of the probability of the concept's words. ``likelihood``: the
    log-likelihood of the concept's texts, a token."""
    texts: int = Field(default=24, ge=10)
    """Texts of each kind on which a feature is tried."""
    tokens: int = Field(default=16, ge=4)
    """Tokens of a text that are read; shorter texts are left out."""
    read: int = Field(default=8, ge=1)
    """At how many of the last of them outcomes are read, and averaged."""
    amplify: float = Field(default=1.0, gt=0)
    """What amplification adds at every position, in multiples of the feature's mean largest
    activation in the concept's texts in which it fires."""
    placebos: int = Field(default=4, ge=1)
    """Matched features that stand in for each feature, dealt to the texts at random."""
    least: float = Field(default=0.02, ge=0)
    """The smallest effect that would count, in nats: a label is not upheld where a smaller one is
    shown."""
    guardrails: Guardrails = Guardrails()
    """What else may change."""
    analysis: ConceptAnalysis = ConceptAnalysis()
    """The error rate and the correction."""


@dataclass(frozen=True)
class ConceptFile:
    """A concept trial and the file that it was read from."""

    trial: ConceptTrial
    path: Path
    text: str = field(repr=False)

    @property
    def folder(self) -> Path:
        """Where relative paths start."""
        return self.path.parent

    @property
    def fingerprint(self) -> str:
        """The SHA-256 of the declaration, the same for every way of writing it."""
        plain = self.trial.model_dump(mode="json", by_alias=True)
        said = json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return hashlib.sha256(said.encode()).hexdigest()


def load_concepts(path: str | Path) -> ConceptFile:
    """Read the file of a concept trial.

    Parameters
    ----------
    path:
        The YAML file, or a folder that holds ``concepts.yaml``.

    Raises
    ------
    SpecError
        Names the file, line, column and field of every problem.
    """
    given = Path(path)
    file = given / "concepts.yaml" if given.is_dir() else given
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise SpecError("the file of concepts must exist.", Place(file)) from None
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"the file of concepts must be readable: {error}.", Place(file)) from None
    spec, _ = parse_spec(text, file, ConceptTrial, lambda trial: _problems(trial, file.parent))
    return ConceptFile(spec, file, text)


def _problems(trial: ConceptTrial, base: Path) -> list[Problem]:
    """What must hold between fields, and which files must be there."""
    found = [*_of_concepts(trial, base), *_of_sources(trial, base)]
    if trial.read >= trial.tokens:
        found.append(
            Problem(
                ("read",),
                f"must be smaller than `tokens` ({trial.tokens}), so that something stands before "
                f"what is read; got {trial.read}.",
            )
        )
    return found


def _of_concepts(trial: ConceptTrial, base: Path) -> Iterator[Problem]:
    names = [concept.name for concept in trial.concepts]
    for i, concept in enumerate(trial.concepts):
        if names.index(concept.name) < i:
            yield Problem(
                ("concepts", i, "name"),
                f"every concept must have its own name; {concept.name!r} is that of "
                f"concepts[{names.index(concept.name)}] too: rename one.",
            )
        for kind in ("positive", "negative"):
            value = getattr(concept, kind)
            if isinstance(value, Path) and not (base / value).exists():
                yield Problem(
                    ("concepts", i, kind),
                    f"there must be a file {str(base / value)!r}; paths start at the folder of "
                    "this file: correct the path, or list the texts.",
                )
        if concept.negative is None and len(trial.concepts) == 1:
            yield Problem(
                ("concepts", i),
                "the only concept must say what it is not: there are no other concepts whose "
                "texts could stand against it; add `negative`.",
            )


def _of_sources(trial: ConceptTrial, base: Path) -> Iterator[Problem]:
    for section in ("model", "sae"):
        source = getattr(trial, section).source
        if isinstance(source, PathSource) and not (base / source.path).exists():
            yield Problem(
                (section, "source", "path"),
                f"there must be a file or folder {str(base / source.path)!r}; paths start at "
                "the folder of this file: correct the path.",
            )
