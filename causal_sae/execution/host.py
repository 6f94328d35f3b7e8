"""The one file that knows nnsight: read an activation, put another in its place, read the logits.

Layers below the hook are the same for every arm of a prompt. They run once (:meth:`Host.read`);
then all arms run only the layers above (:meth:`Host.resume`), in one batch.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import torch
from nnsight import NNsight
from torch import Tensor

from causal_sae.execution.hook_points import HookPoint
from causal_sae.execution.model import LanguageModel
from causal_sae.execution.traced_values import in_one_piece, move, put, value_at

Route = Literal["suffix", "full"]
Memory: TypeAlias = Any
"""transformers' cache of keys and values, one row for each row of a batch."""


@dataclass(frozen=True)
class Halfway:
    """The model stopped at the hook. ``P`` prompts, ``S`` positions."""

    ids: Tensor
    """``[P, S]`` token ids."""
    activation: Tensor
    """``[P, S, d_in]``: what stands at the hook, which the SAE reads."""
    stream: Tensor
    """``[P, S, d_model]``: the residual stream that enters the hook's block."""
    target: Tensor | None = None
    """``[P, S, d_out]``: what stands where a transcoder writes; None where that is the hook."""

    @property
    def written(self) -> Tensor:
        """``[P, S, d_out]``: what an edit replaces."""
        return self.activation if self.target is None else self.target

    def rows(self, index: Tensor) -> Halfway:
        """The same, with prompt ``index[r]`` in row ``r``."""
        return self._each(lambda tensor: tensor[index])

    def since(self, start: int) -> Halfway:
        """The same from the position ``start`` on."""
        return self._each(lambda tensor: tensor[:, start:])

    def _each(self, part: Callable[[Tensor], Tensor]) -> Halfway:
        target = None if self.target is None else part(self.target)
        activation = part(self.activation)
        same = self.stream is self.activation
        return Halfway(
            part(self.ids), activation, activation if same else part(self.stream), target
        )


@dataclass(frozen=True)
class Finish:
    """The model ran to its end. ``R`` rows."""

    logits: Tensor
    """``[R, keep, vocabulary]``, or ``[R, keep, T]`` of chosen tokens: at the last positions."""
    watched: dict[str, Tensor] = field(default_factory=dict)
    """Activations at later hooks, ``[R, S, d]``, by :func:`site_of`."""


@dataclass(frozen=True)
class Opening:
    """The model read its prompts and can go on. ``R`` rows."""

    logits: Tensor
    """``[R, vocabulary]``: after the last token of the prompt."""
    memory: Memory


