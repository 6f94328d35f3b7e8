"""A model that runs elsewhere: nnsight's remote service (NDIF) holds its weights.

The bodies of the traces are shipped to the service, which has torch and nnsight and nothing of
ours. They stand in plain functions whose variables are tensors, numbers and nnsight's own tree: no
object of this package may be among them. What travels: token ids up, the activation at the hook
down, the edited activation up, and the logits down: of the outcomes' own tokens where those are
enough.

``remote`` is what nnsight's ``trace`` takes: True for the service, an address for another, and
``local``, which ships the trace to this very process, with this package hidden from it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from torch import Tensor

from causal_sae.errors import ModelError, Place
from causal_sae.execution.hook_points import HookPoint
from causal_sae.execution.host import Finish, Halfway, Host, Memory, Route
from causal_sae.execution.model import LanguageModel

Remote: TypeAlias = "bool | str"
SITES = ("resid_pre", "resid_post")
"""The places that traces here know: those of the residual stream."""


@dataclass(frozen=True)
class RemoteModel(LanguageModel):
    """A model without its weights; what is edited is edited on this machine's processor."""

    @property
    def device(self) -> torch.device:
        """Where activations are edited."""
        return torch.device("cpu")


class RemoteHost(Host):
    """A :class:`Host` whose forward passes run elsewhere.

    Parameters
    ----------
    model:
        The model; its network may have no weights.
    tree:
        nnsight's ``TransformersModel`` of it.
    hook:
        Where the SAE reads.
    remote:
        Where the traces run.
    """

    def __init__(self, model: RemoteModel, tree: Any, hook: HookPoint, remote: Remote) -> None:
        super().__init__(model, hook)
        self._tree, self.remote = tree, remote
        self._blocks = self._module(hook.module.partition(f".{hook.layer}")[0])
        self._head = self._unembedding()
        self.route: Route = "suffix"

    def plain(self, ids: Tensor, keep: int) -> Tensor:
        """The logits of the model, ``[P, keep, vocabulary]``, nothing skipped or edited."""
        given = (self._tree, self._inputs(ids), self._head, keep, self.remote)
        return _answer(_plain, *given)  # type: ignore[no-any-return]

    def read(self, ids: Tensor, memory: Memory | None = None) -> Halfway:
        """As :meth:`Host.read`; a memory stays where the model is, so that there is none here."""
        if memory is not None:
            raise ModelError("no keys and values are kept of a model that runs elsewhere")
        inputs, side = self._inputs(ids), self.hook.side
        found = _answer(_read, self._tree, inputs, self._blocks, self.hook.layer, side, self.remote)
        return Halfway(ids, found, found)

    def resume(
        self,
        at: Halfway,
        activation: Tensor,
        keep: int,
        watch: tuple[HookPoint, ...] = (),
        tokens: Tensor | None = None,
    ) -> Finish:
        """As :meth:`Host.resume`."""
        if watch:
            raise ModelError("no later hooks are read of a model that runs elsewhere")
        found = _answer(
            _resume,
            self._tree,
            self._inputs(at.ids),
            self._blocks,
            self.skipped,
            activation,
            self._head,
            keep,
            tokens,
            self.remote,
        )
        return Finish(found)


def _answer(trace: Any, *given: Any) -> Any:
    """Run one trace; what the service says against it is told without its traceback."""
    from nnsight.intervention.backends.remote import RemoteError  # noqa: PLC0415 - brings sockets

    try:
        return trace(*given)
    except (RemoteError, OSError) as error:
        reason = " ".join(str(error).split())[:300]
        raise ModelError(
            f"the service that runs the model did not do it: {reason} - check the network, "
            "the key (`nnsight.CONFIG.set_default_api_key`) and that it serves this model",
            Place(field="--backend"),
        ) from None


def _plain(tree: Any, inputs: Any, head: Any, keep: int, remote: Remote) -> Any:
    with torch.no_grad(), tree.trace(**inputs, use_cache=False, logits_to_keep=keep, remote=remote):
        head.input = head.input.contiguous()
        logits = tree.output.logits.save()
    return logits  # noqa: RET504 - nnsight binds it when the block ends


def _read(tree: Any, inputs: Any, blocks: Any, layer: int, side: str, remote: Remote) -> Any:
    block, enters = blocks[layer], side == "input"
    with torch.no_grad(), tree.trace(**inputs, use_cache=False, remote=remote) as tracer:
        found = block.input.save() if enters else block.output.save()
        tracer.stop()
    return found


def _resume(
    tree: Any,
    inputs: Any,
    blocks: Any,
    skipped: int,
    activation: Tensor,
    head: Any,
    keep: int,
    tokens: Tensor | None,
    remote: Remote,
) -> Any:
    first = blocks[0]
    with torch.no_grad(), tree.trace(**inputs, use_cache=False, logits_to_keep=keep, remote=remote):
        for number in range(skipped):
            blocks[number].skip(activation)
        if skipped == 0:
            first.input = activation.clone()
        if tokens is None:
            head.input = head.input.contiguous()
        else:
            bias = head.bias
            own = None if bias is None else bias[tokens]
            hidden = head.input.contiguous()
            head.skip(torch.nn.functional.linear(hidden, head.weight[tokens], own))
        logits = tree.output.logits.save()
    return logits  # noqa: RET504 - nnsight binds it when the block ends
