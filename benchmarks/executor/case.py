"""One thing to measure: prompts, arms and a layer of a model, where a made-up SAE reads."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from causal_sae.execution.batches import Batch, Job
from causal_sae.execution.bench import Bench
from causal_sae.execution.hook_points import resolve
from causal_sae.execution.host import Host
from causal_sae.execution.metrics.logit_diff import LogitDiff
from causal_sae.execution.model import LanguageModel
from causal_sae.execution.sequences import Prompt, TokenSequence
from causal_sae.execution.treatments import Treatment
from causal_sae.saes.config import SAEConfig
from causal_sae.saes.sae import SAE, build
from causal_sae.saes.weights import Weights

DOSE = 8.0
PAIR = (11, 7000)
"""The tokens that a difference of logits compares, in a vocabulary that has them."""
FEATURES = 4096


@dataclass(frozen=True)
class Case:
    """``prompts`` prompts of ``tokens`` tokens under ``arms`` arms and the untouched model."""

    model: LanguageModel
    layer: int
    arms: int
    prompts: int
    tokens: int
    last: bool = False
    """Whether only the last token is edited, and not all but the first."""

    @property
    def rows(self) -> int:
        """Rows in all: each prompt untouched, and under every arm."""
        return self.prompts * (1 + self.arms)

    @property
    def features(self) -> list[int]:
        """The feature that each arm clamps."""
        return list(range(self.arms))

    @cached_property
    def ids(self) -> Tensor:
        """``[prompts, tokens]``."""
        draw = torch.Generator().manual_seed(1)
        size = int(self.model.text_config.vocab_size)
        shape = (self.prompts, self.tokens)
        return torch.randint(5, size, shape, generator=draw).to(self.model.device)

    @cached_property
    def sae(self) -> SAE:
        """Random weights of a usual size."""
        draw, width = torch.Generator().manual_seed(2), self.model.d_model
        decoder = torch.randn(FEATURES, width, generator=draw)
        decoder = decoder / decoder.norm(dim=1, keepdim=True)
        weights = Weights(
            w_enc=decoder.T.contiguous(),
            w_dec=decoder,
            b_dec=torch.zeros(width),
            b_enc=torch.zeros(FEATURES),
            threshold=torch.full((FEATURES,), 0.1),
        )
        config = SAEConfig("jumprelu", width, FEATURES, width, hook=self.hook)
        return build(config, weights).to(device=self.model.device)

    @property
    def hook(self) -> str:
        """Where the SAE reads."""
        return f"blocks.{self.layer}.hook_resid_post"

    @cached_property
    def bench(self) -> Bench:
        """Ours."""
        host = Host(self.model, resolve(self.hook, self.model.family))
        directions = self.sae.direction(range(FEATURES))
        return Bench(host, self.sae, directions, seed=1, skip_sinks=False, late=self.last)

    @property
    def pair(self) -> tuple[int, int]:
        """:data:`PAIR`, within the model's vocabulary."""
        size = int(self.model.text_config.vocab_size)
        return PAIR[0], min(PAIR[1], size - 1)

    @cached_property
    def pair_bench(self) -> Bench:
        """Ours, for a difference of two logits."""
        first, second = self.pair
        units = [job.sequence.unit_id for job in self.batch]
        metric = LogitDiff(dict.fromkeys(units, first), dict.fromkeys(units, second))
        return replace(self.bench, readers=(metric,))

    @cached_property
    def batch(self) -> Batch:
        """The jobs of ours."""
        arms = tuple(Treatment(f"arm{j}", None, (j,), (0.0,), (DOSE,)) for j in self.features)
        mask = self.edited.cpu().numpy().astype(np.bool_)
        prompts = (Prompt(f"u{n:03d}", tuple(row), mask) for n, row in enumerate(self.ids.tolist()))
        return tuple(Job(TokenSequence(prompt), arms) for prompt in prompts)

    @cached_property
    def edited(self) -> Tensor:
        """``[tokens]`` booleans: where the edit is made."""
        place = torch.arange(self.tokens, device=self.model.device)
        return place == self.tokens - 1 if self.last else place > 0

    def clamp(self, x: Tensor, features: list[int | None]) -> Tensor:
        """``x`` ``[R, S, d]`` with one feature a row clamped; None leaves a row alone.

        As a user writes it: one encoder column and one decoder row for each row of the batch.
        """
        index = torch.tensor([feature or 0 for feature in features], device=x.device)
        some = torch.tensor([feature is not None for feature in features], device=x.device)
        weights = self.sae.weights
        pre = torch.einsum("rsd,dr->rs", x, weights.w_enc[:, index])
        active = torch.relu(pre) * (pre > 0.1)
        change = torch.where(self.edited & some[:, None], DOSE - active, 0.0)
        return x + change[..., None] * weights.w_dec[index][:, None]

    @property
    def row_features(self) -> list[int | None]:
        """For each row of one large batch its feature: every prompt's untouched row first."""
        return [None, *self.features] * self.prompts

    def lasting(self) -> Case:
        """The same with edits of the last token only."""
        return replace(self, last=True)
