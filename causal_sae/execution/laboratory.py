"""A trial's model, SAE and prompts, in memory and ready: what the executor works with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd
from rich.console import Console

from causal_sae.errors import DataError, Place, SAEError, SpecError
from causal_sae.execution.forward import Bench
from causal_sae.execution.gates import Gate, choose_route
from causal_sae.execution.hook_points import HookPoint, resolve
from causal_sae.execution.host import Host
from causal_sae.execution.metrics import Context, Metric, prepare_metric
from causal_sae.execution.model import LanguageModel, load_model
from causal_sae.execution.sequences import Prompt, Tokenizer, TokenSequence
from causal_sae.saes.load import open_sae
from causal_sae.saes.sae import SAE
from causal_sae.spec.design import Eligibility
from causal_sae.spec.trial import Trial

#: Tokens in one batch, all rows together: a few hundred megabytes for a small model in float32.
MAX_TOKENS = 2048


@dataclass(frozen=True)
class Laboratory:
    """Everything that a trial needs to run, checked to fit together."""

    trial: Trial
    base: Path
    """The folder of the trial file: relative paths start there."""
    model: LanguageModel
    sae: SAE
    host: Host
    tokenizer: Tokenizer
    max_tokens: int
    """Tokens in one batch, all rows together."""

    @property
    def hook(self) -> HookPoint:
        """Where the SAE reads."""
        return self.host.hook

    def metrics(self, table: pd.DataFrame) -> dict[str, Metric]:
        """The declared outcomes, set up for these prompts."""
        if self.trial.population is None:
            raise SpecError("must declare the population", Place(field="population"))
        prepared = {}
        for number, outcome in enumerate(self.trial.outcomes):
            context = Context(
                table,
                self.trial.population,
                self.tokenizer,
                self.sae,
                self.hook,
                self.base,
                f"outcomes[{number}]",
            )
            prepared[outcome.name] = prepare_metric(outcome, context)
        return prepared

    def sequences(
        self, prompts: Sequence[Prompt], metrics: Mapping[str, Metric]
    ) -> dict[tuple[str, tuple[int, ...]], TokenSequence]:
        """For each unit its prompt alone, and with every continuation that an outcome scores."""
        made = {}
        for prompt in prompts:
            for tail in {metric.continuation(prompt.unit_id) for metric in metrics.values()}:
                whole = TokenSequence(prompt, tail, self.trial.positions == "all")
                if len(whole.tokens) > self.model.context:
                    raise DataError(
                        f"the prompt and continuation of unit {prompt.unit_id!r} have "
                        f"{len(whole.tokens)} tokens, and {self.model.name} takes "
                        f"{self.model.context}; shorten them",
                        Place(field="population.prompts"),
                    )
                made[prompt.unit_id, tail] = whole
        return made

    def bench(self, metrics: Mapping[str, Metric]) -> Bench:
        """What a batch runs on."""
        hooks = {m.watch.module: m.watch for m in metrics.values() if m.watch is not None}
        return Bench(
            host=self.host,
            sae=self.sae,
            directions=self.sae.direction(range(self.sae.config.d_sae)),
            seed=self.trial.seed,
            skip_sinks=self.trial.attention_sinks == "skip",
            watch=tuple(sorted(hooks.values(), key=lambda hook: hook.layer)),
        )

    def choose_route(self, prompts: Sequence[Prompt]) -> tuple[Laboratory, Gate]:
        """The fastest route that leaves the model bit-identical, tested on two prompts."""
        import torch  # noqa: PLC0415 - only here

        shortest = sorted(prompts, key=lambda p: (len(p.tokens), p.unit_id))
        length = len(shortest[0].tokens)
        rows = [p.tokens for p in shortest if len(p.tokens) == length][:2]
        host, gate = choose_route(self.host, torch.tensor(rows, device=self.model.device), 1)
        return replace(self, host=host), gate


def open_laboratory(trial: Trial, base: Path, console: Console | None = None) -> Laboratory:
    """Load a trial's model and SAE and check that they fit.

    Raises
    ------
    SpecError
        When the trial lacks a section that running needs, or asks for what is not executed yet.
    ModelError, SAEError
        When one of them cannot be read, or the SAE's width is not the activation's.
    """
    for section in ("model", "sae", "population"):
        if getattr(trial, section) is None:
            raise SpecError(f"a trial that runs must declare its {section}", Place(field=section))
    if trial.model is None or trial.sae is None or trial.population is None:
        raise SpecError("a trial that runs must declare its model, SAE and population")
    if trial.positions == "generated":
        raise SpecError(
            "generated text is not executed yet; write `positions: all`, `prompt` or `last`",
            Place(field="positions"),
        )
    if trial.population.enrich is not None:
        raise SpecError(
            "enrichment is not executed yet; list the prompts, or use `eligibility: {active: ...}`",
            Place(field="population.enrich"),
        )
    sae = open_sae(trial.sae, base)
    model = load_model(trial.model, base, console)
    return assemble(trial, base, model, sae)


def assemble(trial: Trial, base: Path, model: LanguageModel, sae: SAE) -> Laboratory:
    """A laboratory from a model and an SAE that are already in memory."""
    if trial.population is None:
        raise SpecError("a trial that runs must declare its population", Place(field="population"))
    sae.check_editable()
    name = str(sae.config.hook)
    hook = resolve(name, model.family)
    layers = int(model.text_config.num_hidden_layers)
    if hook.layer >= layers:
        raise SAEError(
            f"must name a layer of {model.name}, which has {layers} (0 to {layers - 1}), "
            f"got {name!r}",
            Place(field="sae.hook"),
        )
    if hook.site != "z" and sae.config.d_in != model.d_model:
        raise SAEError(
            f"this SAE reads activations of width {sae.config.d_in}, and those of {model.name} at "
            f"{name} have width {model.d_model}; give the SAE that was trained on this model",
            Place(field="sae.source"),
        )
    ready = sae.to(device=model.device)
    tokenizer = Tokenizer(model, trial.population, trial.positions, sae.config.prepend_bos)
    return Laboratory(trial, base, model, ready, Host(model, hook), tokenizer, MAX_TOKENS)


def exclusions(
    prompts: Sequence[Prompt], rules: Eligibility, active: pd.DataFrame | None
) -> dict[str, str]:
    """For each prompt that may not enter: why. Everything here precedes assignment."""
    why: dict[str, str] = {}
    for prompt in prompts:
        length = len(prompt.tokens)
        if rules.min_tokens is not None and length < rules.min_tokens:
            why[prompt.unit_id] = f"fewer than {rules.min_tokens} tokens"
        elif rules.max_tokens is not None and length > rules.max_tokens:
            why[prompt.unit_id] = f"more than {rules.max_tokens} tokens"
        elif rules.active is not None and active is not None:
            wanted = rules.active
            if active.at[prompt.unit_id, wanted.feature] < wanted.min_tokens:
                why[prompt.unit_id] = f"feature {wanted.feature} not active"
    return why
