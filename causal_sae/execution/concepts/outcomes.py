"""How much of a concept is in a next-token distribution, and what else changed."""

from __future__ import annotations

import torch
from torch import Tensor


def word_mass(logprobs: Tensor, words: Tensor) -> Tensor:
    """``[R]``: the logarithm of the probability of a set of tokens, averaged over positions.

    Parameters
    ----------
    logprobs:
        ``[R, S, V]`` in nats.
    words:
        ``[k]`` token ids, each once.
    """
    return logprobs[..., words].logsumexp(dim=-1).mean(dim=1)


def divergence(untouched: Tensor, treated: Tensor) -> Tensor:
    """``[R]``: KL(untouched || treated) in nats, averaged over positions; both ``[R, S, V]``."""
    return (untouched.exp() * (untouched - treated)).sum(dim=-1).mean(dim=1)


def loss(logprobs: Tensor, following: Tensor) -> Tensor:
    """``[R]``: minus the log-probability of the tokens that follow, ``[R, S]``, averaged."""
    picked: Tensor = torch.gather(logprobs, 2, following[..., None])[..., 0]
    return -picked.mean(dim=1)
