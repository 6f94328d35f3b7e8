"""Prompts as token sequences: what the model is fed, which tokens are edited, what is read."""

from __future__ import annotations

import re
from collections.abc import Sequence as Rows
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from causal_sae.errors import DataError, Place
from causal_sae.execution.model import LanguageModel
from causal_sae.spec.design import Population, Positions, TextPositions

Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Prompt:
    """One unit's prompt in tokens."""

    unit_id: str
    tokens: tuple[int, ...]
    """What the model reads, beginning-of-sequence and chat template included."""
    editable: Bools
    """``[len(tokens)]``: positions the trial edits; the first position never is one."""


@dataclass(frozen=True)
class TokenSequence:
    """A prompt with the continuation that is scored after it; most have none."""

    prompt: Prompt
    continuation: tuple[int, ...] = ()
    edit_continuation: bool = False
    next_too: bool = False
    """Whether outcomes of the token after the prompt are read from this sequence too: what follows
    does not change them."""

    @property
    def unit_id(self) -> str:
        """The unit this sequence belongs to."""
        return self.prompt.unit_id

    def answers(self, continuation: tuple[int, ...]) -> bool:
        """Whether an outcome that scores ``continuation`` is read from this sequence."""
        return continuation == self.continuation or (self.next_too and not continuation)

    @property
    def tokens(self) -> tuple[int, ...]:
        """Prompt and continuation."""
        return self.prompt.tokens + self.continuation

    @property
    def shape(self) -> tuple[int, int]:
        """Tokens in all and tokens of the prompt: sequences of one shape share a batch."""
        return len(self.tokens), len(self.prompt.tokens)

    @property
    def editable(self) -> Bools:
        """``[len(tokens)]``: positions that may be edited."""
        tail = np.full(len(self.continuation), self.edit_continuation)
        return np.concatenate([self.prompt.editable, tail])


