"""Text under an intervention: every arm of a prompt continues it, side by side in one batch.

The layers below the hook read a prompt once; each arm continues from there with its own keys and
values. A row is edited at the prompt's editable positions, and at every new token where the trial
edits generated text.

Sampling draws one number in [0, 1) a token from the trial's seed, the unit and the sample, and
takes the token at that place of the cumulative distribution. All arms of a unit are given the same
numbers: identical arms write identical texts, and nothing depends on the batch a row runs in.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from itertools import groupby

import torch
from torch import Tensor

from causal_sae.execution.batches import Limit
from causal_sae.execution.bench import Bench, Delivery, edit_rows, wide
from causal_sae.execution.edits import sink_threshold
from causal_sae.execution.host import Halfway
from causal_sae.execution.sequences import Prompt
from causal_sae.execution.treatments import Treatment
from causal_sae.randomness import generator
from causal_sae.spec.outcomes import Generate


@dataclass(frozen=True)
class Writing:
    """One prompt, and how it is to be continued."""

    prompt: Prompt
    treatments: tuple[Treatment, ...]
    """One row each, and one for each sample of it."""
    settings: Generate
    edit_generated: bool
    """Whether the tokens that are generated are edited too."""
    untouched: bool = True
    """Whether the untouched model continues it too."""

    @property
    def arms(self) -> tuple[Treatment | None, ...]:
        """What continues the prompt; None is the untouched model."""
        edited: tuple[Treatment | None, ...] = tuple(
            t for t in self.treatments if not t.changes_nothing
        )
        unchanged = self.untouched or len(edited) < len(self.treatments)
        return (None, *edited) if unchanged else edited

    @property
    def rows(self) -> int:
        """Rows in the batch."""
        return len(self.arms) * self.settings.samples

    @property
    def tokens(self) -> int:
        """Tokens over all rows, at most."""
        return self.rows * (len(self.prompt.tokens) + self.settings.max_new_tokens)


@dataclass(frozen=True)
class Text:
    """What one row wrote."""

    unit_id: str
    treatment: Treatment | None
    """None: the untouched model."""
    sample: int
    prompt: tuple[int, ...]
    """The tokens before it."""
    tokens: tuple[int, ...]
    """The tokens written, the end-of-text token left out."""
    text: str
    active: Tensor
    """``[d_sae]``: at how many positions of the prompt each feature fires before any edit."""
    delivery: dict[str, float]
    """What the intervention did, by the names of
    :class:`~causal_sae.execution.forward.Delivery`."""


def writing_batches(jobs: Iterable[Writing], limit: Limit) -> Iterator[tuple[Writing, ...]]:
    """Group jobs whose prompts have one length and whose settings agree, within ``limit``.

    All arms and samples of a prompt stay together; a job beyond the limit runs alone.
    """
    ordered = sorted(jobs, key=lambda job: (_kind(job), job.prompt.unit_id))
    for _, same in groupby(ordered, key=_kind):
        batch: list[Writing] = []
        tokens = 0
        for job in same:
            if batch and tokens + job.tokens > limit.tokens:
                yield tuple(batch)
                batch, tokens = [], 0
            batch.append(job)
            tokens += job.tokens
        yield tuple(batch)


def _kind(job: Writing) -> tuple[int, int, float, int, bool]:
    settings = job.settings
    shape = (len(job.prompt.tokens), settings.max_new_tokens)
    return *shape, settings.temperature, settings.samples, job.edit_generated


@dataclass(frozen=True)
class Row:
    """Which job, arm and sample a row is of."""

    job: int
    treatment: Treatment | None
    sample: int


def write(bench: Bench, jobs: Sequence[Writing], stop: frozenset[int]) -> list[Text]:
    """Continue every prompt of a batch under each of its arms.

    Parameters
    ----------
    bench:
        What batches run on.
    jobs:
        Prompts of one length with the same settings.
    stop:
        The tokens that end a text.

    Returns
    -------
    One text for each job, arm and sample, in that order.
    """
    run = Writer(bench, jobs)
    rows = run.rows
    logits = run.open()
    chosen: list[Tensor] = []
    alive = torch.ones(len(rows), dtype=torch.bool, device=logits.device)
    ends = torch.tensor(sorted(stop), device=logits.device)
    for step in range(jobs[0].settings.max_new_tokens):
        chosen.append(run.choose(logits, step))
        alive = alive & ~torch.isin(chosen[-1], ends)
        last = step + 1 == jobs[0].settings.max_new_tokens
        if last or not bool(alive.any()):
            break
        logits = run.advance(chosen[-1], step, alive)
    return run.texts(torch.stack(chosen, dim=1), stop)


class Writer:
    """A batch while it is being written: :meth:`open`, then :meth:`choose` and :meth:`advance`.

    Parameters
    ----------
    bench:
        What batches run on.
    jobs:
        Prompts of one length with the same settings.
    watch:
        Features whose activation before any edit is kept in :attr:`seen`.
    """

    def __init__(self, bench: Bench, jobs: Sequence[Writing], watch: Sequence[int] = ()) -> None:
        rows = [
            Row(number, treatment, sample)
            for number, job in enumerate(jobs)
            for treatment in job.arms
            for sample in range(job.settings.samples)
        ]
        self.bench, self.jobs, self.rows = bench, jobs, rows
        self.watch = list(watch)
        self.seen: list[Tensor] = []
        """For each token read after the prompt: ``[R, len(watch)]``, in activation units."""
        self.treatments = tuple(row.treatment for row in rows)
        self.units = tuple(jobs[row.job].prompt.unit_id for row in rows)
        self.device = bench.directions.device
        self.source = torch.tensor([row.job for row in rows], device=self.device)
        self.length = len(jobs[0].prompt.tokens)
        self.noise = torch.tensor(
            [
                _uniform(bench.seed, unit, row.sample, jobs[0].settings.max_new_tokens)
                for unit, row in zip(self.units, rows, strict=True)
            ],
            dtype=torch.float64,
        )

    def open(self) -> Tensor:
        """Read the prompts, edit them, and give the logits after their last token."""
        bench, jobs = self.bench, self.jobs
        ids = torch.tensor([job.prompt.tokens for job in jobs], device=self.device)
        below = bench.host.memory()
        halfway = bench.host.read(ids, below)
        features = bench.sae.encode(halfway.activation)
        self.limit = sink_threshold(halfway.written) if bench.skip_sinks else None
        sinks = self._sinks(halfway.written, None)
        declared = torch.stack([torch.from_numpy(job.prompt.editable) for job in jobs])
        editable = declared.to(self.device) & ~sinks
        readable = torch.ones_like(editable)
        readable[:, 0] = False
        looked = editable if bool(declared.any()) else readable & ~sinks
        self.active = ((features > 0) & looked[..., None]).sum(dim=1)
        done = edit_rows(
            bench,
            halfway,
            features,
            self.source,
            editable[self.source],
            self.treatments,
            self.units,
        )
        self.delivery = done.delivered(editable[self.source])
        rows = halfway.rows(self.source)
        opening = bench.host.prefill(rows, done.activation, below, self.source)
        self.memory = opening.memory
        return opening.logits

    def advance(self, chosen: Tensor, step: int, alive: Tensor) -> Tensor:
        """Append the tokens chosen, edited where the trial says so; the logits after them."""
        place = self.length + step

        def change(activation: Tensor, written: Tensor) -> Tensor:
            if self.watch:
                read = self.bench.sae.encode_features(activation[:, 0], self.watch)
                self.seen.append(read)
            if not self.jobs[0].edit_generated:
                return written
            editable = alive[:, None] & ~self._sinks(written, self.source)
            done = edit_rows(
                self.bench,
                Halfway(chosen[:, None], activation, written, written),
                self.bench.sae.encode(activation),
                torch.arange(len(self.rows), device=self.device),
                editable,
                self.treatments,
                self.units,
                place,
            )
            self.delivery = _together(self.delivery, done.delivered(editable))
            return done.activation

        return self.bench.host.advance(chosen, place, self.memory, change)

    def choose(self, logits: Tensor, step: int) -> Tensor:
        """``[R]``: the likeliest token, or the one that the row's number of this step points at."""
        temperature = self.jobs[0].settings.temperature
        if temperature == 0:
            return logits.argmax(dim=-1)
        share = (logits.to(wide(logits)) / temperature).softmax(dim=-1).cumsum(dim=-1)
        target = self.noise[:, step].to(share)[:, None] * share[:, -1:]
        return torch.searchsorted(share, target, right=True)[:, 0].clamp(max=share.shape[1] - 1)

    def texts(self, chosen: Tensor, stop: frozenset[int]) -> list[Text]:
        """What each row wrote, up to its first end-of-text token."""
        tokenizer = self.bench.host.model.tokenizer
        texts = []
        for number, (row, tokens) in enumerate(zip(self.rows, chosen.tolist(), strict=True)):
            end = next((i for i, token in enumerate(tokens) if token in stop), len(tokens))
            kept = tuple(tokens[:end])
            delivery = {f.name: float(getattr(self.delivery, f.name)[number]) for f in _DELIVERED}
            prompt = self.jobs[row.job].prompt
            text = str(tokenizer.decode(kept, skip_special_tokens=False))
            unit, active = prompt.unit_id, self.active[row.job]
            texts.append(
                Text(unit, row.treatment, row.sample, prompt.tokens, kept, text, active, delivery)
            )
        return texts

    def _sinks(self, activation: Tensor, source: Tensor | None) -> Tensor:
        """Positions whose norm is far beyond the prompt's median."""
        norm: Tensor = activation.norm(dim=-1)
        if self.limit is None:
            return torch.zeros_like(norm, dtype=torch.bool)
        return norm > (self.limit if source is None else self.limit[source])


