"""A language model, loaded and ready to be traced."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from safetensors import SafetensorError

from causal_sae.errors import ModelError, Place
from causal_sae.execution.families import family_of
from causal_sae.execution.model_source import file_digest, local_model
from causal_sae.progress import busy
from causal_sae.spec.sources import HubSource, ModelSpec

#: Soft-capped attention is exact only in the eager implementation.
EAGER_ATTENTION = frozenset({"gemma2", "gemma3", "gemma3_text"})


@dataclass(frozen=True)
class LanguageModel:
    """A causal language model with its tokenizer, on one device."""

    network: Any
    """The transformers module, in evaluation mode."""
    tokenizer: Any
    """Its tokenizer."""
    name: str
    """How tables and reports call it."""
    fingerprint: str
    """SHA-256 over the weights, the configuration and the tokenizer."""

    @property
    def family(self) -> str:
        """The architecture's name in transformers, such as ``llama``, and its variant's."""
        return family_of(self.network.config)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.network.parameters()).device  # type: ignore[no-any-return]

    @property
    def dtype(self) -> torch.dtype:
        """The arithmetic of the forward passes."""
        return next(self.network.parameters()).dtype  # type: ignore[no-any-return]

    @property
    def text_config(self) -> Any:
        """The configuration of the language part."""
        return self.network.config.get_text_config()

    @property
    def d_model(self) -> int:
        """The width of the residual stream."""
        return int(self.text_config.hidden_size)

    @property
    def context(self) -> int:
        """The longest sequence the model takes, in tokens."""
        return int(getattr(self.text_config, "max_position_embeddings", 1 << 20))


def load_model(spec: ModelSpec, base: Path, console: Console | None = None) -> LanguageModel:
    """Load the model that a trial names.

    Parameters
    ----------
    spec:
        The trial's ``model`` section.
    base:
        The folder that relative paths start from.
    console:
        Where progress is shown.

    Raises
    ------
    ModelError
        When the model is not there, is not a causal language model, or the device is missing.
    """
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer  # noqa: PLC0415
    from transformers.utils import logging  # noqa: PLC0415

    logging.disable_progress_bar()
    device = find_device(spec.device)
    where = local_model(spec.source, base, console)
    hub = {"revision": spec.source.revision} if isinstance(spec.source, HubSource) else {}
    try:
        with busy(console or Console(stderr=True), f"loading {Path(where).name}"):
            config = AutoConfig.from_pretrained(where, **hub)
            attention = "eager" if config.model_type in EAGER_ATTENTION else "sdpa"
            tokenizer = AutoTokenizer.from_pretrained(where, **hub)
            network = AutoModelForCausalLM.from_pretrained(
                where, dtype=getattr(torch, spec.dtype), attn_implementation=attention, **hub
            )
    except (OSError, ValueError, KeyError, RuntimeError, ImportError, SafetensorError) as error:
        reason = " ".join(str(error).split())[:300]
        aid = (
            "; check its name and revision, or fetch it where there is a network: "
            "`causal-sae fetch TRIAL`"
            if isinstance(where, str)
            else ""
        )
        raise ModelError(
            f"transformers cannot load {where} as a causal language model: {reason}{aid}",
            Place(field="model.source"),
        ) from None
    return wrap_model(network.to(device), tokenizer, str(where), _fingerprint(where, network))


def wrap_model(network: Any, tokenizer: Any, name: str, fingerprint: str = "") -> LanguageModel:
    """Make a :class:`LanguageModel` of a network that is already in memory."""
    network.eval()
    network.requires_grad_(False)
    return LanguageModel(network, tokenizer, Path(name).name, fingerprint)


def find_device(wanted: str) -> torch.device:
    """The device asked for; ``auto`` takes CUDA, then MPS, then the CPU.

    Raises
    ------
    ModelError
        When this machine has no such device.
    """
    if wanted == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(wanted)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ModelError(
            f"the device {wanted!r} cannot be used here ({str(error).splitlines()[0]}); "
            "write `device: auto` to take what there is",
            Place(field="model.device"),
        ) from None
    return device


def _fingerprint(where: Path | str, network: Any) -> str:
    """Hash a directory's weights, configuration and tokenizer; a hub model has its commit."""
    if isinstance(where, str):
        return str(getattr(network.config, "_commit_hash", None) or where)
    digest = hashlib.sha256()
    files = [*where.glob("*.safetensors"), *where.glob("*.bin")]
    files += [where / "config.json", where / "tokenizer.json"]
    for path in sorted(path for path in files if path.is_file()):
        digest.update(path.name.encode() + file_digest(path).encode())
    return digest.hexdigest()


def available_devices() -> list[str]:
    """The torch devices of this machine, by name."""
    cuda = [f"cuda:{n} ({torch.cuda.get_device_name(n)})" for n in range(torch.cuda.device_count())]
    mps = ["mps"] if torch.backends.mps.is_available() else []
    return [*cuda, *mps, f"cpu ({torch.get_num_threads()} threads)"]
