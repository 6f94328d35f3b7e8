"""Make the SAEs beside this file and what SAELens computes with them.

Run with a Python that has SAELens (6.54.12 made the committed files)::

    python tests/goldens/saes/make_goldens.py

Every folder under ``saelens/`` was saved by SAELens; ``gemma_scope/`` is read back by SAELens's
own loaders, their download replaced by the local file. ``dictionary_learning/`` and ``sparsify/``
hold files in those libraries' layouts, and the expected numbers come from the plain numpy formulas
below. ``expected.safetensors`` maps ``<folder>/<what>`` to: x (input), acts, recon.
"""

from __future__ import annotations

import json
import shutil
import warnings
from pathlib import Path
from unittest import mock

import numpy as np
import torch
from sae_lens import SAE
from sae_lens.loading import pretrained_sae_loaders as loaders
from sae_lens.saes import batchtopk_sae, gated_sae, jumprelu_sae, standard_sae, topk_sae, transcoder
from sae_lens.saes.sae import SAEMetadata
from safetensors.torch import save_file

warnings.simplefilter("ignore")
HERE = Path(__file__).parent
D_IN, D_SAE, D_OUT, K, FACTOR = 6, 14, 5, 3, 0.37
EXPECTED: dict[str, torch.Tensor] = {}

SAELENS = {
    "standard": (standard_sae.StandardSAE, standard_sae.StandardSAEConfig, {}),
    "gated": (gated_sae.GatedSAE, gated_sae.GatedSAEConfig, {}),
    "topk": (topk_sae.TopKSAE, topk_sae.TopKSAEConfig, {"k": K}),
    "topk_rescaled": (
        topk_sae.TopKSAE,
        topk_sae.TopKSAEConfig,
        {"k": K, "rescale_acts_by_decoder_norm": True},
    ),
    "jumprelu": (jumprelu_sae.JumpReLUSAE, jumprelu_sae.JumpReLUSAEConfig, {}),
}
NORMALIZATIONS = ("none", "constant_norm_rescale", "layer_norm", "expected_average_only_in")
TRANSCODERS = {
    "transcoder": (transcoder.Transcoder, transcoder.TranscoderConfig),
    "skip_transcoder": (transcoder.SkipTranscoder, transcoder.SkipTranscoderConfig),
    "jumprelu_transcoder": (transcoder.JumpReLUTranscoder, transcoder.JumpReLUTranscoderConfig),
}


def randomize(sae: torch.nn.Module) -> None:
    """Fill every parameter; decoder rows get unequal lengths, thresholds are positive."""
    for name, parameter in sae.named_parameters():
        parameter.data = torch.randn_like(parameter) * 0.7 + (0.3 if "b_" in name else 0.0)
        if name == "threshold":
            parameter.data = parameter.data.abs()


def inputs() -> torch.Tensor:
    """``[2, 4, D_IN]`` of several sizes, not centred."""
    return torch.randn(2, 4, D_IN) * torch.tensor([0.3, 1.0, 2.0, 6.0])[:, None] + 0.5


def record(name: str, x: torch.Tensor, acts: torch.Tensor, recon: torch.Tensor) -> None:
    """Keep what was computed."""
    for what, tensor in {"x": x, "acts": acts, "recon": recon}.items():
        EXPECTED[f"{name}/{what}"] = tensor.detach().float().contiguous().clone()


def record_saelens(name: str, sae: SAE, x: torch.Tensor) -> None:
    """Keep SAELens's own encode and decode."""
    acts = sae.encode(x)
    record(name, x, acts, sae.decode(acts))


def saelens_combinations() -> None:
    """Architectures x normalisations x apply_b_dec_to_input."""
    for kind, (sae_class, config_class, extra) in SAELENS.items():
        for normalization in NORMALIZATIONS:
            for subtract in (True, False):
                config = config_class(
                    d_in=D_IN,
                    d_sae=D_SAE,
                    apply_b_dec_to_input=subtract,
                    normalize_activations=normalization,
                    metadata=SAEMetadata(
                        model_name="tiny",
                        hook_name="blocks.1.hook_resid_post",
                        prepend_bos=True,
                    ),
                    **extra,
                )
                sae = sae_class(config)
                randomize(sae)
                name = f"saelens/{kind}-{normalization}-{'minus' if subtract else 'plain'}"
                sae.save_model(HERE / name)
                if normalization == "expected_average_only_in":
                    sae.fold_activation_norm_scaling_factor(FACTOR)
                record_saelens(name, sae, inputs())


