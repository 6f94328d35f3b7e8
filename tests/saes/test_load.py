"""Every format and architecture against what its own library computes (tests/goldens/saes)."""

from __future__ import annotations

import json
import pickle
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from causal_sae.errors import SAEError
from causal_sae.saes import load_sae, open_sae
from causal_sae.spec.sources import SAESpec

GOLDENS = Path(__file__).parents[1] / "goldens" / "saes"
EXPECTED = load_file(GOLDENS / "expected.safetensors")
CASES = sorted({name.rsplit("/", 1)[0] for name in EXPECTED})
TRANSCODERS = {
    "saelens/transcoder",
    "saelens/skip_transcoder",
    "saelens/jumprelu_transcoder",
    "sparsify/h.3",
}
FACTOR = 0.37

torch.set_num_threads(1)


def factor_of(case: str) -> float | None:
    return FACTOR if "expected_average_only_in" in case else None


def expected(case: str, what: str) -> torch.Tensor:
    return EXPECTED[f"{case}/{what}"]


def close(found: torch.Tensor, wanted: torch.Tensor) -> None:
    """Within 1e-6 of the larger of 1 and the largest number: sums cancel, so each has its size."""
    limit = 1e-6 * max(1.0, float(wanted.abs().max()))
    torch.testing.assert_close(found, wanted, rtol=0, atol=limit)


@pytest.mark.parametrize("case", CASES)
def test_encode_and_decode_are_the_librarys_own(case):
    sae = load_sae(GOLDENS / case, normalization_factor=factor_of(case))
    x = expected(case, "x")
    acts = sae.encode(x)
    close(acts, expected(case, "acts"))
    close(sae.decode(acts, like=x), expected(case, "recon"))
    close(sae.reconstruct(x), expected(case, "recon"))
    assert (expected(case, "acts") > 0).any()
    assert (expected(case, "acts") == 0).any()


@pytest.mark.parametrize("case", CASES)
def test_chosen_features_are_encoded_as_with_all_the_others(case):
    sae = load_sae(GOLDENS / case, normalization_factor=factor_of(case))
    x, features = expected(case, "x"), [5, 0, 11]
    close(sae.encode_features(x, features), expected(case, "acts")[..., features])


