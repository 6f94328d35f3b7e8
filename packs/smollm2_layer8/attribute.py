"""Which features carry an outcome, to first order: how the ready trials' features were found.

One forward and one backward pass on discovery prompts give, for every feature, the change of the
outcome that its ablation would make if the model were linear. It shortlists; the exploratory trial
beside each ready trial measures the shortlist exactly, and only fresh prompts confirm.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd
import torch
from rich.console import Console
from torch import Tensor

from causal_sae.execution.edits import attention_sinks
from causal_sae.execution.hook_points import resolve
from causal_sae.execution.model import LanguageModel, load_model
from causal_sae.saes.features.store import read_features
from causal_sae.saes.load import load_sae
from causal_sae.saes.sae import SAE
from packs.smollm2_layer8.__main__ import MODEL, PACK


def attribution(model: LanguageModel, sae: SAE, prompts: pd.DataFrame) -> pd.DataFrame:
    """For every feature the predicted mean change of ``log p(tail | text)`` a token on ablation.

    Returns
    -------
    DataFrame
        feature, attribution (nats a token, averaged over prompts), active (prompts it fires on).
    """
    hook = resolve(str(sae.config.hook), model.family)
    block = model.network.get_submodule(hook.module)
    total = torch.zeros(sae.config.d_sae, dtype=torch.float64)
    active = torch.zeros(sae.config.d_sae)
    held: list[Tensor] = []

    def keep(_module: object, _inputs: object, output: Tensor) -> Tensor:
        held[:] = [output.detach().requires_grad_(True)]
        return held[0]

    handle = block.register_forward_hook(keep)
    try:
        for text, tail in zip(prompts["text"], prompts["tail"], strict=True):
            encode = model.tokenizer
            front = [encode.bos_token_id, *encode(text, add_special_tokens=False)["input_ids"]]
            back = encode(tail, add_special_tokens=False)["input_ids"]
            ids = torch.tensor([front + back], device=model.device)
            logits = model.network(input_ids=ids, use_cache=False).logits[0, len(front) - 1 : -1]
            chosen = logits.log_softmax(-1).gather(1, ids[0, len(front) :, None])
            (gradient,) = torch.autograd.grad(chosen.mean(), held[0])
            with torch.no_grad():
                x = held[0][0, : len(front)]
                kept = ~attention_sinks(x[None])[0]
                kept[0] = False
                features = sae.encode(x) * kept[:, None]
                slope = gradient[0, : len(front)] @ sae.decoder.T
                total -= (features * slope).sum(dim=0).double().cpu()
                active += (features > 0).any(dim=0).float().cpu()
    finally:
        handle.remove()
    table = pd.DataFrame({"attribution": total / len(prompts), "active": active.int()})
    return table.rename_axis("feature").reset_index().sort_values("attribution")


def main() -> None:
    """``python -m packs.smollm2_layer8.attribute trials/scripture/discovery.csv``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("prompts", type=Path, help="a csv with the columns text and tail")
    parser.add_argument("--most", type=int, default=15, help="features printed at each end")
    parser.add_argument("--prompts-used", type=int, default=60)
    given = parser.parse_args()
    model, sae = load_model(MODEL, PACK), load_sae(PACK)
    prompts = pd.read_csv(given.prompts).head(given.prompts_used)
    table = attribution(model, sae.to(device=model.device), prompts)
    store = read_features(PACK)[["feature", "density", "top_tokens"]]
    table = table.merge(store, on="feature")
    console = Console()
    console.print(table.head(given.most).to_string(index=False))
    console.print(table.tail(given.most).to_string(index=False))


if __name__ == "__main__":
    main()
