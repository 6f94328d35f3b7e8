"""A model with its SAE at hand, to be steered: texts side by side, untouched and edited."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib.resources import files
from pathlib import Path

import pandas as pd
import torch
from rich.console import Console
from torch import Tensor

from causal_sae.errors import ModelError, Place
from causal_sae.execution.bench import Bench
from causal_sae.execution.generation import Writer, Writing, end_tokens
from causal_sae.execution.laboratory import Laboratory, assemble
from causal_sae.execution.model import load_model
from causal_sae.execution.scan import scan
from causal_sae.execution.sequences import Prompt
from causal_sae.execution.treatments import Treatment, treatments
from causal_sae.saes.features.store import stored_features
from causal_sae.saes.load import open_sae
from causal_sae.spec.outcomes import Generate
from causal_sae.spec.sources import ModelSpec, SAESpec
from causal_sae.spec.trial import Trial
from causal_sae.steering.dose import Setting

ARM = "steer"


@dataclass
class Strand:
    """One of the two texts, as far as it is written."""

    pieces: list[str] = field(default_factory=list)
    """The text of each token."""
    tokens: list[int] = field(default_factory=list)
    activations: list[float] = field(default_factory=list)
    """The features' summed activation at each token before any edit; one behind the tokens while
    the text is being written."""
    ended: bool = False
    perplexity: float = math.nan
    """Under the untouched model; known when the text is whole."""
    kl: float = math.nan
    """Mean divergence of the next token's distribution from the untouched model's along this very
    text, KL(untouched || this), in nats; known when the text is whole."""

    @property
    def text(self) -> str:
        """What is written."""
        return "".join(self.pieces)


@dataclass
class Comparison:
    """The same prompt continued twice."""

    prompt: str
    setting: Setting
    untouched: Strand = field(default_factory=Strand)
    steered: Strand = field(default_factory=Strand)

    @property
    def strands(self) -> tuple[Strand, Strand]:
        """Untouched first."""
        return self.untouched, self.steered


@dataclass(frozen=True)
class Session:
    """A model and an SAE, loaded and checked to fit."""

    model_spec: ModelSpec
    sae_spec: SAESpec
    laboratory: Laboratory
    seed: int

    @cached_property
    def bench(self) -> Bench:
        """What batches run on."""
        return self.laboratory.bench({})

    @cached_property
    def statistics(self) -> pd.DataFrame:
        """The features' own quantiles: of the SAE's store, or else of the built-in openers."""
        stored = stored_features(self.laboratory.sae)
        if stored is not None:
            return stored
        lab = self.laboratory
        return scan(lab.host, lab.sae, self.prompts(openers()), (), lab.limit).statistics

    def prompts(self, texts: Sequence[str]) -> list[Prompt]:
        """Texts as the model reads them."""
        table = pd.DataFrame({"unit_id": [f"p{i:03d}" for i in range(len(texts))], "text": texts})
        return self.laboratory.tokenizer.prompts(table)

    def treatment(self, setting: Setting, arm: str = ARM) -> Treatment:
        """A setting made concrete.

        Raises
        ------
        SAEError
            The SAE has no such feature.
        DataError
            The dose is a multiple of a quantile that the feature does not have.
        """
        trial = _trial(self.model_spec, self.sae_spec, self.seed, self.chat, setting, arm)
        return treatments(trial, self.laboratory.sae, self.statistics)[arm][0]

    @property
    def chat(self) -> bool:
        """Whether prompts are put into the chat template."""
        population = self.laboratory.trial.population
        return population is not None and population.format == "chat"

    def write(self, prompt: str, setting: Setting, generate: Generate) -> Iterator[Comparison]:
        """Continue a prompt with and without the edit.

        Yields
        ------
        The same comparison after every token, and once more when its numbers are known.
        """
        read = self.prompts([prompt])[0]
        job = Writing(read, (self.treatment(setting),), generate, edit_generated=True)
        if len(read.tokens) + generate.max_new_tokens > self.laboratory.model.context:
            raise ModelError(
                f"the prompt and {generate.max_new_tokens} new tokens do not fit into the "
                f"{self.laboratory.model.context} tokens that {self.laboratory.model.name} takes; "
                "shorten one of them",
                Place(field="--tokens"),
            )
        writer = Writer(self.bench, [job], setting.features)
        comparison = Comparison(prompt, setting)
        tokenizer, model = self.laboratory.model.tokenizer, self.laboratory.model
        stop = end_tokens(model.network.generation_config, tokenizer)
        logits, shares = writer.open(), []
        for step in range(generate.max_new_tokens):
            shares.append(logits[1].float().log_softmax(dim=-1))
            chosen = writer.choose(logits, step)
            for strand, token in zip(comparison.strands, chosen.tolist(), strict=True):
                strand.ended = strand.ended or token in stop
                if not strand.ended:
                    strand.tokens.append(token)
                    strand.pieces.append(_piece(tokenizer, strand.tokens))
            if all(strand.ended for strand in comparison.strands):
                break
            yield comparison
            alive = [not strand.ended for strand in comparison.strands]
            logits = writer.advance(chosen, step, torch.tensor(alive, device=chosen.device))
            for strand, own in zip(comparison.strands, writer.seen[-1], strict=True):
                if len(strand.activations) < len(strand.tokens):
                    strand.activations.append(float(own.sum()))
        self._judge(read, comparison, shares)
        yield comparison

    def _judge(self, prompt: Prompt, comparison: Comparison, shares: list[Tensor]) -> None:
        """Perplexities and divergence, by the untouched model along both texts."""
        for strand in comparison.strands:
            if strand.tokens:
                own = self.surprise(prompt.tokens, strand.tokens)
                strand.perplexity = math.exp(float(own.mean()))
        comparison.untouched.kl = 0.0
        steered = comparison.steered.tokens
        if steered:
            clean = self._along(prompt.tokens, steered).log_softmax(dim=-1)
            edited = torch.stack(shares[: len(steered)])
            gap = (clean.exp() * (clean - edited)).sum(dim=-1)
            comparison.steered.kl = float(gap.mean())

    def surprise(self, prompt: Sequence[int], tokens: Sequence[int]) -> Tensor:
        """``[n]``: the negative log-likelihood of each token under the untouched model, in nats."""
        logprobs = self._along(prompt, tokens).log_softmax(dim=-1)
        index = torch.tensor(tokens, device=logprobs.device)[:, None]
        own: Tensor = -logprobs.gather(1, index)[:, 0]
        return own

    def _along(self, prompt: Sequence[int], tokens: Sequence[int]) -> Tensor:
        """``[n, vocabulary]``: the untouched model's logits before each token, in float32."""
        ids = torch.tensor([[*prompt, *tokens]], device=self.laboratory.model.device)
        logits: Tensor = self.laboratory.host.plain(ids, len(tokens) + 1)[0, :-1].float()
        return logits

    def boosted(self, features: Sequence[int], count: int = 10) -> list[str]:
        """The tokens that the features' directions raise most, by the unembedding alone."""
        model, sae = self.laboratory.model, self.laboratory.sae
        head = model.network.get_output_embeddings().weight
        push = sae.direction(list(features)).sum(dim=0).to(head.dtype)
        best = (head @ push).topk(200).indices.tolist()
        words = [str(model.tokenizer.decode([token])) for token in best]
        plain = [w.strip() for w in words if w.strip().isalpha() and len(w.strip()) > 2]
        return list(dict.fromkeys(word.casefold() for word in plain))[:count]


