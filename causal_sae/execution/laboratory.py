"""A trial's model, SAE and prompts, in memory and ready: what the executor works with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd
import torch
from rich.console import Console

from causal_sae.errors import DataError, Place, SAEError, SpecError
from causal_sae.execution.batches import Limit
from causal_sae.execution.forward import Bench, not_finite
from causal_sae.execution.gates import Gate, choose_route
from causal_sae.execution.hook_points import HookPoint, resolve
from causal_sae.execution.host import Host, site_of
from causal_sae.execution.metrics import Context, Metric, prepare_metric
from causal_sae.execution.model import LanguageModel, load_model
from causal_sae.execution.sequences import Prompt, Tokenizer, TokenSequence
from causal_sae.execution.text_metrics import TextMetric, prepare_text_metric
from causal_sae.saes.load import open_sae
from causal_sae.saes.sae import SAE
from causal_sae.spec.design import Eligibility
from causal_sae.spec.trial import Trial

#: Tokens in one batch, all rows together: a few hundred megabytes for a small model in float32.
MAX_TOKENS = 2048
#: Log-probabilities in one batch: a quarter of a gigabyte in float64.
MAX_SCORES = 1 << 25


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
    limit: Limit
    """What one batch may hold."""

    @property
    def hook(self) -> HookPoint:
        """Where the SAE reads."""
        return self.host.hook

    def metrics(self, table: pd.DataFrame) -> dict[str, Metric | TextMetric]:
        """The declared outcomes, set up for these prompts."""
        if self.trial.population is None:
            raise SpecError("must declare the population", Place(field="population"))
        prepared: dict[str, Metric | TextMetric] = {}
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
            generated = getattr(outcome, "generate", None) is not None
            prepare = prepare_text_metric if generated else prepare_metric
            prepared[outcome.name] = prepare(outcome, context)
        return prepared

    def sequences(
        self, prompts: Sequence[Prompt], metrics: Mapping[str, Metric]
    ) -> dict[tuple[str, tuple[int, ...]], TokenSequence]:
        """For each unit its prompt alone, and with every continuation that an outcome scores."""
        made = {}
        for prompt in prompts:
            tails = {m.continuation(prompt.unit_id) for m in metrics.values()} or {()}
            for tail in sorted(tails):
                whole = TokenSequence(prompt, tail, self.trial.positions in ("all", "generated"))
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
        hooks = {site_of(m.watch): m.watch for m in metrics.values() if m.watch is not None}
        return Bench(
            host=self.host,
            sae=self.sae,
            directions=self.sae.direction(range(self.sae.config.d_sae)),
            seed=self.trial.seed,
            skip_sinks=self.trial.attention_sinks == "skip",
            watch=tuple(sorted(hooks.values(), key=_forward_order)),
            arms=tuple(arm.name for arm in self.trial.arms),
        )

    def choose_route(self, prompts: Sequence[Prompt]) -> tuple[Laboratory, Gate]:
        """The fastest route that leaves the model bit-identical, tested on two prompts.

        Raises
        ------
        ModelError
            When the untouched model gives logits that are not finite.
        SAEError
            When the activation at the hook is not as wide as the SAE.
        """
        by_length = sorted(prompts, key=lambda p: (len(p.tokens), p.unit_id))
        middle = by_length[len(by_length) // 2]
        pair = [p for p in by_length if len(p.tokens) == len(middle.tokens)][:2]
        ids = torch.tensor([p.tokens for p in pair], device=self.model.device)
        for prompt, logits in zip(pair, self.host.plain(ids, 1), strict=True):
            if not bool(torch.isfinite(logits).all()):
                raise not_finite(prompt.unit_id)
        host, gate = choose_route(self.host, ids, 1)
        check_width(self.sae, host.read(ids).activation.shape[-1], self.model.name)
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
    sae = open_sae(trial.sae, base)
    model = load_model(trial.model, base, console)
    return assemble(trial, base, model, sae)


def assemble(trial: Trial, base: Path, model: LanguageModel, sae: SAE) -> Laboratory:
    """A laboratory from a model and an SAE that are already in memory."""
    if trial.population is None:
        raise SpecError("a trial that runs must declare its population", Place(field="population"))
    sae.check_editable()
    host = open_host(model, str(sae.config.hook))
    if host.hook.site not in ("z", "module"):
        check_width(sae, model.d_model, model.name)
    ready = sae.to(device=model.device)
    tokenizer = Tokenizer(model, trial.population, trial.positions, sae.config.prepend_bos)
    limit = Limit(MAX_TOKENS, MAX_SCORES // int(model.text_config.vocab_size))
    return Laboratory(trial, base, model, ready, host, tokenizer, limit)


def check_width(sae: SAE, width: int, model: str) -> None:
    """Pass when the SAE is as wide as the activation at its hook."""
    if sae.config.d_in != width:
        raise SAEError(
            f"this SAE reads activations of width {sae.config.d_in}, and those of {model} at "
            f"{sae.config.hook} have width {width}; give the SAE that was trained on this model",
            Place(field="sae.source"),
        )


def open_host(model: LanguageModel, name: str) -> Host:
    """The model, ready to be stopped at the hook of that name.

    Raises
    ------
    SAEError
        The model has no such layer or module.
    """
    hook = resolve(name, model.family)
    layers = int(model.text_config.num_hidden_layers)
    if hook.layer >= layers:
        raise SAEError(
            f"must name a layer of {model.name}, which has {layers} (0 to {layers - 1}), "
            f"got {name!r}",
            Place(field="sae.hook"),
        )
    try:
        return Host(model, hook)
    except (AttributeError, IndexError, TypeError):
        raise SAEError(
            f"must be a place in {model.name}, which has no module {hook.module!r}; name one such "
            "as `blocks.8.hook_resid_post`",
            Place(field="sae.hook"),
        ) from None


#: The order in which a block computes its sites.
SITES = ("resid_pre", "z", "attn_out", "resid_mid", "mlp_out", "module", "resid_post")


def _forward_order(hook: HookPoint) -> tuple[int, int]:
    return hook.layer, SITES.index(hook.site)


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
            counts = active[wanted.feature].to_dict()
            if counts[prompt.unit_id] < wanted.min_tokens:
                why[prompt.unit_id] = f"feature {wanted.feature} not active"
    return why
