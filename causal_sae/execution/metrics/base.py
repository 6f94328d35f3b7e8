"""What a metric is: it may ask for a continuation, and turns a reading into one number a row."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor

from causal_sae.errors import DataError, Place
from causal_sae.execution.hook_points import HookPoint
from causal_sae.execution.sequences import Tokenizer, TokenSequence
from causal_sae.saes.sae import SAE
from causal_sae.spec.design import Population
from causal_sae.spec.outcomes import Text
from causal_sae.spec.prompts import prompts_source


@dataclass(frozen=True)
class Reading:
    """What one batch of rows left behind. ``R`` rows of one shape, ``n`` positions read."""

    sequences: Sequence[TokenSequence]
    """The rows' sequences."""
    logprobs: Tensor
    """``[R, n, vocabulary]``: natural-log probabilities of the token after each position, from the
    last token of the prompt on. Where only :attr:`tokens` were read: their logits, ``[R, n, T]``,
    which differ from log-probabilities by a number for each row and position."""
    untouched_row: Tensor
    """``[R]``: the row that ran the same sequence on the untouched model."""
    activations: Mapping[str, Tensor]
    """``[R, S, d]`` by :func:`~causal_sae.execution.host.site_of`: what stood at the trial's hook
    and at later ones."""
    tokens: tuple[int, ...] | None = None
    """The tokens that were read, ascending; None: all."""

    @property
    def last(self) -> Tensor:
        """``[R, vocabulary]``: log-probabilities of the token that follows the prompt."""
        return self.logprobs[:, 0]

    @property
    def untouched_last(self) -> Tensor:
        """``[R, vocabulary]``: the same on the untouched model."""
        return self.logprobs[self.untouched_row, 0]

    @property
    def units(self) -> list[str]:
        """The unit of each row."""
        return [sequence.unit_id for sequence in self.sequences]

    def columns(self, tokens: Sequence[int]) -> list[int]:
        """Where these tokens stand in the last axis of :attr:`logprobs`."""
        if self.tokens is None:
            return list(tokens)
        place = {token: column for column, token in enumerate(self.tokens)}
        return [place[token] for token in tokens]


@dataclass(frozen=True)
class Context:
    """What a metric may look at while it is being set up."""

    table: pd.DataFrame
    """The prompts."""
    population: Population
    """How the trial declares them."""
    tokenizer: Tokenizer
    """The trial's tokenizer."""
    sae: SAE
    """The trial's SAE."""
    hook: HookPoint
    """Where it reads."""
    base: Path
    """The folder that relative paths start from."""
    field: str
    """Where the outcome stands in the trial file, such as ``outcomes[0]``."""

    def each_unit(self, text: Text, name: str) -> dict[str, tuple[str, Place]]:
        """For each unit the text that an outcome refers to, and where it was found."""
        units = self.table["unit_id"].astype(str)
        if isinstance(text, str):
            place = Place(field=f"{self.field}.{name}")
            return dict.fromkeys(units, (text, place))
        file = self.base / prompts_source(self.population)[0]
        cells = self.table[text.column].astype(str)
        return {
            unit: (cell, Place(file=file, field=f"unit {unit!r}, column {text.column!r}"))
            for unit, cell in zip(units, cells, strict=True)
        }

    def one_token(self, text: Text, name: str) -> dict[str, int]:
        """For each unit the single token that ``text`` is."""
        known: dict[str, int] = {}
        each = self.each_unit(text, name)
        for word, place in each.values():
            if word not in known:
                known[word] = self.tokenizer.token(word, place)
        return {unit: known[word] for unit, (word, _) in each.items()}

    def some_tokens(self, text: Text, name: str) -> dict[str, tuple[int, ...]]:
        """For each unit the tokens of a text that follows its prompt: at least one."""
        known: dict[str, tuple[int, ...]] = {}
        each = self.each_unit(text, name)
        for words, place in each.values():
            if words not in known:
                known[words] = self.tokenizer.tokens(words)
            if not known[words]:
                raise DataError(f"must hold text that follows the prompt, got {words!r}", place)
        return {unit: known[words] for unit, (words, _) in each.items()}


class Metric(ABC):
    """One outcome, ready to be measured."""

    watch: HookPoint | None = None
    """A later hook whose activation is needed."""
    smooth: bool = True
    """Whether a small change of the logits is a small change of the outcome (not so for ranks)."""

    def continuation(self, unit_id: str) -> tuple[int, ...]:  # noqa: ARG002
        """The tokens to append to the unit's prompt; most metrics need none."""
        return ()

    def reads(self, units: Sequence[str]) -> set[int] | None:  # noqa: ARG002
        """The only tokens that it compares with one another in these units; None: it needs all.

        Most metrics read probabilities, which every token of the vocabulary has a part in.
        """
        return None

    @abstractmethod
    def measure(self, reading: Reading) -> Tensor:
        """The outcome's value in each row, ``[R]``, in the precision of the log-probabilities."""


def tokens_read(metrics: Iterable[Metric], units: Sequence[str]) -> tuple[int, ...] | None:
    """The tokens that these outcomes read in these units, ascending; None: the whole vocabulary.

    At least one, so that logits that are not finite are seen.
    """
    found: set[int] = set()
    for metric in metrics:
        own = metric.reads(units)
        if own is None:
            return None
        found |= own
    return tuple(sorted(found or {0}))


def pick(logprobs: Tensor, tokens: Sequence[int]) -> Tensor:
    """The log-probability of ``tokens[r]`` in row ``r`` of ``[R, vocabulary]``; shape ``[R]``."""
    index = torch.tensor(tokens, device=logprobs.device)
    return logprobs.gather(1, index[:, None])[:, 0]


def continuation_logprobs(reading: Reading) -> Tensor:
    """The log-probability of each token of the continuation, ``[R, n - 1]``."""
    tokens = torch.tensor([s.continuation for s in reading.sequences], dtype=torch.long)
    ahead = reading.logprobs[:, :-1]
    return ahead.gather(2, tokens.to(ahead.device)[..., None])[..., 0]
