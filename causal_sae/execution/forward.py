"""One batch through the model: read, edit, resume, and say what was delivered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from causal_sae.errors import ModelError, Place
from causal_sae.execution.batches import Batch, Job, Limit, batches
from causal_sae.execution.edits import FeatureEdit, attention_sinks, feature_change, push
from causal_sae.execution.hook_points import HookPoint
from causal_sae.execution.host import Halfway, Host, Memory, site_of
from causal_sae.execution.metrics.base import Reading
from causal_sae.execution.treatments import Treatment
from causal_sae.saes.sae import SAE


@dataclass(frozen=True)
class Delivery:
    """What the interventions did at the hook.

    Each is ``[R]`` float64 and averaged over the editable positions; untouched rows hold zeros.
    """

    positions: Tensor
    """How many positions were edited."""
    received: Tensor
    """1 where the activation changed at all."""
    dose: Tensor
    """The change of the edited features' activations, summed over features, in activation units."""
    norm_ratio: Tensor
    """The length of the change over the length of the activation."""
    before: Tensor
    """The edited features' activation before, averaged over features."""
    asked: Tensor
    """The activation asked for."""
    found: Tensor
    """The activation that the SAE finds when it encodes the edited residual; NaN for transcoders,
    which read elsewhere."""
    dose_found: Tensor
    """Of the change of :attr:`dose`, what the SAE finds: changes the wrong way count negative."""


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