class Host:
    """A model whose activation at one hook can be replaced.

    Parameters
    ----------
    model:
        The language model.
    hook:
        Where the SAE reads.
    route:
        ``suffix`` runs only the layers above the hook; ``full`` runs all of them and replaces the
        activation on the way. Both give the same logits.
    written:
        Where edits go, when that is another place of the same block, further on: a transcoder
        writes there what it reads from the hook.
    """

    def __init__(
        self,
        model: LanguageModel,
        hook: HookPoint,
        route: Route = "suffix",
        written: HookPoint | None = None,
    ) -> None:
        self.model, self.hook, self.route = model, hook, route
        self.written = written or hook
        self._tree = NNsight(model.network)
        # transformers 5.24 renamed the argument; both names are in use for years.
        names = inspect.signature(model.network.forward).parameters
        self._key = "cache" if "cache" in names else "past_key_values"
        # Models with relative positions take none.
        self._counts = "position_ids" in names
        self._blocks = self._module(hook.module.partition(f".{hook.layer}")[0])
        self._head = self._unembedding()
        at = self.written
        self._site = self._module(at.module)
        self._bypass = None if at.bypass is None else self._module(at.bypass)
        # The residual stream after block n is what enters block n + 1.
        self._on_stream = at.site in ("resid_pre", "resid_post")
        below = at.layer + (at.site == "resid_post")
        self.skipped = below if route == "suffix" else 0
        """How many layers run once for all rows of a prompt."""

    def _module(self, path: str) -> Any:
        module = self._tree
        for part in path.split("."):
            module = module[int(part)] if part.isdigit() else getattr(module, part)
        return module

    def _unembedding(self) -> Any:
        """The module that turns the last hidden states into logits; None where there is none."""
        wanted, network = self.model.network.get_output_embeddings(), self.model.network
        paths = (path for path, module in network.named_modules() if module is wanted)
        path = None if wanted is None else next(paths, None)
        return None if path is None else self._module(path)

    def plain(self, ids: Tensor, keep: int) -> Tensor:
        """The logits of the bare model, ``[P, keep, vocabulary]``, without nnsight: the oracle."""
        head = self.model.network.get_output_embeddings()
        handle = None if head is None else head.register_forward_pre_hook(in_one_piece)
        try:
            with torch.no_grad():
                out = self.model.network(**self._inputs(ids), use_cache=False, logits_to_keep=keep)
        finally:
            if handle is not None:
                handle.remove()
        return out.logits  # type: ignore[no-any-return]

    def read(self, ids: Tensor, memory: Memory | None = None) -> Halfway:
        """Run ``ids`` ``[P, S]`` up to the hook and stop there.

        Parameters
        ----------
        ids:
            Token ids.
        memory:
            An empty one, to keep the keys and values of the layers below.
        """
        site, block, at = self._site, self._blocks[self.hook.layer], self.written
        hook, elsewhere = self.hook, self.written != self.hook
        seen = self._module(hook.module)
        same = self._on_stream
        read: Tensor | None = None
        inputs, rows = self._inputs(ids) | self._remembering(memory), len(ids)
        with torch.no_grad(), self._tree.trace(**inputs) as tracer:
            stream = None if same else block.input.save()
            if elsewhere:
                read = value_at(seen, hook, rows).clone().save()
            activation = value_at(site, at, rows).save()
            tracer.stop()
        whole: Tensor = activation if same else stream  # type: ignore[assignment]  # saved above
        if read is None:
            return Halfway(ids, activation, whole)
        return Halfway(ids, read, whole, activation)

    def resume(
        self,
        at: Halfway,
        activation: Tensor,
        keep: int,
        watch: tuple[HookPoint, ...] = (),
        tokens: Tensor | None = None,
    ) -> Finish:
        """Run the rest of the model with ``activation`` at the hook.

        Parameters
        ----------
        at:
            Where :meth:`read` stopped, one row for each row of ``activation``.
        activation:
            ``[R, S, d]``: what stands at the hook now (a transcoder's: where it writes).
        keep:
            At how many last positions the logits are wanted.
        watch:
            Later hooks whose activations are wanted too, in the order of the forward pass.
        tokens:
            ``[T]``: the tokens whose logits are wanted; default: the whole vocabulary's.
        """
        tree, blocks, site, hook = self._tree, self._blocks, self._site, self.written
        head, few = self._head, self._rows_of_head(tokens)
        bypass, moved = self._bypass, activation - at.written
        skipped = self.skipped
        replace = not (self._on_stream and skipped > 0)
        stream = activation if self._on_stream else at.stream
        later = [(site_of(point), self._module(point.module), point) for point in watch]
        watched: dict[str, Tensor] = {}
        inputs, rows = self._inputs(at.ids), len(at.ids)
        passed = self._as_output(stream)
        with torch.no_grad(), tree.trace(**inputs, use_cache=False, logits_to_keep=keep):
            for number in range(skipped):
                blocks[number].skip(passed)
            if replace:
                put(site, hook, activation)
            if bypass is not None:
                # The residual stream runs past the module that is read and joins again here.
                move(bypass, hook.block_index, moved)
            for name, module, point in later:
                # Falcon's blocks go on to write into what their MLP gave them.
                watched[name] = value_at(module, point, rows).clone().save()
            if few is not None:
                # What the model does to its logits afterwards, it does to these.
                head.skip(few(head.input))
            elif head is not None:
                head.input = head.input.contiguous()
            logits = tree.output.logits.save()
        return Finish(logits, watched)

    def prefill(self, at: Halfway, activation: Tensor, below: Memory, source: Tensor) -> Opening:
        """Run the rest of the model with ``activation`` at the hook, and remember it for more.

        Parameters
        ----------
        at:
            Where :meth:`read` stopped, one row for each row of ``activation``.
        activation:
            ``[R, S, d]``: what stands at the hook now.
        below:
            What :meth:`read` kept of the layers below, one row a prompt.
        source:
            ``[R]``: the prompt of each row.

        Returns
        -------
        The logits after the last position, and the memory of all layers.
        """
        memory = self.memory()
        logits = self._above(at, activation, memory, 1)
        for number in range(self.skipped):
            kept = below.layers[number]
            memory.layers[number].update(kept.keys[source], kept.values[source])
        return Opening(logits[:, -1], memory)

    def _above(
        self,
        at: Halfway,
        activation: Tensor,
        memory: Memory,
        keep: int,
        start: int = 0,
        tokens: Tensor | None = None,
    ) -> Tensor:
        """Run the layers above the hook, remembering: the logits at the last ``keep`` positions."""
        tree, bypass, moved = self._tree, self._bypass, activation - at.written
        head, few = self._head, self._rows_of_head(tokens)
        skipped = self.skipped
        replace = not (self._on_stream and skipped > 0)
        stream = activation if self._on_stream else at.stream
        inputs = self._inputs(at.ids, start) | self._remembering(memory)
        passed, inside = self._as_output(stream), self.written.block_index
        with torch.no_grad(), tree.trace(**inputs, logits_to_keep=keep):
            for number in range(skipped):
                self._blocks[number].skip(passed)
            if replace:
                put(self._site, self.written, activation)
            if bypass is not None:
                move(bypass, inside, moved)
            if few is not None:
                head.skip(few(head.input))
            elif head is not None:
                head.input = head.input.contiguous()
            logits: Tensor = tree.output.logits.save()
        return logits

    def _rows_of_head(self, tokens: Tensor | None) -> Callable[[Tensor], Tensor] | None:
        """The unembedding of these tokens alone, as a function of the last hidden states."""
        head = self.model.network.get_output_embeddings()
        if tokens is None or head is None:
            return None
        weight, bias = head.weight[tokens], getattr(head, "bias", None)
        own = None if bias is None else bias[tokens]
        return lambda hidden: torch.nn.functional.linear(hidden.contiguous(), weight, own)

    def resume_late(
        self,
        at: Halfway,
        activation: Tensor,
        keep: int,
        below: Memory,
        source: Tensor,
        start: int,
        tokens: Tensor | None = None,
    ) -> Finish:
        """As :meth:`resume`, where nothing differs before the position ``start``.

        What the layers above the hook keep of the positions before it is the same for every row of
        a prompt: it is made once, and each row runs the rest alone.

        Parameters
        ----------
        at:
            Where :meth:`read` stopped, one row a prompt.
        activation:
            ``[R, S, d]``: what stands at the hook now; before ``start``, what stood there.
        keep:
            At how many last positions the logits are wanted: at most ``S - start``.
        below:
            What :meth:`read` kept of the layers below, one row a prompt.
        source:
            ``[R]``: the prompt of each row.
        start:
            The first position that may differ.
        tokens:
            As for :meth:`resume`.
        """
        each = torch.arange(len(at.ids), device=source.device)
        whole = self.prefill(at, at.written, below, each).memory
        memory = self.memory()
        for number, kept in enumerate(whole.layers):
            # Layers that are skipped only say how long the sequence is.
            of = source if number >= self.skipped else source[:1]
            memory.layers[number].update(kept.keys[of, :, :start], kept.values[of, :, :start])
        rest = at.rows(source).since(start)
        logits = self._above(rest, activation[:, start:], memory, keep, start, tokens)
        return Finish(logits)

    def advance(
        self, ids: Tensor, length: int, memory: Memory, change: Callable[[Tensor, Tensor], Tensor]
    ) -> Tensor:
        """One more token a row.

        Parameters
        ----------
        ids:
            ``[R]``: the tokens that follow.
        length:
            How many tokens each row has before them.
        memory:
            As :meth:`prefill` gave it; it grows.
        change:
            From what the SAE reads and what an edit replaces, ``[R, 1, d]`` each and the same
            except under a transcoder, to what shall stand there.

        Returns
        -------
        ``[R, vocabulary]``: the logits after the new token.
        """
        tree, site, hook, bypass = self._tree, self._site, self.written, self._bypass
        elsewhere, seen, reads = hook != self.hook, self._module(self.hook.module), self.hook
        inputs, rows = self._inputs(ids[:, None], length) | self._remembering(memory), len(ids)
        with torch.no_grad(), tree.trace(**inputs, logits_to_keep=1):
            read = value_at(seen, reads, rows).clone() if elsewhere else None
            before = value_at(site, hook, rows)
            after = change(before if read is None else read, before)
            put(site, hook, after)
            if bypass is not None:
                move(bypass, hook.block_index, after - before)
            logits = tree.output.logits.save()
        return logits[:, -1]  # type: ignore[no-any-return]

    def memory(self) -> Memory:
        """An empty memory of keys and values."""
        from transformers import DynamicCache  # noqa: PLC0415 - loads with the first generation

        return DynamicCache(config=self.model.network.config)

    def _remembering(self, memory: Memory | None) -> dict[str, Any]:
        """The arguments that give the network its memory, or none."""
        return {"use_cache": False} if memory is None else {"use_cache": True, self._key: memory}

    def _inputs(self, ids: Tensor, start: int = 0) -> dict[str, Tensor]:
        """Batches hold sequences of one length: no padding, and positions count from ``start``."""
        if not self._counts:
            return {"input_ids": ids}
        places = torch.arange(start, start + ids.shape[1], device=ids.device)
        return {"input_ids": ids, "position_ids": places[None].expand(len(ids), -1)}

    def _as_output(self, stream: Tensor) -> Any:
        """The residual stream as a block returns it."""
        index = self.hook.block_index
        return stream if index is None else (*(None,) * index, stream, None)


def site_of(hook: HookPoint) -> str:
    """One name for each place: a module's input is not its output."""
    return f"{hook.module}.{hook.side}"