@pytest.mark.parametrize("case", sorted(set(CASES) - TRANSCODERS))
def test_a_features_delta_is_the_change_of_the_reconstruction(case):
    sae = load_sae(GOLDENS / case, normalization_factor=factor_of(case))
    x = expected(case, "x")
    acts = sae.encode(x)
    change = torch.randn(*acts.shape[:-1], 2)
    edited = acts.clone()
    edited[..., [3, 7]] += change
    wanted = sae.decode(edited, like=x) - sae.decode(acts, like=x)
    torch.testing.assert_close(sae.delta(change, [3, 7], like=x), wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.oracle
@pytest.mark.filterwarnings("ignore")
def test_the_oracle_agrees_live():
    sae_lens = pytest.importorskip("sae_lens")
    for case in (c for c in CASES if c.startswith("saelens/") and "training" not in c):
        if "hook_z" in case or case in TRANSCODERS:
            continue
        theirs = sae_lens.SAE.load_from_disk(GOLDENS / case, dtype="float32")
        if factor_of(case):
            theirs.fold_activation_norm_scaling_factor(FACTOR)
        ours = load_sae(GOLDENS / case, normalization_factor=factor_of(case))
        x = torch.randn(3, ours.config.d_in) * 4
        acts = theirs.encode(x)
        close(ours.encode(x), acts)
        close(ours.decode(acts, like=x), theirs.decode(acts))


def test_what_the_files_say_of_themselves():
    config = load_sae(GOLDENS / "saelens/topk_rescaled-layer_norm-minus").config
    assert (config.architecture, config.k, config.hook) == ("topk", 3, "blocks.1.hook_resid_post")
    assert (config.model_name, config.prepend_bos) == ("tiny", True)
    flat = load_sae(GOLDENS / "saelens/flat_standard").config
    assert (flat.hook, flat.apply_b_dec_to_input) == ("blocks.8.hook_resid_pre", True)
    assert flat.dtype == "float16"
    first = load_sae(
        GOLDENS / "gemma_scope/gemma-scope-2b-pt-res/layer_12/width_16k/average_l0_82"
    ).config
    assert (first.hook, first.model_name) == ("blocks.12.hook_resid_post", "gemma-2-2b")
    second = load_sae(
        GOLDENS / "gemma_scope/gemma-scope-2-1b-pt/resid_post/layer_12_width_16k_l0_medium"
    ).config
    assert (second.hook, second.transcoder) == ("model.layers.12.output", False)
    assert second.model_name == "gemma-3-1b-pt"
    assert load_sae(GOLDENS / "sparsify/layers.10.mlp").config.hook == "layers.10.mlp"
    learned = load_sae(GOLDENS / "dictionary_learning/BatchTopKSAE").config
    assert (learned.hook, learned.d_sae) == ("blocks.8.hook_resid_post", 14)


@pytest.mark.parametrize(
    "case", ["saelens/flat_standard", "sparsify/layers.10", "dictionary_learning/AutoEncoder"]
)
def test_narrow_numbers_are_widened_on_loading(case):
    sae = load_sae(GOLDENS / case)
    assert {t.dtype for t in sae.weights.present().values()} == {torch.float32}


def copy(case: str, tmp_path: Path) -> Path:
    return Path(shutil.copytree(GOLDENS / case, tmp_path / "sae"))


def amend(path: Path, **changes: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


STANDARD = "saelens/standard-none-minus"


def test_a_missing_factor_is_asked_for_and_a_needless_one_refused():
    with pytest.raises(SAEError, match=r"factor is not in its files.*normalization_factor"):
        load_sae(GOLDENS / "saelens/standard-expected_average_only_in-minus")
    with pytest.raises(SAEError, match="remove it"):
        load_sae(GOLDENS / STANDARD, normalization_factor=2.0)
    with pytest.raises(SAEError, match="positive number"):
        load_sae(
            GOLDENS / "saelens/standard-expected_average_only_in-minus", normalization_factor=-1.0
        )


def test_missing_files_are_listed(tmp_path):
    (tmp_path / "readme.txt").write_text("")
    with pytest.raises(SAEError, match=r"sae_weights.safetensors.*params.npz.*readme.txt"):
        load_sae(tmp_path)
    with pytest.raises(SAEError, match="no such folder"):
        load_sae(tmp_path / "absent")
    folder = copy(STANDARD, tmp_path)
    (folder / "cfg.json").unlink()
    with pytest.raises(SAEError, match=r"cfg.json is not in the folder.*sae_weights.safetensors"):
        load_sae(folder)


def test_several_formats_in_one_folder_need_a_word(tmp_path):
    folder = copy(STANDARD, tmp_path)
    shutil.copy(GOLDENS / "dictionary_learning/AutoEncoder/ae.pt", folder)
    with pytest.raises(SAEError, match="saelens, dictionary_learning"):
        load_sae(folder)
    assert load_sae(folder, "saelens").config.format == "saelens"


def test_shapes_must_be_those_of_the_configuration(tmp_path):
    folder = copy(STANDARD, tmp_path)
    amend(folder / "cfg.json", d_sae=15)
    with pytest.raises(SAEError, match=r"w_enc must have the shape \[6, 15\].*has \[6, 14\]"):
        load_sae(folder)


def test_an_unknown_architecture_or_normalisation_is_refused(tmp_path):
    folder = copy(STANDARD, tmp_path)
    amend(folder / "cfg.json", architecture="jumprelus")
    with pytest.raises(SAEError, match="did you mean 'jumprelu'"):
        load_sae(folder)
    amend(folder / "cfg.json", architecture="standard", normalize_activations="layernorm")
    with pytest.raises(SAEError, match="did you mean 'layer_norm'"):
        load_sae(folder)


def test_weights_must_be_finite(tmp_path):
    folder = copy(STANDARD, tmp_path)
    tensors = load_file(folder / "sae_weights.safetensors")
    tensors["W_dec"][2, 3] = float("nan")
    save_file(tensors, folder / "sae_weights.safetensors")
    with pytest.raises(SAEError, match="w_dec must hold finite numbers"):
        load_sae(folder)


def test_a_tensor_that_the_architecture_needs_must_be_there(tmp_path):
    folder = copy("saelens/jumprelu-none-minus", tmp_path)
    tensors = load_file(folder / "sae_weights.safetensors")
    del tensors["threshold"]
    save_file(tensors, folder / "sae_weights.safetensors")
    with pytest.raises(SAEError, match="needs the tensor 'threshold'"):
        load_sae(folder)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"metadata": {"hook_head_index": 3}}, "attention head 3 alone"),
        ({"architecture": "topk", "k": 99}, "between 1 and its 14 features"),
        ({"d_in": "six"}, "positive integer"),
    ],
)
def test_what_cannot_be_computed_is_refused(tmp_path, changes, sentence):
    folder = copy(STANDARD, tmp_path)
    amend(folder / "cfg.json", **changes)
    with pytest.raises(SAEError, match=sentence):
        load_sae(folder)


