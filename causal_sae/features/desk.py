"""A model with its SAE at the hook, ready to read text: no trial is needed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from rich.console import Console

from causal_sae.execution.backends.local import sae_fingerprint
from causal_sae.execution.batches import Limit
from causal_sae.execution.host import Host
from causal_sae.execution.laboratory import MAX_TOKENS, check_width, open_host
from causal_sae.execution.model import LanguageModel, load_model
from causal_sae.saes.load import open_sae
from causal_sae.saes.sae import SAE
from causal_sae.spec.sources import ModelSpec, SAESpec

LIMIT = Limit(MAX_TOKENS)


@dataclass(frozen=True)
class Desk:
    """What reads."""

    model: LanguageModel
    sae: SAE
    host: Host

    @property
    def identity(self) -> dict[str, str]:
        """Hashes of what the features depend on."""
        return {
            "model": self.model.fingerprint,
            "sae": sae_fingerprint(self.sae),
            "hook": str(self.sae.config.hook),
        }


def open_desk(model: ModelSpec, sae: SAESpec, base: Path, console: Console) -> Desk:
    """Load a model and an SAE, and check that they fit.

    Raises
    ------
    ModelError, SAEError
        One of them cannot be read, or the SAE's width is not the activation's.
    """
    opened = open_sae(sae, base)
    return desk_of(load_model(model, base, console), opened)


def desk_of(model: LanguageModel, sae: SAE) -> Desk:
    """A desk from a model and an SAE that are in memory."""
    host = open_host(model, str(sae.config.hook))
    ids = torch.zeros((1, 2), dtype=torch.long, device=model.device)
    check_width(sae, host.read(ids).activation.shape[-1], model.name)
    return Desk(model, sae.to(device=model.device), host)
