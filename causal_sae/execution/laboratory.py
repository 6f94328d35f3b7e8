"""A trial's model, SAE and prompts, in memory and ready: what the executor works with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd
import torch
from rich.console import Console
from torch import Tensor

from causal_sae.errors import DataError, Place, SAEError, SpecError
from causal_sae.execution.batches import Limit
from causal_sae.execution.bench import Bench
from causal_sae.execution.forward import not_finite
from causal_sae.execution.gates import Gate, check_late, check_readout, choose_route
from causal_sae.execution.hook_points import HookPoint, resolve
from causal_sae.execution.host import Host, site_of
from causal_sae.execution.memory import budget_of, limit_of
from causal_sae.execution.metrics import Context, Metric, prepare_metric
from causal_sae.execution.metrics.base import tokens_read
from causal_sae.execution.model import LanguageModel, load_model
from causal_sae.execution.sequences import Prompt, Tokenizer, TokenSequence
from causal_sae.execution.text_metrics import TextMetric, prepare_text_metric
from causal_sae.saes.load import open_sae
from causal_sae.saes.sae import SAE
from causal_sae.spec.design import Eligibility
from causal_sae.spec.trial import Trial

#: Tokens in one batch, all rows together, whatever fits: beyond this a batch gains no speed.
MAX_TOKENS = 1 << 14


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
    late: bool = False
    """Whether arms share what stands before the first edited token."""
    narrow: bool = False
    """Whether logits are computed of those tokens alone that outcomes read."""

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
        """For each unit its prompt with every continuation that an outcome scores, or alone.

        Outcomes of the token after the prompt are read from the first of them.
        """
        made: dict[tuple[str, tuple[int, ...]], TokenSequence] = {}
        edited = self.trial.positions in ("all", "generated")
        for prompt in prompts:
            asked = {m.continuation(prompt.unit_id) for m in metrics.values()} or {()}
            tails = sorted(asked - {()}) or [()]
            for tail in tails:
                next_too = () in asked and tail == tails[0]
                whole = TokenSequence(prompt, tail, edited, next_too)
                if len(whole.tokens) > self.model.context:
                    raise DataError(
                        f"the prompt and continuation of unit {prompt.unit_id!r} have "
                        f"{len(whole.tokens)} tokens, and {self.model.name} takes "
                        f"{self.model.context}; shorten them",
                        Place(field="population.prompts"),
                    )
                made[prompt.unit_id, tail] = whole
        return made

    def sequences_apart(
        self, prompts: Sequence[Prompt], metrics: Mapping[str, Metric]
    ) -> dict[tuple[str, tuple[int, ...]], TokenSequence]:
        """As :meth:`sequences`, with the prompt alone for outcomes of the next token."""
        made: dict[tuple[str, tuple[int, ...]], TokenSequence] = {}
        for (unit, tail), whole in self.sequences(prompts, metrics).items():
            if tail and whole.next_too:
                made[unit, ()] = TokenSequence(whole.prompt)
            made[unit, tail] = replace(whole, next_too=not tail)
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
            late=self.late,
            watch=tuple(sorted(hooks.values(), key=_forward_order)),
            arms=tuple(arm.name for arm in self.trial.arms),
            readers=tuple(metrics.values()) if self.narrow else None,
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
        pair, ids = self.pair(prompts)
        for prompt, logits in zip(pair, self.host.plain(ids, 1), strict=True):
            if not bool(torch.isfinite(logits).all()):
                raise not_finite(prompt.unit_id)
        host, gate = choose_route(self.host, ids, 1)
        at = host.read(ids)
        check_width(self.sae, at.activation.shape[-1], self.model.name)
        check_written(self.sae, at.written.shape[-1], self.model.name)
        return replace(self, host=host), gate

    def choose_start(self, prompts: Sequence[Prompt]) -> tuple[Laboratory, list[Gate]]:
        """Whether arms may share what stands before the first edited token, tested on two prompts.

        There is nothing to share, and no gate, where edits begin at the second token.
        """
        if self.trial.positions in ("all", "prompt"):
            return self, []
        gate = check_late(self.host, self.pair(prompts)[1])
        return replace(self, late=gate.status == "pass"), [gate]

    def choose_readout(
        self, prompts: Sequence[Prompt], metrics: Mapping[str, Metric | TextMetric]
    ) -> tuple[Laboratory, list[Gate]]:
        """Whether the outcomes' own tokens are enough of the unembedding, tested on two prompts.

        There is no gate where an outcome needs the probabilities of the whole vocabulary.
        """
        pair, ids = self.pair(prompts)
        read = [metric for metric in metrics.values() if isinstance(metric, Metric)]
        units = [prompt.unit_id for prompt in pair]
        tokens = tokens_read(read, units) if read else None
        if tokens is None:
            return self, []
        gate = check_readout(self.host, ids, torch.tensor(tokens, device=ids.device))
        return replace(self, narrow=gate.status == "pass"), [gate]

    def pair(self, prompts: Sequence[Prompt]) -> tuple[list[Prompt], Tensor]:
        """Two prompts of one length, the middle one, and their token ids."""
        by_length = sorted(prompts, key=lambda p: (len(p.tokens), p.unit_id))
        middle = by_length[len(by_length) // 2]
        pair = [p for p in by_length if len(p.tokens) == len(middle.tokens)][:2]
        return pair, torch.tensor([p.tokens for p in pair], device=self.model.device)


def open_laboratory(
    trial: Trial, base: Path, console: Console | None = None, memory: float | None = None
) -> Laboratory:
    """Load a trial's model and SAE and check that they fit; ``memory`` is a batch's, in GiB.

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
    return assemble(trial, base, model, sae, memory)