_DELIVERED = fields(Delivery)


def _together(one: Delivery, other: Delivery) -> Delivery:
    """What was delivered at the positions of both: means weighted by their numbers."""
    count = one.positions + other.positions

    def mean(name: str) -> Tensor:
        sums: Tensor = getattr(one, name) * one.positions + getattr(other, name) * other.positions
        return sums / count.clamp(min=1)

    means = {f.name: mean(f.name) for f in _DELIVERED if f.name not in ("positions", "received")}
    return Delivery(positions=count, received=torch.maximum(one.received, other.received), **means)


def _uniform(seed: int, unit: str, sample: int, length: int) -> list[float]:
    """``length`` numbers in [0, 1); a longer text begins like a shorter one."""
    drawn: list[float] = generator(seed, "sample", unit, str(sample)).random(length).tolist()
    return drawn


def end_tokens(model_config: object, tokenizer: object) -> frozenset[int]:
    """The tokens that end a text, as the model's generation settings and its tokenizer say.

    Parameters
    ----------
    model_config:
        transformers' ``generation_config`` of the model.
    tokenizer:
        Its tokenizer.
    """
    declared = getattr(model_config, "eos_token_id", None)
    known = declared if isinstance(declared, list | tuple) else [declared]
    own = getattr(tokenizer, "eos_token_id", None)
    return frozenset(int(token) for token in (*known, own) if token is not None)
