"""Tensors of another device than the model's must not get into the arithmetic.

The meta device computes shapes only, and refuses to mix with the CPU as an accelerator would.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch

from causal_sae.execution.bench import edit_rows
from causal_sae.execution.edits import attention_sinks
from causal_sae.execution.host import Halfway
from causal_sae.execution.metrics.base import Reading
from causal_sae.execution.metrics.entropy import Entropy
from causal_sae.execution.metrics.kl import KL
from causal_sae.execution.metrics.logit_diff import LogitDiff
from causal_sae.execution.metrics.nll import NLL
from causal_sae.execution.metrics.rank import Rank
from causal_sae.execution.metrics.token_logprob import TokenLogprob
from causal_sae.execution.metrics.token_set_prob import TokenSetProb
from causal_sae.execution.sequences import Prompt, TokenSequence
from causal_sae.execution.treatments import Treatment

PROMPTS, SPAN, WIDTH, VOCABULARY = 2, 5, 32, 40
CLAMP = Treatment("clamp", None, (5, 3), (0.0, 0.0), (4.0, 1.0))
POOL = {5: np.ones(9, dtype=np.float32)}
TREATMENTS = (
    None,
    CLAMP,
    Treatment("sham", splice=True),
    Treatment("mix", None, (5,), (0.0,), (0.0,), resample=POOL),
    Treatment("push", 0, push_like=CLAMP, direction=torch.randn(WIDTH)),
)


def test_edits_stay_on_the_models_device(tiny_sae):
    sae = tiny_sae("blocks.1.hook_resid_post").to("meta")
    x = torch.empty(PROMPTS, SPAN, WIDTH, device="meta")
    source = torch.tensor([0, 0, 0, 1, 1], device="meta")
    editable = torch.ones(5, SPAN, dtype=torch.bool, device="meta") & ~attention_sinks(x)[source]
    bench = type("Bench", (), {"sae": sae, "directions": sae.direction(range(24)), "seed": 1})
    units = ("a", "a", "a", "b", "b")
    at = Halfway(torch.empty(PROMPTS, SPAN, device="meta"), x, x)
    done = edit_rows(bench, at, sae.encode(x), source, editable, TREATMENTS, units)
    edited, delivery = done.activation, done.delivered(editable)
    assert edited.device.type == "meta"
    assert edited.shape == (5, SPAN, WIDTH)
    assert {tensor.device.type for tensor in vars(delivery).values()} == {"meta"}


@pytest.mark.parametrize(
    "metric",
    [
        Entropy(),
        KL(),
        LogitDiff({"a": 1}, {"a": 2}),
        NLL({"a": (3, 4)}),
        Rank({"a": 1}),
        TokenLogprob({"a": 1}),
        TokenSetProb((1, 2)),
    ],
)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_metrics_stay_on_the_models_device_and_in_its_precision(metric, dtype):
    prompt = Prompt("a", (0, 1, 2), np.ones(3, dtype=bool))
    sequence = TokenSequence(prompt, (3, 4))
    logprobs = torch.empty(2, 3, VOCABULARY, device="meta", dtype=dtype)
    rows = torch.zeros(2, dtype=torch.long, device="meta")
    values = metric.measure(Reading([sequence, sequence], logprobs, rows, {}))
    assert values.device.type == "meta"
    assert values.dtype == dtype
    assert values.shape == (2,)
