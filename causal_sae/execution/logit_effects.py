"""What a feature's decoder row does to the next-token logits by itself: the direct logit effect.

The row goes through the final norm's own centring and gain into the unembedding (``nostalgebraist``
2020, "interpreting GPT: the logit lens"; Dar et al. 2023). The norm also divides by the length of
the whole residual stream. That factor is the same for every token, so it is left out: it changes
no ranking. What later layers make of the feature is not in these numbers; a trial measures that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from causal_sae.execution.hook_points import HookPoint
from causal_sae.execution.model import LanguageModel
from causal_sae.saes.sae import SAE

NORMS = {
    "gpt2": "transformer.ln_f",
    "gpt_neox": "gpt_neox.final_layer_norm",
    "gemma3": "model.language_model.norm",
}
"""Where the final norm is, where it is not ``model.norm``."""
ON_STREAM = frozenset({"resid_pre", "resid_mid", "resid_post", "mlp_out", "attn_out"})
"""Sites whose activation is added to the residual stream as it is."""
CHUNK = 256


@dataclass(frozen=True)
class Lens:
    """From directions in the residual stream to logits."""

    gain: Tensor
    """``[d]`` by which the final norm multiplies."""
    centred: bool
    """Whether it takes the mean over the width off first."""
    head: Tensor
    """``[vocabulary, d]``: the unembedding."""

    def logits(self, directions: Tensor) -> Tensor:
        """``[n, vocabulary]``: by how much a unit of each raises each logit, against their mean.

        Softmax does not see what all logits have in common, so it is taken off.
        """
        rows = directions.to(self.head)
        if self.centred:
            rows = rows - rows.mean(dim=-1, keepdim=True)
        logits = (rows * self.gain.to(rows)) @ self.head.T
        return logits - logits.mean(dim=-1, keepdim=True)


def lens_of(model: LanguageModel, hook: HookPoint) -> Lens | None:
    """The lens of a model; None where the hook is off the stream, or the norm is unknown.

    Gemma's norms multiply by one plus their weight.
    """
    if hook.site not in ON_STREAM:
        return None
    try:
        norm: Any = model.network.get_submodule(NORMS.get(model.family, "model.norm"))
    except AttributeError:
        return None
    head = model.network.get_output_embeddings()
    if head is None or getattr(norm, "weight", None) is None:
        return None
    weight = norm.weight.detach().float()
    gain = 1.0 + weight if model.family.startswith("gemma") else weight
    centred = isinstance(norm, torch.nn.LayerNorm)
    return Lens(gain, centred, head.weight.detach().float())


def extreme_tokens(
    lens: Lens, sae: SAE, name: Callable[[int], str], count: int
) -> Iterator[tuple[list[tuple[str, float]], list[tuple[str, float]]]]:
    """For each feature the tokens that it raises most and lowers most, with the change per unit.

    Parameters
    ----------
    lens:
        The model's.
    sae:
        The SAE.
    name:
        The text of a token.
    count:
        How many tokens of each kind.
    """
    for start in range(0, sae.config.d_sae, CHUNK):
        features = range(start, min(start + CHUNK, sae.config.d_sae))
        logits = lens.logits(sae.direction(features))
        up, down = logits.topk(count, dim=1), (-logits).topk(count, dim=1)
        for row in range(len(features)):
            yield (
                [
                    (name(int(i)), float(v))
                    for i, v in zip(up.indices[row], up.values[row], strict=True)
                ],
                [
                    (name(int(i)), -float(v))
                    for i, v in zip(down.indices[row], down.values[row], strict=True)
                ],
            )