@dataclass(frozen=True)
class Bench:
    """What a batch runs on."""

    host: Host
    sae: SAE
    directions: Tensor
    """``[d_sae, d]``: what one unit of each feature adds to the activation."""
    seed: int
    skip_sinks: bool = True
    watch: tuple[HookPoint, ...] = ()
    arms: tuple[str, ...] = ()
    """The trial's arms in order: by their place an error finds its line in the trial file."""
    late: bool = False
    """Whether rows of a prompt may share what stands before the first position that is edited."""
    sparse: bool = False
    """Whether edits that cannot change a row are left out, and the untouched row stands for them:
    their features are exactly 0 wherever they would be edited, and so is the change."""


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
    edited, delivery = edit_rows(
        bench, halfway, features, source, editable[source], treatments, units
    )
    prompt = len(batch[0].sequence.prompt.tokens)
    keep = ids.shape[1] - prompt + 1
    if below is not None and shares(below, ids.shape, len(rows), start):
        finish = bench.host.resume_late(halfway, edited, keep, below, source, start)
    else:
        finish = bench.host.resume(halfway.rows(source), edited, keep, bench.watch)
    _finite(bench, finish.logits, units, treatments)
    logprobs = finish.logits.to(wide(finish.logits)).log_softmax(dim=-1)
    first = torch.tensor([treatment is None for treatment in treatments], device=ids.device)
    untouched = first.nonzero()[:, 0][source]
    jobs = tuple(batch[number] for number, _ in rows)
    reading = Reading(
        [job.sequence for job in jobs],
        logprobs,
        untouched,
        {site_of(bench.host.written): edited, **finish.watched},
    )
    active = ((features > 0) & editable[..., None]).sum(dim=1)[source]
    spared = tuple(() if treatment else idle[number] for number, treatment in rows)
    return Pass(jobs, treatments, untouched, active, delivery, reading, spared)


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
        What was kept of the layers below the hook. A sliding window keeps only its end.
    shape:
        ``[P, S]``: prompts and their length.
    rows:
        Rows in all, ``R``.
    start:
        The first position that may differ.
    """
    prompts, length = shape
    whole = all(kept.keys.shape[-2] == length for kept in below.layers if kept.keys is not None)
    return whole and prompts * length + rows * (length - start) < WORTH * rows * length


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


def edit_rows(
    bench: Bench,
    halfway: Halfway,
    features: Tensor,
    source: Tensor,
    editable: Tensor,
    treatments: tuple[Treatment | None, ...],
    units: tuple[str, ...],
    start: int = 0,
) -> tuple[Tensor, Delivery]:
    """The edited activations ``[R, S, d]``, and what was delivered.

    Parameters
    ----------
    bench:
        The SAE, its directions, and the seed.
    halfway, features:
        What stands at the hook of ``P`` sequences, and ``[P, S, d_sae]`` as the SAE reads it.
    source:
        ``[R]``: which of the ``P`` each row is of.
    editable:
        ``[R, S]`` booleans.
    treatments, units:
        Of each row; None is the untouched model.
    start:
        The place of the first position in its sequence.
    """
    positions = editable.shape[1]
    shaping = [t.push_like if t and t.push_like else t for t in treatments]
    edits = [
        _from(t.edit(bench.seed, u, start + positions), start) if t else None
        for t, u in zip(shaping, units, strict=True)
    ]
    change = feature_change(features, source, bench.directions, edits, editable)
    clean = halfway.written[source]
    pushed = change.residual * bench.sae.token_scale(halfway.activation)[source]
    residual = pushed.to(clean.dtype)
    for row, treatment in enumerate(treatments):
        if treatment and treatment.direction is not None:
            length = pushed[row].norm(dim=-1)[None]
            direction = treatment.direction.to(length)[None]
            residual[row] = push(length, direction)[0].to(residual.dtype)
    edited = clean + residual
    splices = [bool(t and t.splice) for t in treatments]
    if any(splices):
        spliced = torch.tensor(splices, device=clean.device)
        rebuilt = bench.sae.reconstruct(halfway.activation).to(clean.dtype)[source]
        edited = torch.where((spliced[:, None] & editable)[..., None], rebuilt, edited)
    width = torch.tensor([len(t.features) if t else 0 for t in treatments], device=clean.device)
    found = _found(bench.sae, edited, treatments, change.before)
    return edited, _delivery(
        edited - clean, clean, editable, width, change.before, change.after, found
    )


def _from(edit: FeatureEdit | None, start: int) -> FeatureEdit | None:
    """The edit of the positions from ``start`` on."""
    if edit is None or edit.bias.ndim == 1:
        return edit
    return FeatureEdit(edit.features, edit.gain, edit.bias[start:])


def _found(
    sae: SAE, edited: Tensor, treatments: tuple[Treatment | None, ...], before: Tensor
) -> Tensor:
    """``[R, S, k]``: the edited features' activations as the SAE reads them after the edit.

    A transcoder reads before the place that is edited, so that it cannot tell.
    """
    found = torch.zeros_like(before)
    for row, treatment in enumerate(treatments):
        if treatment and treatment.features:
            width = len(treatment.features)
            if sae.config.transcoder:
                found[row, :, :width] = torch.nan
            else:
                found[row, :, :width] = sae.encode_features(edited[row], treatment.features)
    return found


def _delivery(
    moved: Tensor,
    clean: Tensor,
    editable: Tensor,
    width: Tensor,
    before: Tensor,
    after: Tensor,
    found: Tensor,
) -> Delivery:
    exact = wide(clean)
    count = editable.sum(dim=1).to(exact)

    def over_positions(values: Tensor) -> Tensor:
        return torch.where(editable, values.to(exact), 0.0).sum(dim=1) / count.clamp(min=1)

    def over_features(values: Tensor) -> Tensor:
        return over_positions(values.to(exact).sum(dim=2)) / width.clamp(min=1).to(exact)

    length, scale = moved.to(exact).norm(dim=-1), clean.to(exact).norm(dim=-1)
    asked, own = (after - before).to(exact), width > 0
    answered = (found - before).to(exact) * asked.sign()
    return Delivery(
        positions=count,
        received=((length > 0) & editable).any(dim=1).to(exact),
        dose=over_positions(asked.abs().sum(dim=2)) * own,
        norm_ratio=over_positions(length / scale),
        before=over_features(before),
        asked=over_features(after),
        found=over_features(found),
        dose_found=over_positions(answered.sum(dim=2)) * own,
    )


def wide(tensor: Tensor) -> torch.dtype:
    """float64, where the device has it: log-probabilities of large vocabularies need the digits."""
    return torch.float32 if tensor.device.type == "mps" else torch.float64


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