def saelens_hook_z() -> None:
    """Heads side by side."""
    config = standard_sae.StandardSAEConfig(
        d_in=D_IN,
        d_sae=D_SAE,
        reshape_activations="hook_z",
        metadata=SAEMetadata(hook_name="blocks.1.attn.hook_z"),
    )
    sae = standard_sae.StandardSAE(config)
    randomize(sae)
    sae.save_model(HERE / "saelens/hook_z")
    x = inputs().unflatten(-1, (2, D_IN // 2))
    acts = sae.encode(x)
    record("saelens/hook_z", x, acts, sae.decode(acts).flatten(-2))


def saelens_batchtopk() -> None:
    """A BatchTopK SAE as training saves it and as inference saves it: the same numbers."""
    for factor in (None, FACTOR):
        config = batchtopk_sae.BatchTopKTrainingSAEConfig(
            d_in=D_IN,
            d_sae=D_SAE,
            k=K,
            normalize_activations="none" if factor is None else "expected_average_only_in",
        )
        sae = batchtopk_sae.BatchTopKTrainingSAE(config)
        randomize(sae)
        sae.topk_threshold = torch.tensor(0.8, dtype=torch.double)
        ending = "" if factor is None else "-expected_average_only_in"
        sae.save_model(HERE / f"saelens/batchtopk_training{ending}")
        if factor is not None:
            sae.fold_activation_norm_scaling_factor(factor)
        folder = HERE / f"saelens/batchtopk_inference{ending.replace('expected', 'folded')}"
        sae.save_inference_model(folder)
        x, inference = inputs(), SAE.load_from_disk(folder)
        record_saelens(f"saelens/{folder.name}", inference, x)
        record_saelens(f"saelens/batchtopk_training{ending}", inference, x)


def saelens_transcoders() -> None:
    """SAELens's transcoders: another width out than in."""
    for kind, (sae_class, config_class) in TRANSCODERS.items():
        config = config_class(
            d_in=D_IN,
            d_sae=D_SAE,
            d_out=D_OUT,
            apply_b_dec_to_input=False,
            metadata=SAEMetadata(
                hook_name="blocks.1.hook_mlp_in", hook_name_out="blocks.1.hook_mlp_out"
            ),
        )
        sae = sae_class(config)
        randomize(sae)
        sae.save_model(HERE / f"saelens/{kind}")
        x = inputs()
        record(f"saelens/{kind}", x, sae.encode(x), sae(x))


def saelens_before_6() -> None:
    """Flat configurations, with the older names; float16 weights."""
    common = {"d_in": D_IN, "d_sae": D_SAE, "dtype": "float16", "device": "cpu"}
    flats = {
        "flat_standard": {
            "model_name": "gpt2-small",
            "hook_point": "blocks.8.hook_resid_pre",
            "hook_point_layer": 8,
        },
        "flat_topk": {
            "model_name": "tiny",
            "hook_name": "blocks.1.hook_mlp_out",
            "activation_fn_str": "topk",
            "activation_fn_kwargs": {"k": K},
            "apply_b_dec_to_input": False,
            "normalize_activations": False,
            "sae_lens_training_version": "3.1.0",
        },
        "flat_hook_z": {"model_name": "tiny", "hook_name": "blocks.1.attn.hook_z"},
    }
    for name, flat in flats.items():
        folder = HERE / "saelens" / name
        folder.mkdir(parents=True)
        (folder / "cfg.json").write_text(json.dumps(common | flat))
        shapes = {"W_enc": (D_IN, D_SAE), "W_dec": (D_SAE, D_IN), "b_enc": D_SAE, "b_dec": D_IN}
        tensors = {key: torch.randn(shape).half() for key, shape in shapes.items()}
        save_file(tensors, folder / "sae_weights.safetensors")
        sae = SAE.load_from_disk(folder, dtype="float32")
        sae.turn_off_forward_pass_hook_z_reshaping()
        record_saelens(f"saelens/{name}", sae, inputs())


def gemma_scope() -> None:
    """Gemma Scope's npz and Gemma Scope 2's safetensors, read by SAELens's loaders."""
    first = "gemma-scope-2b-pt-res/layer_12/width_16k/average_l0_82"
    folder = HERE / "gemma_scope" / first
    folder.mkdir(parents=True)
    shapes = {"W_enc": (D_IN, D_SAE), "W_dec": (D_SAE, D_IN), "b_enc": D_SAE, "b_dec": D_IN}
    arrays = {name: torch.randn(shape) for name, shape in shapes.items()}
    arrays["threshold"] = torch.rand(D_SAE)
    np.savez(folder / "params.npz", **{name: t.numpy() for name, t in arrays.items()})
    with mock.patch.object(loaders, "hf_hub_download", return_value=str(folder / "params.npz")):
        cfg, state, _ = loaders.gemma_2_sae_huggingface_loader(
            "google/gemma-scope-2b-pt-res",
            "layer_12/width_16k/average_l0_82",
            cfg_overrides={"d_in": D_IN, "d_sae": D_SAE},
        )
    record_jumprelu(f"gemma_scope/{first}", cfg, state)

    second = "gemma-scope-2-1b-pt/resid_post/layer_12_width_16k_l0_medium"
    folder = HERE / "gemma_scope" / second
    folder.mkdir(parents=True)
    raw = {
        "architecture": "jump_relu",
        "model_name": "gemma-v3-1b-pt",
        "hf_hook_point_in": "model.layers.12.output",
        "hf_hook_point_out": "model.layers.12.output",
        "affine_connection": False,
    }
    (folder / "config.json").write_text(json.dumps(raw))
    lower = {name.lower(): torch.randn(shape) for name, shape in shapes.items()}
    lower["threshold"] = torch.rand(D_SAE)
    save_file(lower, folder / "params.safetensors")

    def local(*names: str, **keywords: str) -> str:
        return str(folder / (keywords.get("filename") or names[-1]).rsplit("/", 1)[-1])

    sizes = {name: list(t.shape) for name, t in lower.items()}
    with (
        mock.patch.object(loaders, "hf_hub_download", local),
        mock.patch.object(loaders, "get_safetensors_tensor_shapes", return_value=sizes),
    ):
        cfg, state, _ = loaders.gemma_3_sae_huggingface_loader(
            "google/gemma-scope-2-1b-pt", "resid_post/layer_12_width_16k_l0_medium"
        )
    record_jumprelu(f"gemma_scope/{second}", cfg, state)


def record_jumprelu(name: str, cfg: dict[str, object], state: dict[str, torch.Tensor]) -> None:
    """Keep what SAELens computes with a Gemma Scope SAE that its loader read."""
    cfg = loaders.handle_config_defaulting(cfg)
    sae = SAE.from_dict(cfg)
    sae.load_state_dict(state)
    record_saelens(name, sae, inputs())


def numpy_reference(
    x: np.ndarray, w: dict[str, np.ndarray], kind: str, subtract: bool
) -> tuple[np.ndarray, np.ndarray]:
    """The papers' formulas, in float64, one row at a time."""
    x = x.astype(np.float64)
    w = {name: array.astype(np.float64) for name, array in w.items()}
    centred = x - w["b_dec"] if subtract else x
    pre = centred @ w["w_enc"] + w.get("b_enc", 0)
    acts = np.maximum(pre, 0)
    if kind in ("jumprelu", "batchtopk"):
        acts = np.where(pre > w["threshold"], acts, 0)
    elif kind == "gated":
        magnitude = np.exp(w["r_mag"]) * pre + w["b_mag"]
        acts = np.where(pre + w["b_gate"] > 0, np.maximum(magnitude, 0), 0)
    elif kind == "topk":
        for row in acts.reshape(-1, acts.shape[-1]):
            row[np.argsort(row)[:-K]] = 0
    return acts, acts @ w["w_dec"] + w["b_dec"]


def record_numpy(name: str, w: dict[str, torch.Tensor], kind: str, subtract: bool) -> None:
    """Keep what the formulas give."""
    x = inputs()
    arrays = {key: tensor.float().numpy() for key, tensor in w.items()}
    acts, recon = numpy_reference(x.numpy(), arrays, kind, subtract)
    if "w_skip" in w:
        recon = recon + x.numpy() @ arrays["w_skip"].T
    record(name, x, torch.from_numpy(acts), torch.from_numpy(recon))


def dictionary_learning() -> None:
    """The seven classes of dictionary_learning 0.1.0, with the names of their state dicts."""
    enc, dec = torch.randn(D_SAE, D_IN), torch.randn(D_IN, D_SAE)
    bias, out = torch.randn(D_SAE), torch.randn(D_IN)
    wide = {"encoder.weight": enc, "decoder.weight": dec}
    square = {"W_enc": enc.T.contiguous(), "W_dec": dec.T.contiguous()}
    ours = {"w_enc": enc.T, "w_dec": dec.T, "b_enc": bias, "b_dec": out}
    gates = {n: torch.randn(D_SAE) for n in ("r_mag", "gate_bias", "mag_bias")}
    k, scalar, many = torch.tensor(K), torch.tensor(0.6), torch.rand(D_SAE)
    with_k = {"encoder.bias": bias, "b_dec": out, "k": k, "threshold": scalar}
    own_gates = {"b_gate": gates["gate_bias"], "b_mag": gates["mag_bias"], "r_mag": gates["r_mag"]}
    plain = {"w_enc": enc.T, "w_dec": dec.T, "b_dec": out}
    cases = {
        "AutoEncoder": (wide | {"encoder.bias": bias, "bias": out}, ours, "standard", True),
        "AutoEncoderNew": (
            wide | {"encoder.bias": bias, "decoder.bias": out}, ours, "standard", False),
        "GatedAutoEncoder": (
            wide | gates | {"decoder_bias": out}, plain | own_gates, "gated", True),
        "AutoEncoderTopK": (wide | with_k, ours, "topk", True),
        "BatchTopKSAE": (wide | with_k, ours | {"threshold": scalar}, "batchtopk", True),
        "MatryoshkaBatchTopKSAE": (
            square
            | {"b_enc": bias, "b_dec": out, "k": k, "threshold": scalar}
            | {"group_sizes": torch.tensor([6, 8])},
            ours | {"threshold": scalar}, "batchtopk", True),
        "JumpReluAutoEncoder": (
            square | {"b_enc": bias, "b_dec": out, "threshold": many},
            ours | {"threshold": many}, "jumprelu", False),
    }  # fmt: skip
    for name, (state, weights, kind, subtract) in cases.items():
        folder = HERE / "dictionary_learning" / name
        folder.mkdir(parents=True)
        torch.save(state, folder / "ae.pt")
        trainer = {
            "dict_class": name,
            "activation_dim": D_IN,
            "dict_size": D_SAE,
            "layer": 8,
            "lm_name": "EleutherAI/pythia-70m-deduped",
            "submodule_name": "resid_post_layer_8",
        }
        if "k" in state:
            trainer["k"] = K
        config = {"trainer": trainer, "buffer": {"ctx_len": 1024}}
        (folder / "config.json").write_text(json.dumps(config))
        record_numpy(f"dictionary_learning/{name}", weights, kind, subtract)


def sparsify() -> None:
    """sparsify 1.3.3: an SAE in bfloat16, one with a stated width, and a skip transcoder."""
    cases = {
        "layers.10": {"num_latents": 0, "expansion_factor": 3, "normalize_decoder": True},
        "layers.10.mlp": {"num_latents": D_SAE, "expansion_factor": 32, "normalize_decoder": False},
        "h.3": {
            "num_latents": D_SAE,
            "expansion_factor": 32,
            "transcode": True,
            "skip_connection": True,
        },
    }
    for name, own in cases.items():
        folder = HERE / "sparsify" / name
        folder.mkdir(parents=True)
        width = own["num_latents"] or D_IN * own["expansion_factor"]
        dtype = torch.bfloat16 if name == "layers.10" else torch.float32
        state = {
            "encoder.weight": torch.randn(width, D_IN),
            "encoder.bias": torch.randn(width),
            "W_dec": torch.randn(width, D_IN),
            "b_dec": torch.randn(D_IN),
        }
        if own.get("skip_connection"):
            state["W_skip"] = torch.randn(D_IN, D_IN)
        state = {key: tensor.to(dtype) for key, tensor in state.items()}
        save_file(state, folder / "sae.safetensors")
        cfg = {"activation": "topk", "k": K, "multi_topk": False, "d_in": D_IN} | own
        (folder / "cfg.json").write_text(json.dumps(cfg))
        ours = {"w_enc": state["encoder.weight"].T, "b_enc": state["encoder.bias"]}
        ours |= {"w_dec": state["W_dec"], "b_dec": state["b_dec"]}
        if "W_skip" in state:
            ours["w_skip"] = state["W_skip"]
        record_numpy(f"sparsify/{name}", ours, "topk", not own.get("transcode", False))


def main() -> None:
    """Write everything anew."""
    torch.manual_seed(20260)
    for folder in ("saelens", "gemma_scope", "dictionary_learning", "sparsify"):
        shutil.rmtree(HERE / folder, ignore_errors=True)
    with torch.no_grad():
        saelens_combinations()
        saelens_hook_z()
        saelens_batchtopk()
        saelens_transcoders()
        saelens_before_6()
        gemma_scope()
        dictionary_learning()
        sparsify()
    save_file(EXPECTED, HERE / "expected.safetensors")


if __name__ == "__main__":
    main()
