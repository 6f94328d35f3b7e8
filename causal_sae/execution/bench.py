"""What a batch runs on, and the edits of its rows."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from causal_sae.execution.edits import FeatureEdit, feature_change, push
from causal_sae.execution.hook_points import HookPoint
from causal_sae.execution.host import Halfway, Host
from causal_sae.execution.metrics.base import Metric
from causal_sae.execution.treatments import Treatment
from causal_sae.saes.sae import SAE


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
    readers: tuple[Metric, ...] | None = None
    """The outcomes: logits of tokens that none of them reads are not computed; None: all are."""


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
class Edited:
    """A batch after its edits: ``R`` rows, ``S`` positions, ``k`` features at most in a row."""

    activation: Tensor
    """``[R, S, d]``: what stands at the hook now."""
    clean: Tensor
    """``[R, S, d]``: what stood there."""
    width: Tensor
    """``[R]``: how many features each row edits."""
    before: Tensor
    """``[R, S, k]``: the edited features' activations on the clean pass."""
    after: Tensor
    """``[R, S, k]``: the activations asked for."""
    found: Tensor
    """``[R, S, k]``: the activations as the SAE reads them after the edit."""

    def delivered(self, editable: Tensor) -> Delivery:
        """What was done over the positions ``editable``, ``[R, S]`` booleans."""
        exact = wide(self.clean)
        count, own = editable.sum(dim=1).to(exact), self.width > 0

        def over_positions(values: Tensor) -> Tensor:
            return torch.where(editable, values.to(exact), 0.0).sum(dim=1) / count.clamp(min=1)

        def over_features(values: Tensor) -> Tensor:
            return over_positions(values.to(exact).sum(dim=2)) / self.width.clamp(min=1).to(exact)

        moved = self.activation - self.clean
        length, scale = moved.to(exact).norm(dim=-1), self.clean.to(exact).norm(dim=-1)
        asked = (self.after - self.before).to(exact)
        answered = (self.found - self.before).to(exact) * asked.sign()
        return Delivery(
            positions=count,
            received=((length > 0) & editable).any(dim=1).to(exact),
            dose=over_positions(asked.abs().sum(dim=2)) * own,
            norm_ratio=over_positions(length / scale),
            before=over_features(self.before),
            asked=over_features(self.after),
            found=over_features(self.found),
            dose_found=over_positions(answered.sum(dim=2)) * own,
        )


def edit_rows(
    bench: Bench,
    halfway: Halfway,
    features: Tensor,
    source: Tensor,
    editable: Tensor,
    treatments: tuple[Treatment | None, ...],
    units: tuple[str, ...],
    start: int = 0,
) -> Edited:
    """The edited activations, and what is known of them.

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
    return Edited(edited, clean, width, change.before, change.after, found)


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


def wide(tensor: Tensor) -> torch.dtype:
    """float64, where the device has it: log-probabilities of large vocabularies need the digits."""
    return torch.float32 if tensor.device.type == "mps" else torch.float64
