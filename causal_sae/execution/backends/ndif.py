"""The backend for models that fit on no machine here: nnsight's remote service runs them.

The plan, the SAE, the edits and the outcomes are this machine's; only forward passes are not. The
model must be one that the service holds, by its name on the hub; of it the configuration and the
tokenizer are read here, the weights never.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from rich.console import Console

from causal_sae.errors import GateError, ModelError, Place, SAEError, SpecError
from causal_sae.execution.backends.local import LocalBackend
from causal_sae.execution.backends.resources import Resources
from causal_sae.execution.gates import BATCH_TOLERANCE, Gate
from causal_sae.execution.hook_points import HookPoint
from causal_sae.execution.host import Host
from causal_sae.execution.laboratory import Laboratory, assemble, check_width
from causal_sae.execution.model import EAGER_ATTENTION
from causal_sae.execution.model_source import local_model
from causal_sae.execution.remote_host import SITES, Remote, RemoteHost, RemoteModel
from causal_sae.saes.load import open_sae
from causal_sae.spec.sources import HubSource, ModelSpec
from causal_sae.spec.trial import Trial

LOCAL = "local"
"""The address that runs the remote path in this process, to try it without the service."""


class NDIFBackend(LocalBackend):
    """As the local backend, with a host that runs elsewhere."""

    name = "ndif"


def open_ndif(
    trial: Trial,
    base: Path,
    table: pd.DataFrame,
    console: Console | None = None,
    resources: Resources = Resources(),  # noqa: B008 - frozen
) -> NDIFBackend:
    """Read what is needed of the model, tokenise the prompts, and try the service on two of them.

    Raises
    ------
    SpecError, SAEError
        When the trial needs what is not run remotely: generated text, later SAEs, transcoders,
        places beside the residual stream.
    ModelError
        When the service does not run the model.
    GateError
        When a null edit moves the logits.
    """
    for section in ("model", "sae", "population"):
        if getattr(trial, section) is None:
            raise SpecError(f"a trial that runs must declare its {section}", Place(field=section))
    if trial.model is None or trial.sae is None:
        raise SpecError("a trial that runs must declare its model and SAE")
    remote: Remote = resources.address or True
    check_remote(trial, remote)
    sae = open_sae(trial.sae, base)
    model, tree = load_remote(trial.model, base, console)
    laboratory = assemble(trial, base, model, sae, resources.memory)
    host = remote_host(laboratory, tree, remote)
    laboratory = replace(laboratory, host=host)
    prompts = laboratory.tokenizer.prompts(table)
    metrics = laboratory.metrics(table)
    gate = check_null(laboratory, laboratory.pair(prompts)[1])
    laboratory, readout = laboratory.choose_readout(prompts, metrics)
    return NDIFBackend(laboratory, table, prompts, metrics, [gate, *readout], console)


def check_remote(trial: Trial, remote: Remote) -> None:
    """Refuse what is not run remotely, before anything is loaded."""
    named = trial.model is not None and isinstance(trial.model.source, HubSource)
    if remote != LOCAL and not named:
        raise SpecError(
            "must be a hub name for `--backend ndif`: the service holds models by their names",
            Place(field="model.source"),
        )
    for number, outcome in enumerate(trial.outcomes):
        place = f"outcomes[{number}]"
        if getattr(outcome, "generate", None) is not None:
            raise SpecError(
                "is not run by `--backend ndif`: it writes no text; measure next tokens, or use "
                "`--backend local` or `ray`",
                Place(field=f"{place}.generate"),
            )
        if getattr(outcome, "sae", None) is not None:
            raise SpecError(
                "is not read by `--backend ndif`; leave it out to read the trial's own SAE",
                Place(field=f"{place}.sae"),
            )


def load_remote(spec: ModelSpec, base: Path, console: Console | None) -> tuple[RemoteModel, Any]:
    """The model without its weights, and nnsight's tree of it."""
    from nnsight import TransformersModel  # noqa: PLC0415 - brings the collating wrappers
    from transformers import AutoConfig, AutoTokenizer  # noqa: PLC0415

    where = local_model(spec.source, base, console)
    hub = {"revision": spec.source.revision} if isinstance(spec.source, HubSource) else {}
    hub = {name: value for name, value in hub.items() if value is not None}
    try:
        config = AutoConfig.from_pretrained(where, **hub)
        tokenizer = AutoTokenizer.from_pretrained(where, **hub)
        tree = TransformersModel(
            str(where),
            task="text-generation",
            tokenizer=AutoTokenizer.from_pretrained(where, **hub),  # nnsight changes its own
            dtype=getattr(torch, spec.dtype),
            attn_implementation="eager" if config.model_type in EAGER_ATTENTION else "sdpa",
            **hub,
        )
    except (OSError, ValueError, KeyError, RuntimeError, ImportError) as error:
        reason = " ".join(str(error).split())[:300]
        raise ModelError(
            f"the configuration and tokenizer of {where} cannot be read: {reason}",
            Place(field="model.source"),
        ) from None
    network = tree._module  # nnsight has no public name for it
    commit = str(getattr(config, "_commit_hash", None) or where)
    return RemoteModel(network, tokenizer, Path(str(where)).name, f"{commit}, remote"), tree


def remote_host(laboratory: Laboratory, tree: Any, remote: Remote) -> RemoteHost:
    """The host of the laboratory's hook.

    Raises
    ------
    SAEError
        The hook is not on the residual stream, or blocks of this family return more than it.
    """
    hook, model = laboratory.hook, laboratory.model
    _check_hook(laboratory.host, hook)
    if not isinstance(model, RemoteModel):
        raise TypeError("a remote host needs a remote model")
    return RemoteHost(model, tree, hook, remote)


def _check_hook(host: Host, hook: HookPoint) -> None:
    if host.written != hook:
        raise SAEError(
            "is not run by `--backend ndif`: transcoders are not edited there",
            Place(field="sae.source"),
        )
    if hook.site not in SITES or hook.index is not None or hook.block_index is not None:
        raise SAEError(
            "must read the residual stream before or after a block that returns it alone "
            f"(`blocks.N.hook_resid_post`) for `--backend ndif`, got {hook.module}",
            Place(field="sae.hook"),
        )


def check_null(laboratory: Laboratory, ids: torch.Tensor) -> Gate:
    """Check that putting the activation back unchanged leaves the logits as they were.

    Not to the last bit: the service may run two requests on different devices.
    """
    host, limit = laboratory.host, BATCH_TOLERANCE[laboratory.model.dtype]
    at = host.read(ids)
    check_width(laboratory.sae, at.activation.shape[-1], laboratory.model.name)
    gap = float((host.resume(at, at.written, 1).logits - host.plain(ids, 1)).abs().max())
    if not gap <= limit:
        raise GateError(
            f"a null edit moves the remote model's logits by {gap:.3g}, and {limit:g} is allowed"
        )
    said = "a null edit leaves the logits of the remote model as they were"
    return Gate("null edit", "pass", gap, limit, said)
