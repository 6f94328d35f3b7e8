"""Train the SAE with SAELens on the harvested activations (extra ``packs``)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import load_file, save_file

from packs.smollm2_layer8.harvest import CONTEXT, HOOK

D_SAE = 4096
K = 40  # features active at a position, on average over a batch
EPOCHS = 2
BATCH = 2048


def train(activations: npt.NDArray[np.float16], target: Path, model_name: str) -> None:
    """Fit a BatchTopK SAE and save it in SAELens's layout, as the JumpReLU SAE that it becomes.

    Parameters
    ----------
    activations:
        ``[n, d_in]``, attention sinks left out.
    target:
        The folder that gets ``cfg.json`` and ``sae_weights.safetensors`` (float16).
    model_name:
        What the SAE says it was trained on.
    """
    from sae_lens import BatchTopKTrainingSAE, BatchTopKTrainingSAEConfig  # noqa: PLC0415
    from sae_lens.config import LoggingConfig, SAETrainerConfig  # noqa: PLC0415
    from sae_lens.saes.sae import SAEMetadata  # noqa: PLC0415
    from sae_lens.training.sae_trainer import SAETrainer  # noqa: PLC0415

    torch.manual_seed(0)
    d_in = activations.shape[1]
    metadata = SAEMetadata(
        model_name=model_name, hook_name=HOOK, context_size=CONTEXT, prepend_bos=True
    )
    sae = BatchTopKTrainingSAE(
        BatchTopKTrainingSAEConfig(
            d_in=d_in,
            d_sae=D_SAE,
            k=K,
            normalize_activations="expected_average_only_in",
            apply_b_dec_to_input=True,
            metadata=metadata,
        )
    )
    # Starting at the mean saves the first steps from learning it.
    sample = torch.from_numpy(activations[:: max(1, len(activations) // 50_000)].astype(np.float32))
    sae.b_dec.data = sample.mean(0) * d_in**0.5 / sample.norm(dim=1).mean()
    samples = EPOCHS * len(activations) // BATCH * BATCH
    steps = samples // BATCH
    config = SAETrainerConfig(
        total_training_samples=samples,
        train_batch_size_samples=BATCH,
        lr=8e-4,
        lr_end=8e-6,
        lr_warm_up_steps=100,
        lr_decay_steps=steps // 3,
        dead_feature_window=150,
        feature_sampling_window=500,
        n_batches_for_norm_estimate=100,
        logger=LoggingConfig(log_to_wandb=False),
    )
    SAETrainer(config, sae, _shuffled(activations)).fit()
    sae.save_inference_model(str(target))
    _halve(target)


def _shuffled(activations: npt.NDArray[np.float16]) -> Iterator[torch.Tensor]:
    draw = np.random.default_rng(0)
    while True:
        order = draw.permutation(len(activations))
        for start in range(0, len(order) - BATCH + 1, BATCH):
            rows = np.sort(order[start : start + BATCH])
            yield torch.from_numpy(activations[rows].astype(np.float32))


def _halve(target: Path) -> None:
    """Store the weights in float16; they are computed with in float32."""
    weights = target / "sae_weights.safetensors"
    save_file({k: v.to(torch.float16) for k, v in load_file(weights).items()}, weights)
    config = json.loads((target / "cfg.json").read_text())
    config["dtype"], config["device"] = "float32", "cpu"
    (target / "cfg.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