def openers() -> list[str]:
    """The built-in prompts: beginnings of everyday sentences, of no topic in particular."""
    text = (files("causal_sae.steering") / "openers.txt").read_text(encoding="utf-8")
    return text.splitlines()


def open_session(
    model: ModelSpec,
    sae: SAESpec,
    base: Path,
    *,
    chat: bool = False,
    seed: int = 0,
    console: Console | None = None,
) -> Session:
    """Load a model and an SAE.

    Parameters
    ----------
    model, sae:
        As a trial declares them.
    base:
        The folder that relative paths start from.
    chat:
        Whether prompts are put into the tokenizer's chat template.
    seed:
        For sampling.
    console:
        Where progress is shown.
    """
    read = open_sae(sae, base)
    trial = _trial(model, sae, seed, chat, Setting((0,), 1.0))
    laboratory = assemble(trial, base, load_model(model, base, console), read)
    session = Session(model, sae, laboratory, seed)
    ready, _ = laboratory.choose_route(session.prompts(openers()[:8]))
    return Session(model, sae, ready, seed)


def _trial(
    model: ModelSpec,
    sae: SAESpec,
    seed: int,
    chat: bool,
    setting: Setting,
    arm: str = ARM,
) -> Trial:
    """The smallest trial that steers: it declares what the executor has to know."""
    return Trial.model_validate(
        {
            "schema": 1,
            "name": "steer",
            "question": "What does the feature write?",
            "seed": seed,
            "model": model,
            "sae": sae,
            "population": {"prompts": "prompts.csv", "format": "chat" if chat else "raw"},
            "arms": [
                {"name": "control", "intervention": {"kind": "none"}},
                {"name": arm, "intervention": setting.intervention},
            ],
            "outcomes": [{"name": "entropy", "metric": "entropy"}],
        }
    )


def _piece(tokenizer: object, tokens: Sequence[int]) -> str:
    """What the last token adds to the text; nothing until a letter of several bytes is whole."""
    decode = tokenizer.decode  # type: ignore[attr-defined]  # transformers has no types
    before, after = str(decode(tokens[:-1])), str(decode(tokens))
    return after[len(before) :] if after.startswith(before) else after[len(before) - 1 :]
