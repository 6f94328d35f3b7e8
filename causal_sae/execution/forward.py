"""One batch through the model: read, edit, resume, and say what was delivered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from causal_sae.errors import ModelError, Place
from causal_sae.execution.batches import Batch, Job, Limit, batches
from causal_sae.execution.bench import Bench, Delivery, Edited, edit_rows, wide
from causal_sae.execution.edits import attention_sinks
from causal_sae.execution.host import Memory, site_of
from causal_sae.execution.metrics.base import Reading, tokens_read
from causal_sae.execution.treatments import Treatment


@dataclass(frozen=True)
class Pass:
    """A batch's rows: for each job the untouched model first, then its treatments."""

    jobs: tuple[Job, ...]
    """The job of each row."""
    treatments: tuple[Treatment | None, ...]
    """The treatment of each row; None for the untouched model."""
    untouched: Tensor
    """``[R]``: the row of the same job's untouched model."""
    active: Tensor
    """``[R, d_sae]``: at how many editable positions each feature fires before any edit."""
    delivery: Delivery
    in_prompt: tuple[Tensor, Delivery]
    """:attr:`active` and :attr:`delivery` over the prompt alone, without its continuation."""
    reading: Reading
    idle: tuple[tuple[Treatment, ...], ...]
    """For each row the treatments that were not run because they cannot change it: those of an
    untouched row's job whose features do not fire where they would be edited."""

    def stands_for(self, row: int) -> list[Treatment]:
        """The treatments whose outcome a row is: its own, or all that leave the model untouched."""
        own = self.treatments[row]
        if own is not None:
            return [own]
        nothing = [t for t in self.jobs[row].treatments if t.changes_nothing]
        return [*nothing, *self.idle[row]]


def run_batch(bench: Bench, batch: Batch) -> Pass:
    """Run every row of a batch.

    Raises
    ------
    ModelError
        When the model gives logits that are not finite: names the unit and the arm.
    """
    ids = torch.tensor([job.sequence.tokens for job in batch], device=bench.directions.device)
    start = first_edited(batch) if bench.late and not bench.watch else 0
    below = bench.host.memory() if start else None
    halfway = bench.host.read(ids, below)
    features = bench.sae.encode(halfway.activation)
    editable = editable_positions(bench, batch, halfway.written)
    rows, idle = _rows(bench, batch, features, editable)
    source = torch.tensor([number for number, _ in rows], device=ids.device)
    treatments = tuple(treatment for _, treatment in rows)
    units = tuple(batch[number].sequence.unit_id for number, _ in rows)
    done = edit_rows(bench, halfway, features, source, editable[source], treatments, units)
    edited = done.activation
    prompt = len(batch[0].sequence.prompt.tokens)
    keep = ids.shape[1] - prompt + 1
    tokens = None if bench.readers is None else tokens_read(bench.readers, units)
    few = None if tokens is None else torch.tensor(tokens, device=ids.device)
    if below is not None and shares(below, ids.shape, len(rows), start):
        finish = bench.host.resume_late(halfway, edited, keep, below, source, start, tokens=few)
    else:
        finish = bench.host.resume(halfway.rows(source), edited, keep, bench.watch, tokens=few)
    _finite(bench, finish.logits, units, treatments)
    logits = finish.logits.to(wide(finish.logits))
    logprobs = logits.log_softmax(dim=-1) if tokens is None else logits
    first = torch.tensor([treatment is None for treatment in treatments], device=ids.device)
    untouched = first.nonzero()[:, 0][source]
    jobs = tuple(batch[number] for number, _ in rows)
    reading = Reading(
        [job.sequence for job in jobs],
        logprobs,
        untouched,
        {site_of(bench.host.written): edited, **finish.watched},
        tokens,
    )
    whole = _done(features, editable, source, done)
    in_prompt = whole
    if keep > 1:
        inside = editable.clone()
        inside[:, prompt:] = False
        in_prompt = _done(features, inside, source, done)
    spared = tuple(() if treatment else idle[number] for number, treatment in rows)
    return Pass(jobs, treatments, untouched, *whole, in_prompt, reading, spared)


def _done(
    features: Tensor, editable: Tensor, source: Tensor, done: Edited
) -> tuple[Tensor, Delivery]:
    """For each row at how many of the positions each feature fires, and what was done there."""
    active = ((features > 0) & editable[..., None]).sum(dim=1)
    return active[source], done.delivered(editable[source])