def test_a_damaged_configuration_has_a_line(tmp_path):
    folder = copy(STANDARD, tmp_path)
    (folder / "cfg.json").write_text('{"d_in": 6,\n nonsense}')
    with pytest.raises(SAEError, match=r"cfg.json:2:2: .*must be JSON"):
        load_sae(folder)


class Trap:
    """Unpickling this would write a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_nothing_untrusted_is_unpickled(tmp_path):
    sprung = tmp_path / "sprung"
    learned = copy("dictionary_learning/AutoEncoder", tmp_path)
    torch.save({"encoder.weight": Trap(sprung)}, learned / "ae.pt")
    with pytest.raises(SAEError, match="could run code"):
        load_sae(learned)
    scope = tmp_path / "scope"
    scope.mkdir()
    np.savez(scope / "params.npz", W_enc=np.array([Trap(sprung)], dtype=object))
    with pytest.raises(SAEError, match="plain arrays"):
        load_sae(scope)
    (learned / "ae.pt").write_bytes(pickle.dumps([Trap(sprung)], protocol=2))
    with pytest.raises(SAEError, match="could run code"):
        load_sae(learned)
    assert not sprung.exists()


@pytest.mark.parametrize("name", ["sae_weights.safetensors", "params.npz", "ae.pt"])
def test_a_truncated_file_is_an_sae_error(tmp_path, name):
    case = {
        "sae_weights.safetensors": STANDARD,
        "params.npz": "gemma_scope/gemma-scope-2b-pt-res/layer_12/width_16k/average_l0_82",
        "ae.pt": "dictionary_learning/AutoEncoder",
    }[name]
    folder = copy(case, tmp_path)
    whole = (folder / name).read_bytes()
    (folder / name).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(SAEError, match=name):
        load_sae(folder)


@pytest.mark.parametrize("case", sorted(TRANSCODERS))
def test_a_transcoder_writes_where_its_files_say(case):
    sae = load_sae(GOLDENS / case)
    x = expected(case, "x")
    acts = sae.encode(x)
    more = acts.clone()
    more[..., 2] += 1.5
    moved = sae.decode(more, like=x) - sae.decode(acts, like=x)
    torch.testing.assert_close(
        moved, 1.5 * sae.direction([2])[0].expand_as(moved), atol=1e-5, rtol=1e-4
    )
    assert bool((sae.token_scale(x) == 1).all())
    assert sae.config.hook_out in ("blocks.1.hook_mlp_out", "h.3")
    nowhere = replace(sae, config=replace(sae.config, hook_out=None))
    with pytest.raises(SAEError, match=r"transcoder.*do not say which; give it as `hook_out`"):
        nowhere.direction([0])


def test_a_trial_may_say_where_a_transcoder_writes_but_not_an_sae():
    source = {"path": str(GOLDENS / "saelens/transcoder")}
    named = SAESpec.model_validate({"source": source, "hook_out": "model.layers.1.mlp"})
    assert open_sae(named, Path()).config.hook_out == "model.layers.1.mlp"
    plain = {"source": {"path": str(GOLDENS / STANDARD)}, "hook_out": "model.layers.1.mlp"}
    with pytest.raises(SAEError, match="must be left out: this SAE writes where it reads"):
        open_sae(SAESpec.model_validate(plain), Path())


def test_centring_is_taken_from_the_files_the_repository_or_the_caller(tmp_path):
    assert not load_sae(GOLDENS / STANDARD).config.centre_activations
    assert load_sae(GOLDENS / STANDARD, centre_activations=True).config.centre_activations
    cached = tmp_path / "models--jbloom--GPT2-Small-SAEs-Reformatted/snapshots/c0"
    shutil.copytree(GOLDENS / "saelens/flat_standard", cached / "blocks.8.hook_resid_pre")
    assert load_sae(cached / "blocks.8.hook_resid_pre").config.centre_activations
    stated = copy(STANDARD, tmp_path)
    kwargs = {"model_from_pretrained_kwargs": {"center_writing_weights": True}}
    amend(stated / "cfg.json", metadata=kwargs | {"hook_name": "blocks.1.hook_resid_pre"})
    assert load_sae(stated).config.centre_activations
    # Centring the writing weights leaves the heads' outputs as they are.
    amend(stated / "cfg.json", metadata=kwargs | {"hook_name": "blocks.1.attn.hook_z"})
    assert not load_sae(stated).config.centre_activations


@pytest.mark.parametrize("said", [True, False])
def test_the_trial_may_say_whether_activations_are_centred(said):
    source = {"path": str(GOLDENS / STANDARD)}
    spec = SAESpec.model_validate({"source": source, "centre_activations": said})
    assert open_sae(spec, Path()).config.centre_activations is said


def test_open_sae_starts_at_the_trials_folder_and_takes_the_trials_hook(tmp_path):
    copy(STANDARD, tmp_path)
    spec = SAESpec.model_validate({"source": {"path": "sae"}})
    assert open_sae(spec, tmp_path).config.hook == "blocks.1.hook_resid_post"
    own = spec.model_copy(update={"hook": "blocks.0.hook_mlp_out"})
    assert open_sae(own, tmp_path).config.hook == "blocks.0.hook_mlp_out"


def test_an_sae_without_a_place_needs_one_from_the_trial(tmp_path):
    shutil.copytree(
        GOLDENS / "gemma_scope/gemma-scope-2b-pt-res/layer_12/width_16k/average_l0_82",
        tmp_path / "mine",
    )
    spec = SAESpec.model_validate({"source": {"path": "mine"}})
    with pytest.raises(SAEError, match=r"hook: blocks\.8.hook_resid_post"):
        open_sae(spec, tmp_path)


def test_saelens_registry_without_saelens_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "sae_lens", None)
    spec = SAESpec.model_validate({"source": {"saelens": {"release": "r", "id": "i"}}})
    with pytest.raises(SAEError, match=r"pip install causal-sae\[saelens\]"):
        open_sae(spec, tmp_path)


def registry(monkeypatch, get):
    """A stand-in for SAELens: two releases, and whatever ``get`` does."""
    gemma = SimpleNamespace(saes_map={"layer_12/width_16k/canonical": "x", "layer_3/w": "y"})
    known = {"gemma-scope-2b-pt-res-canonical": gemma, "gpt2-small-res-jb": SimpleNamespace()}
    where = "sae_lens.loading.pretrained_saes_directory"
    directory = SimpleNamespace(get_pretrained_saes_directory=lambda: known)
    fake = SimpleNamespace(SAE=SimpleNamespace(from_pretrained=get))
    parts = {"sae_lens": fake, "sae_lens.loading": SimpleNamespace(), where: directory}
    for name, module in parts.items():
        monkeypatch.setitem(sys.modules, name, module)


def named(release, sae_id, **more):
    source = {"saelens": {"release": release, "id": sae_id}}
    return SAESpec.model_validate({"source": source, **more})


def test_an_sae_of_the_registry_is_read_as_its_files_would_be(tmp_path, monkeypatch):
    asked = []

    def get(release, sae_id, device):
        asked.append((release, sae_id, device))
        save = lambda folder: shutil.copytree(GOLDENS / STANDARD, folder, dirs_exist_ok=True)  # noqa: E731
        return SimpleNamespace(save_model=save)

    registry(monkeypatch, get)
    sae = open_sae(named("gpt2-small-res-jb", "blocks.8.hook_resid_pre"), tmp_path)
    assert asked == [("gpt2-small-res-jb", "blocks.8.hook_resid_pre", "cpu")]
    own = load_sae(GOLDENS / STANDARD)
    assert torch.equal(sae.weights.w_enc, own.weights.w_enc)
    assert sae.config.path is None


@pytest.mark.parametrize(
    ("release", "sae_id", "field", "sentence"),
    [
        ("gemma-scope-2b-res", "x", "release", "nearest are gemma-scope-2b-pt-res-canonical"),
        ("gemma-scope-2b-pt-res-canonical", "layer_12/canonical", "id", "nearest are layer_12/"),
        ("qqq", "x", "release", "has no release 'qqq'"),
    ],
)
def test_a_name_that_the_registry_lacks_is_refused_with_the_nearest(
    tmp_path, monkeypatch, release, sae_id, field, sentence
):
    registry(monkeypatch, None)
    with pytest.raises(SAEError, match=sentence) as caught:
        open_sae(named(release, sae_id), tmp_path)
    assert caught.value.place.field == f"sae.source.saelens.{field}"


def test_a_registry_without_a_network_says_what_to_do(tmp_path, monkeypatch):
    class ConnectError(Exception):
        """As httpx raises: no OSError."""

    def get(*_, **__):
        raise ConnectError("name resolution failed")

    registry(monkeypatch, get)
    with pytest.raises(SAEError, match="SAELens cannot get someone/saes / layer_3: name resol"):
        open_sae(named("someone/saes", "layer_3"), tmp_path)
    with pytest.raises(SAEError, match=r"name resolution failed.*no network, download it elsewh"):
        open_sae(named("gpt2-small-res-jb", "blocks.8.hook_resid_pre"), tmp_path)


def test_the_hub_out_of_reach_is_a_sentence(tmp_path, monkeypatch):
    import huggingface_hub

    def unreachable(*_: object, **__: object) -> str:
        raise OSError("no network")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", unreachable)
    spec = SAESpec.model_validate({"source": {"hub": "a/b", "file": "layer_1"}})
    with pytest.raises(SAEError, match=r"'a/b' cannot be downloaded: no network.*source"):
        open_sae(spec, tmp_path)


def test_a_hub_folder_is_read_as_a_local_one(tmp_path, monkeypatch):
    import huggingface_hub

    asked: dict[str, object] = {}

    def fake(repository: str, **wanted: object) -> str:
        asked.update(wanted, repository=repository)
        return str(GOLDENS)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fake)
    spec = SAESpec.model_validate({"source": {"hub": "a/b", "revision": "c0", "file": STANDARD}})
    assert open_sae(spec, tmp_path).config.d_sae == 14
    assert asked["revision"] == "c0"
    assert f"{STANDARD}/*" in asked["allow_patterns"]