def assemble(
    trial: Trial, base: Path, model: LanguageModel, sae: SAE, memory: float | None = None
) -> Laboratory:
    """A laboratory from a model and an SAE that are already loaded.

    Parameters
    ----------
    trial:
        The trial.
    base:
        The folder that relative paths start from.
    model, sae:
        What it runs on.
    memory:
        What one batch may take, in GiB; None leaves it to the device.
    """
    if trial.population is None:
        raise SpecError("a trial that runs must declare its population", Place(field="population"))
    sae.check_editable()
    name = str(sae.config.hook)
    host = open_host(model, name, _written(trial, model, sae, _hook(model, name)))
    if host.hook.site not in ("z", "module"):
        check_width(sae, model.d_model, model.name)
    ready = _centred(trial, model, sae).to(device=model.device)
    tokenizer = Tokenizer(model, trial.population, trial.positions, sae.config.prepend_bos)
    held = limit_of(model, ready, budget_of(model, memory))
    limit = Limit(min(held.tokens, MAX_TOKENS), held.scores)
    return Laboratory(trial, base, model, ready, host, tokenizer, limit)


def _centred(trial: Trial, model: LanguageModel, sae: SAE) -> SAE:
    """The SAE as it was trained: only LayerNorm leaves a model the same when it is centred.

    TransformerLens does not centre models with RMSNorm whatever it is asked, so neither was an
    SAE of one that says so trained on centred activations.
    """
    scales_only = any("RMSNorm" in type(part).__name__ for part in model.network.modules())
    if not (sae.config.centre_activations and scales_only):
        return sae
    if trial.sae is not None and trial.sae.centre_activations:
        raise SAEError(
            f"must be false for {model.name}: its norms do not remove the mean, so no SAE of it "
            "was trained on centred activations; remove the line",
            Place(field="sae.centre_activations"),
        )
    return replace(sae, config=replace(sae.config, centre_activations=False))


def check_width(sae: SAE, width: int, model: str) -> None:
    """Pass when the SAE is as wide as the activation at its hook."""
    if sae.config.d_in != width:
        raise SAEError(
            f"this SAE reads activations of width {sae.config.d_in}, and those of {model} at "
            f"{sae.config.hook} have width {width}; give the SAE that was trained on this model",
            Place(field="sae.source"),
        )


def check_written(sae: SAE, width: int, model: str) -> None:
    """Pass when a transcoder writes as wide as the activation that it predicts."""
    if sae.config.d_out != width:
        raise SAEError(
            f"this transcoder writes activations of width {sae.config.d_out}, and those of {model} "
            f"at {sae.config.hook_out} have width {width}; name the place that it predicts",
            Place(field="sae.hook_out"),
        )


def _written(trial: Trial, model: LanguageModel, sae: SAE, hook: HookPoint) -> HookPoint | None:
    """Where a transcoder writes; None for SAEs that write where they read."""
    if not sae.config.transcoder:
        return None
    if any(getattr(arm.intervention, "features", None) == "all" for arm in trial.arms):
        raise SAEError(
            "must not be a transcoder in a trial with `features: all`: a screen edits where the "
            "SAE reads; list the transcoder's features",
            Place(field="sae.source"),
        )
    written = resolve(str(sae.config.hook_out), model.family)
    if written.layer != hook.layer:
        raise SAEError(
            f"must be a place in the block that the transcoder reads ({hook.layer}), got "
            f"{sae.config.hook_out!r}; transcoders across blocks are not run",
            Place(field="sae.hook_out"),
        )
    return written


def _hook(model: LanguageModel, name: str) -> HookPoint:
    hook = resolve(name, model.family)
    layers = int(model.text_config.num_hidden_layers)
    if hook.layer >= layers:
        raise SAEError(
            f"must name a layer of {model.name}, which has {layers} (0 to {layers - 1}), "
            f"got {name!r}",
            Place(field="sae.hook"),
        )
    return hook


def open_host(model: LanguageModel, name: str, written: HookPoint | None = None) -> Host:
    """The model, ready to be stopped at the hook of that name.

    Parameters
    ----------
    model:
        The model.
    name:
        Where the SAE reads.
    written:
        Where edits are written; default: where the SAE reads.

    Raises
    ------
    SAEError
        The model has no such layer or module.
    """
    hook = _hook(model, name)
    try:
        return Host(model, hook, written=written)
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