def _rows(
    bench: Bench, batch: Batch, features: Tensor, editable: Tensor
) -> tuple[list[tuple[int, Treatment | None]], list[tuple[Treatment, ...]]]:
    """The rows to run, as job and treatment, and for each job the treatments that need none."""
    rows: list[tuple[int, Treatment | None]] = []
    idle: list[tuple[Treatment, ...]] = []
    # Not `> 0`: an activation that is no number must not pass for one that is 0.
    fires = ((features != 0) & editable[..., None]).any(dim=1).cpu() if bench.sparse else None
    for number, job in enumerate(batch):
        edits = [t for t in job.treatments if not t.changes_nothing]
        moves = [fires is None or exercised(t, fires[number]) for t in edits]
        idle.append(tuple(t for t, moved in zip(edits, moves, strict=True) if not moved))
        run = (t for t, moved in zip(edits, moves, strict=True) if moved)
        rows += [(number, None), *((number, t) for t in run)]
    return rows, idle


def first_edited(batch: Batch) -> int:
    """The first position at which rows of a batch may differ, or are read: their start."""
    declared = np.stack([job.sequence.editable for job in batch]).any(axis=0)
    last = len(batch[0].sequence.prompt.tokens) - 1
    return min(int(declared.argmax()), last) if declared.any() else last


#: By how much fewer tokens a batch must run for the sharing to be worth its own pass.
WORTH = 0.8


def shares(below: Memory, shape: torch.Size, rows: int, start: int) -> bool:
    """Whether to share what stands before ``start``: it is whole, and it saves enough.

    Parameters
    ----------
    below:
        The memory of the pass. A sliding window keeps only its end.
    shape:
        ``[P, S]``: prompts and their length.
    rows:
        Rows in all, ``R``.
    start:
        The first position that may differ.
    """
    prompts, length = shape
    forgets = any(
        getattr(kept, "is_sliding", False) and kept.sliding_window <= length
        for kept in below.layers
    )
    return not forgets and prompts * length + rows * (length - start) < WORTH * rows * length


def firing(bench: Bench, jobs: Sequence[Job], limit: Limit) -> dict[int, Tensor]:
    """For each job, by its ``id``, whether each feature fires at an editable position.

    Shape ``[d_sae]``; runs the layers below the hook only.
    """
    found: dict[int, Tensor] = {}
    for batch in batches(jobs, limit):
        ids = torch.tensor([j.sequence.tokens for j in batch], device=bench.directions.device)
        halfway = bench.host.read(ids)
        editable = editable_positions(bench, batch, halfway.written)
        fires = ((bench.sae.encode(halfway.activation) > 0) & editable[..., None]).any(dim=1)
        found |= {id(job): row for job, row in zip(batch, fires, strict=True)}
    return found


def exercised(treatment: Treatment, fires: Tensor) -> bool:
    """Whether a treatment changes anything where these features fire, ``[d_sae]`` booleans."""
    features = (treatment.push_like or treatment).features
    if treatment.changes_nothing or treatment.moves_inactive:
        return True
    return bool(fires[list(features)].any())


def editable_positions(bench: Bench, batch: Batch, activation: Tensor) -> Tensor:
    """``[P, S]``: the declared positions, attention sinks left out unless the trial asks."""
    declared = torch.stack([torch.from_numpy(job.sequence.editable) for job in batch])
    declared = declared.to(activation.device)
    if not bench.skip_sinks:
        return declared
    return declared & ~attention_sinks(activation, len(batch[0].sequence.prompt.tokens))


def _finite(
    bench: Bench, logits: Tensor, units: tuple[str, ...], treatments: tuple[Treatment | None, ...]
) -> None:
    bad = (~torch.isfinite(logits)).flatten(1).any(dim=1).nonzero()[:, 0].tolist()
    if bad:
        treatment = treatments[bad[0]]
        if treatment is None:
            raise not_finite(units[bad[0]])
        raise ModelError(
            f"arm {treatment.arm!r} makes the model give logits that are not finite on unit "
            f"{units[bad[0]]!r}; lower its dose, or write `dtype: float32`",
            Place(field=f"arms[{bench.arms.index(treatment.arm)}].intervention"),
        )


def not_finite(unit: str) -> ModelError:
    """What to say of a model that gives no numbers although nobody touched it."""
    return ModelError(
        f"the untouched model gives logits that are not finite on unit {unit!r}; "
        "check its weights, or write `dtype: float32`",
        Place(field="model"),
    )
