"""Small models, made from configurations with random weights: nothing is downloaded."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

torch.set_num_threads(1)

LAYERS, WIDTH = 4, 32
WORDS = (  # noqa: SIM905 - forty words read better as a sentence
    "the a an whale sea ship boat captain harpoon white old man said went saw deep water storm "
    "night day great small king queen city road house tree river stone bird song of to and in on "
    "with was is not his her they it"
).split()


def tiny_tokenizer():
    """A word-level tokenizer: every word of WORDS is one token, with its leading space or not."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted({c for w in WORDS for c in w} | set(".,!?'0123456789"))
    pieces = ["<s>", "</s>", "<unk>", *alphabet, *WORDS, *("\u0120" + w for w in WORDS), "\u0120"]
    vocabulary = {piece: i for i, piece in enumerate(dict.fromkeys(pieces))}
    tokenizer = Tokenizer(
        models.WordPiece(vocabulary, unk_token="<unk>", max_input_chars_per_word=50)
    )
    tokenizer.model.continuing_subword_prefix = ""
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", unk_token="<unk>"
    )


VARIANT_OF = {
    "gpt_neox_sequential": "gpt_neox",
    "opt_post_norm": "opt",
    "falcon_sequential": "falcon",
}


def tiny_network(family: str):
    """A causal language model of ``family`` with random weights that matter."""
    from transformers import AutoModelForCausalLM
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    size = len(tiny_tokenizer())
    common = {
        "hidden_size": WIDTH,
        "intermediate_size": 48,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": 4,
        "vocab_size": size,
        "max_position_embeddings": 64,
        "bos_token_id": 0,
        "eos_token_id": 1,
        "pad_token_id": 1,
    }
    grouped = {"num_key_value_heads": 2}
    heads = {"n_embd": WIDTH, "n_layer": LAYERS, "n_head": 4, "n_positions": 64}
    ends = {name: common[name] for name in ("vocab_size", "bos_token_id", "eos_token_id")}
    bare = {name: common[name] for name in common if not name.startswith(("inter", "pad"))}
    opt = bare | {"word_embed_proj_dim": WIDTH, "ffn_dim": 48}
    kinds = [[["global", "local"], LAYERS // 2]]
    own = {
        "gpt2": heads | ends,
        "llama": common | grouped,
        "gemma2": common | grouped | {"head_dim": 8, "sliding_window": 8},
        "gpt_neox": common,
        "gpt_neox_sequential": common | {"use_parallel_residual": False},
        "qwen2": common | grouped,
        "phi": common,
        "phi3": common | grouped,
        "olmo2": common | grouped,
        "mixtral": common | grouped | {"num_local_experts": 4},
        "cohere": common | grouped | {"logit_scale": 0.25},
        "gptj": heads | ends | {"rotary_dim": 4},
        "gpt_neo": bare | {"num_layers": LAYERS, "attention_types": kinds, "window_size": 3},
        "opt": opt,
        "opt_post_norm": opt | {"do_layer_norm_before": False},
        "bloom": ends | {"hidden_size": WIDTH, "n_layer": LAYERS, "n_head": 4},
        "falcon": bare,
        "falcon_sequential": bare | {"parallel_attn": False, "alibi": True},
    }[family]
    torch.manual_seed(0)
    attention = {"attn_implementation": "eager"} if family == "gemma2" else {}
    config = CONFIG_MAPPING[VARIANT_OF.get(family, family)](**own)
    network = AutoModelForCausalLM.from_config(config, **attention)
    for parameter in network.parameters():
        if parameter.ndim > 1:
            torch.nn.init.normal_(parameter, std=0.15)
    return network.eval()


@pytest.fixture(scope="session")
def tiny_model():
    """``tiny_model("llama")``: a wrapped language model; one instance a session and family."""
    from causal_sae.execution.model import wrap_model

    made = {}

    def get(family: str):
        if family not in made:
            made[family] = wrap_model(tiny_network(family), tiny_tokenizer(), f"tiny-{family}", "0")
        return made[family]

    return get


@pytest.fixture(scope="session")
def tiny_sae():
    """A JumpReLU SAE of 24 features whose encoder nearly inverts its decoder."""
    from causal_sae.saes.config import SAEConfig
    from causal_sae.saes.sae import build
    from causal_sae.saes.weights import Weights

    def make(hook: str, architecture: str = "jumprelu", width: int = WIDTH, d_sae: int = 24):
        draw = torch.Generator().manual_seed(1)
        decoder = torch.linalg.qr(torch.randn(width, width, generator=draw))[0][:d_sae]
        scale = torch.linspace(0.8, 1.25, d_sae)[:, None]
        weights = Weights(
            w_enc=(decoder / scale).T + 0.01 * torch.randn(width, d_sae, generator=draw),
            w_dec=decoder * scale,
            b_dec=0.05 * torch.randn(width, generator=draw),
            b_enc=0.05 * torch.randn(d_sae, generator=draw),
            threshold=torch.full((d_sae,), 0.05) if architecture == "jumprelu" else None,
        )
        k = 6 if architecture == "topk" else None
        config = SAEConfig(
            architecture,
            width,
            d_sae,
            width,
            hook=hook,
            k=k,
            prepend_bos=True,
            apply_b_dec_to_input=True,
        )
        return build(config, weights)

    return make


def write_prompts(folder: Path) -> Path:
    """60 prompts of several lengths with a topic, a template, a target and a foil."""
    rows = ["id,text,topic,template,target,foil,tail"]
    for n in range(60):
        words = [WORDS[(n * 7 + k * 3) % len(WORDS)] for k in range(4 + n % 4)]
        target, foil = WORDS[n % 20], WORDS[(n + 5) % 20]
        rows.append(
            f"u{n:02d},{' '.join(words)},{'sea' if n % 2 else 'land'},t{n % 12}, {target}, {foil},"
            f" {WORDS[n % 9]} {WORDS[n % 11]}"
        )
    path = folder / "prompts.csv"
    path.write_text("\n".join(rows) + "\n")
    return path


@pytest.fixture
def prompts_file(tmp_path: Path) -> Path:
    """The prompts of :func:`write_prompts`."""
    return write_prompts(tmp_path)


def save_sae(sae, folder: Path) -> None:
    """Write a small SAE in SAELens's layout."""
    import json

    from safetensors.torch import save_file

    folder.mkdir(parents=True)
    w = sae.weights
    tensors = {"W_enc": w.w_enc, "W_dec": w.w_dec, "b_dec": w.b_dec, "b_enc": w.b_enc}
    tensors["threshold"] = w.threshold
    whole = {name: tensor.contiguous() for name, tensor in tensors.items()}
    save_file(whole, folder / "sae_weights.safetensors")
    c = sae.config
    (folder / "cfg.json").write_text(
        json.dumps(
            {
                "architecture": c.architecture,
                "d_in": c.d_in,
                "d_sae": c.d_sae,
                "dtype": "float32",
                "apply_b_dec_to_input": True,
                "normalize_activations": "none",
                "reshape_activations": "none",
                "metadata": {"hook_name": c.hook, "prepend_bos": True, "model_name": "tiny"},
            }
        )
    )


@pytest.fixture(scope="session")
def weights_folder(tmp_path_factory, tiny_model, tiny_sae) -> Path:
    """A small model and its SAE on disk, written once."""
    folder = tmp_path_factory.mktemp("weights")
    model = tiny_model("llama")
    model.network.save_pretrained(folder / "model")
    model.tokenizer.save_pretrained(folder / "model")
    save_sae(tiny_sae("blocks.1.hook_resid_post"), folder / "sae")
    return folder


@pytest.fixture(scope="session")
def trial_maker(weights_folder: Path):
    """``trial_maker(folder)`` -> ``make(name="trial.yaml", **changes)`` -> the trial's file."""
    import yaml

    def prepare(folder: Path):
        for part in ("model", "sae"):
            (folder / part).symlink_to(weights_folder / part)
        if not (folder / "prompts.csv").exists():
            write_prompts(folder)

        def make(name: str = "trial.yaml", **changes: object) -> Path:
            path = folder / name
            path.write_text(yaml.safe_dump(TRIAL | changes, sort_keys=False))
            return path

        return make

    return prepare


@pytest.fixture
def trial_folder(tmp_path: Path, prompts_file: Path, trial_maker):
    """A folder with a small model, its SAE and prompts; ``trial_folder(**changes)`` -> its file."""
    return trial_maker(tmp_path)


@pytest.fixture
def no_page(monkeypatch):
    """For tests of numbers: the page is drawn in the test of the whole run folder."""
    monkeypatch.setattr("causal_sae.pipeline.report_run", lambda folder: None)


@pytest.fixture(scope="session")
def finished(tmp_path_factory, trial_maker):
    """The trial of :data:`TRIAL`, run once: do not change what it wrote."""
    import causal_sae as cs

    folder = tmp_path_factory.mktemp("finished")
    return cs.run_trial(trial_maker(folder)(), out=folder / "out")


TRIAL = {
    "schema": 1,
    "name": "tiny",
    "question": "Does feature 3 carry the target?",
    "seed": 5,
    "model": {"source": {"path": "model"}, "device": "cpu"},
    "sae": {"source": {"path": "sae"}},
    "population": {"prompts": "prompts.csv", "unit": "id"},
    "assignment": {"method": "complete"},
    "arms": [
        {"name": "control", "intervention": {"kind": "none"}},
        {
            "name": "clamp",
            "intervention": {
                "kind": "clamp",
                "features": [3],
                "dose": {"multiple": 2, "of": "max"},
            },
        },
        {
            "name": "placebo",
            "intervention": {
                "kind": "clamp",
                "features": {"placebo_for": [3], "draws": 3},
                "dose": {"multiple": 2, "of": "max"},
            },
        },
    ],
    "outcomes": [
        {
            "name": "gap",
            "role": "primary",
            "metric": "logit_diff",
            "target": {"column": "target"},
            "foil": {"column": "foil"},
        },
        {"name": "drift", "role": "guardrail", "metric": "kl", "margin": 0.1},
    ],
}