class Tokenizer:
    """Turns prompts and target words into tokens, by the trial's declared policy."""

    def __init__(
        self,
        model: LanguageModel,
        population: Population,
        positions: Positions,
        sae_prepends_bos: bool | None,
    ) -> None:
        self.model, self.population, self.positions = model, population, positions
        self.first = self._first_token(sae_prepends_bos)
        if population.format == "chat" and not model.tokenizer.chat_template:
            raise DataError(
                f"the tokenizer of {model.name} has no chat template; write `format: raw`",
                Place(field="population.format"),
            )

    def _first_token(self, sae_prepends_bos: bool | None) -> int | None:
        """The beginning-of-sequence token that stands in front, or None."""
        tokenizer, policy = self.model.tokenizer, self.population.bos
        if policy == "never" or (policy == "auto" and sae_prepends_bos is False):
            return None
        own = tokenizer.bos_token_id
        if policy == "auto" and sae_prepends_bos is None:
            ids = tokenizer("a")["input_ids"]
            return own if own is not None and ids[0] == own else None
        if own is None:
            raise DataError(
                f"the tokenizer of {self.model.name} has no beginning-of-sequence token; "
                "write `bos: never`",
                Place(field="population.bos"),
            )
        return int(own)

    def prompts(self, table: pd.DataFrame) -> list[Prompt]:
        """Tokenise every unit's prompt.

        Parameters
        ----------
        table:
            The prompts, with ``unit_id`` and the text column.

        Raises
        ------
        DataError
            Names the unit whose prompt is longer than the model's context, or too short to edit.
        """
        texts = table[self.population.text].astype(str)
        prompts = [
            self._prompt(str(unit), text)
            for unit, text in zip(table["unit_id"], texts, strict=True)
        ]
        if isinstance(self.positions, TextPositions) and not any(p.editable.any() for p in prompts):
            raise DataError(
                f"must match a token of some prompt after its first, but {self.positions.regex!r} "
                f"matches none of the {len(prompts)} prompts; mend the pattern",
                Place(field="positions.regex"),
            )
        return prompts

    def _prompt(self, unit_id: str, text: str) -> Prompt:
        chat, located = self.population.format == "chat", isinstance(self.positions, TextPositions)
        rendered = self._chat(text) if chat else text
        encoded = self.model.tokenizer(
            rendered, add_special_tokens=False, return_offsets_mapping=located
        )
        ids = list(encoded["input_ids"])
        spans = list(encoded["offset_mapping"]) if located else [(0, 0)] * len(ids)
        if chat and ids[:1] == [self.model.tokenizer.bos_token_id]:
            # The template brings its own; `auto` takes the template's word for it.
            cut = self.population.bos == "never"
            ids, spans = ids[cut:], spans[cut:]
        elif self.first is not None and not (chat and self.population.bos == "auto"):
            ids, spans = [self.first, *ids], [(0, 0), *spans]
        self._fits(unit_id, ids)
        start = self._start(unit_id, text, rendered) if chat and located else 0
        return Prompt(unit_id, tuple(ids), self._editable(text, spans, start))

    def _fits(self, unit_id: str, ids: Rows[int]) -> None:
        if len(ids) > self.model.context:
            raise DataError(
                f"the prompt of unit {unit_id!r} has {len(ids)} tokens, and {self.model.name} "
                f"takes {self.model.context}; shorten it or leave it out",
                Place(field="population.prompts"),
            )
        if len(ids) < 2:
            raise DataError(
                f"the prompt of unit {unit_id!r} has {len(ids)} token(s), and the first position "
                "is never edited; give prompts of at least 2 tokens",
                Place(field="population.prompts"),
            )

    def _start(self, unit_id: str, text: str, rendered: str) -> int:
        """Where the prompt begins in the filled template, which may also quote it elsewhere."""
        mark = "\u2603" * 8
        start, stripped = self._chat(mark).find(mark), text.strip()
        if start >= 0 and rendered.startswith(text, start):
            return start
        if start >= 0 and rendered.startswith(stripped, start):
            # Many templates strip the white space around what they are given.
            return start - text.index(stripped)
        raise DataError(
            f"the chat template of {self.model.name} rewrites the prompt of unit {unit_id!r}, so a "
            "pattern cannot be placed in it; write `positions: prompt` or `format: raw`",
            Place(field="positions.regex"),
        )

    def _chat(self, text: str) -> str:
        system = self.population.system
        messages = [{"role": "system", "content": system}] if system else []
        messages.append({"role": "user", "content": text})
        rendered = self.model.tokenizer.apply_chat_template(
            messages, add_generation_prompt=True, tokenize=False
        )
        return str(rendered)

    def _editable(self, text: str, spans: Rows[tuple[int, int]], start: int) -> Bools:
        chosen = np.zeros(len(spans), dtype=bool)
        if isinstance(self.positions, TextPositions):
            for match in re.finditer(self.positions.regex, text):
                low, high = match.start() + start, match.end() + start
                if low < high:
                    chosen |= [left < high and right > low for left, right in spans]
        elif self.positions == "last":
            chosen[-1] = True
        elif self.positions in ("all", "prompt"):
            chosen[:] = True
        chosen[0] = False
        return chosen

    def token(self, text: str, place: Place) -> int:
        """The one token that ``text`` is.

        Raises
        ------
        DataError
            Shows the pieces when there are several.
        """
        ids = self.tokens(text)
        if len(ids) != 1:
            pieces = [self.model.tokenizer.decode([i]) for i in ids]
            other = text[1:] if text.startswith(" ") else " " + text
            hint = f"; {other!r} is one token" if len(self.tokens(other)) == 1 else ""
            raise DataError(
                f"must be one token of {self.model.name}, got {text!r}, which is {len(ids)}: "
                f"{pieces}{hint}; choose another word, or `sequence: true` with token_logprob",
                place,
            )
        return ids[0]

    def tokens(self, text: str) -> tuple[int, ...]:
        """The tokens of ``text`` as written: leading space kept, none added."""
        ids: Any = self.model.tokenizer(text, add_special_tokens=False)["input_ids"]
        return tuple(int(i) for i in ids)
