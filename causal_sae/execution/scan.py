"""The clean pass before assignment: where features fire, and how strongly, on untouched prompts.

It needs only the layers up to the hook, so a large pool can be read for an enriched trial.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from causal_sae.execution.batches import Job, Limit, batches
from causal_sae.execution.edits import attention_sinks
from causal_sae.execution.forward import not_finite
from causal_sae.execution.host import Host
from causal_sae.execution.sequences import Prompt, TokenSequence
from causal_sae.execution.treatments import Activations
from causal_sae.saes.features.statistics import FeatureStatistics
from causal_sae.saes.sae import SAE


@dataclass(frozen=True)
class Scan:
    """What the untouched model does with the features at the hook."""

    active: pd.DataFrame
    """One row a unit, one column a feature: at how many positions it fires."""
    pool: Activations
    """For each feature its activations over all positions of all prompts, in order of unit."""
    statistics: pd.DataFrame
    """Statistics of every feature over these prompts (:data:`causal_sae.tables.FEATURES`)."""


def scan(
    host: Host,
    sae: SAE,
    prompts: Sequence[Prompt],
    features: Sequence[int],
    limit: Limit,
    advance: Callable[[int], None] = lambda _tokens: None,
) -> Scan:
    """Read every prompt up to the hook. The first position and attention sinks are left out.

    Parameters
    ----------
    host, sae:
        The model at its hook, and the SAE that reads there.
    prompts:
        The prompts.
    features:
        The features whose activity and values are wanted, prompt by prompt.
    limit:
        What one batch may hold.
    advance:
        Called with the number of tokens done.

    Raises
    ------
    ModelError
        When an activation is not finite: names the unit.
    """
    wanted = list(features)
    totals = FeatureStatistics.empty(sae.config.d_sae)
    own: dict[str, npt.NDArray[np.float32]] = {}
    jobs = [Job(TokenSequence(prompt), ()) for prompt in prompts]
    for batch in batches(jobs, limit):
        ids = torch.tensor([job.sequence.tokens for job in batch], device=host.model.device)
        halfway = host.read(ids)
        activation = halfway.activation
        for row, job in enumerate(batch):
            if not bool(torch.isfinite(activation[row]).all()):
                raise not_finite(job.sequence.unit_id)
        kept = ~attention_sinks(halfway.written)
        kept[:, 0] = False
        encoded = sae.encode(activation)
        totals.update(encoded[kept])
        for row, job in enumerate(batch):
            values = encoded[row][kept[row]][:, wanted]
            own[job.sequence.unit_id] = values.float().cpu().numpy()
        advance(sum(job.tokens for job in batch))
    units = sorted(own)
    counts = np.array([(own[unit] > 0).sum(axis=0) for unit in units])
    stacked = np.concatenate([own[unit] for unit in units])
    return Scan(
        pd.DataFrame(counts, index=pd.Index(units, name="unit_id"), columns=wanted),
        {feature: stacked[:, place] for place, feature in enumerate(wanted)},
        totals.table(sae.decoder_norm),
    )


def exposure(
    host: Host,
    sae: SAE,
    prompts: Sequence[Prompt],
    feature: int,
    limit: Limit,
    skip_sinks: bool = True,
    advance: Callable[[int], None] = lambda _tokens: None,
) -> pd.Series[int]:
    """At how many positions that would be edited a feature fires, prompt by prompt.

    Nothing but one count a prompt is kept, so the pool may be of any size.

    Parameters
    ----------
    host, sae:
        The model at its hook, and the SAE that reads there.
    prompts:
        The pool.
    feature:
        The feature.
    limit:
        What one batch may hold.
    skip_sinks:
        Whether attention sinks are left out, as they are when they are not edited.
    advance:
        Called with the number of tokens done.

    Returns
    -------
    The counts, by ``unit_id``.

    Raises
    ------
    ModelError
        When an activation is not finite: names the unit.
    """
    found: dict[str, int] = {}
    for batch in batches([Job(TokenSequence(prompt), ()) for prompt in prompts], limit):
        ids = torch.tensor([job.sequence.tokens for job in batch], device=host.model.device)
        halfway = host.read(ids)
        activation = halfway.activation
        declared = np.stack([job.sequence.editable for job in batch])
        editable = torch.from_numpy(declared).to(activation.device)
        if skip_sinks:
            editable &= ~attention_sinks(halfway.written)
        fires = (sae.encode(activation)[..., feature] > 0) & editable
        for row, job in enumerate(batch):
            unit = job.sequence.unit_id
            if not bool(torch.isfinite(activation[row]).all()):
                raise not_finite(unit)
            found[unit] = int(fires[row].sum())
        advance(sum(job.tokens for job in batch))
    return pd.Series(found, dtype="int64", name="active_positions").rename_axis("unit_id")
