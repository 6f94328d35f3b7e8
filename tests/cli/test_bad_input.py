"""Bad input, end to end: a sentence with the place, the value and a remedy; nothing is written."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

CLAMP = {"kind": "clamp", "features": [3], "dose": 2.0}
NONE = {"name": "control", "intervention": {"kind": "none"}}
LOGPROB = {"name": "y", "role": "primary", "metric": "token_logprob"}


def arms(**changes):
    return {"arms": [NONE, {"name": "treated", "intervention": CLAMP | changes}]}


@pytest.fixture
def refused(call, trial_folder, tmp_path):
    """``refused("run", *parts, **changes)``: exit code 2, all parts said, nothing written."""

    def check(command: str, *parts: str, place: str = "", **changes: object):
        path = trial_folder(**changes)
        words = [command, path, "--out", tmp_path / "out"] if command == "run" else [command, path]
        said = call(*words)
        line = " ".join(said.err.split())
        assert said.code == 2, said.err + said.out
        for part in parts:
            assert part in line, said.err
        if place:
            where, _, field = place.partition(" ")
            number = line.split(f"{where}:", 1)[1].split(":", 2)
            assert int(number[0]) > 1
            assert int(number[1]) >= 1
            assert field in line
        assert not (tmp_path / "out").exists()
        assert not list((tmp_path / "here").iterdir())

    return check


@pytest.mark.parametrize("command", ["validate", "run"])
def test_a_missing_prompts_file(refused, command):
    population = {"prompts": "promts.csv", "unit": "id"}
    refused(
        command,
        "promts.csv",
        "did you mean 'prompts.csv'",
        place="trial.yaml population.prompts",
        population=population,
    )


def test_a_missing_trial_file(call, tmp_path):
    said = call("run", tmp_path / "trail.yaml")
    assert said.code == 2
    assert "the trial file must exist" in said.err


@pytest.mark.parametrize("command", ["validate", "run"])
def test_a_wrong_column(refused, command):
    outcome = LOGPROB | {"target": {"column": "tagret"}}
    refused(command, "tagret", "did you mean 'target'", outcomes=[outcome])


@pytest.mark.parametrize("command", ["validate", "run"])
def test_an_unknown_kind(refused, command):
    refused(
        command,
        "'ablat'",
        "did you mean 'ablate'",
        place="trial.yaml arms[1].intervention",
        **arms(kind="ablat"),
    )


def test_a_feature_out_of_range(refused):
    refused(
        "run",
        "between 0 and 23",
        "got 24",
        place="trial.yaml arms[1].intervention.features",
        **arms(features=[24]),
    )


def test_an_sae_that_does_not_fit_the_model(refused, tmp_path, tiny_sae):
    sae = tiny_sae("blocks.1.hook_resid_post", width=16, d_sae=12)
    folder = tmp_path / "narrow"
    folder.mkdir()
    w = sae.weights
    tensors = {"W_enc": w.w_enc, "W_dec": w.w_dec, "b_dec": w.b_dec, "b_enc": w.b_enc}
    tensors["threshold"] = w.threshold
    save_file({n: t.contiguous() for n, t in tensors.items()}, folder / "sae_weights.safetensors")
    config = {"architecture": "jumprelu", "d_in": 16, "d_sae": 12, "dtype": "float32"}
    config |= {"apply_b_dec_to_input": True, "normalize_activations": "none"}
    config["metadata"] = {"hook_name": "blocks.1.hook_resid_post", "prepend_bos": True}
    (folder / "cfg.json").write_text(json.dumps(config))
    refused(
        "run",
        "width 16",
        "have width 32",
        "give the SAE that was trained on this model",
        place="trial.yaml sae.source",
        sae={"source": {"path": "narrow"}},
    )


@pytest.mark.parametrize("command", ["validate", "run"])
def test_an_sae_that_is_not_there(refused, command):
    refused(command, "nowhere", "sae.source", sae={"source": {"path": "nowhere"}})


def test_a_hook_that_the_model_does_not_have(refused):
    refused(
        "run",
        "has 4 (0 to 3)",
        "blocks.9.hook_resid_post",
        place="trial.yaml sae.hook",
        sae={"source": {"path": "sae"}, "hook": "blocks.9.hook_resid_post"},
    )


def test_a_module_that_the_model_does_not_have(refused):
    hook = "model.layers.1.nonsense"
    refused("run", hook, "sae.hook", sae={"source": {"path": "sae"}, "hook": hook})


def test_a_prompt_longer_than_the_context(refused, prompts_file):
    prompts_file.write_text(
        prompts_file.read_text() + f"long,{'whale ' * 70},sea,t1, whale, sea,x\n"
    )
    refused("run", "unit 'long'", "takes 64", "shorten it", place="trial.yaml population.prompts")


def test_a_target_of_several_tokens(refused):
    outcome = LOGPROB | {"target": "whale sea"}
    refused(
        "run",
        "must be one token",
        "which is 2: ['whale', ' sea']",
        "sequence: true",
        place="trial.yaml outcomes[0].target",
        outcomes=[outcome],
    )


def test_a_target_of_several_tokens_in_the_prompts_names_its_unit(refused, prompts_file):
    prompts_file.write_text(prompts_file.read_text().replace(", the,", ", the whale,", 1))
    refused(
        "run",
        str(prompts_file),
        "unit 'u00', column 'target'",
        "which is 2: [' the', ' whale']",
    )


def test_an_arm_of_no_features(refused):
    refused("validate", "arms[1].intervention.features", **arms(features=[]))


def test_an_arm_that_gets_no_units(refused, prompts_file):
    prompts_file.write_text("\n".join(prompts_file.read_text().splitlines()[:2]) + "\n")
    refused("run", "arm")


def test_no_prompt_is_eligible(refused):
    population = {"prompts": "prompts.csv", "unit": "id", "eligibility": {"min_tokens": 60}}
    refused(
        "run",
        "none of the 60 prompts is eligible: 60 have fewer than 60 tokens",
        place="trial.yaml population.eligibility",
        population=population,
    )


def test_a_pattern_that_matches_nowhere(refused):
    refused(
        "run",
        "matches none of the 60 prompts",
        place="trial.yaml positions",
        positions={"regex": "Zanzibar"},
    )


def test_a_model_whose_logits_are_not_finite(refused, tmp_path, weights_folder):
    broken = tmp_path / "broken"
    broken.mkdir()
    for path in (weights_folder / "model").iterdir():
        (broken / path.name).write_bytes(path.read_bytes())
    weights = load_file(broken / "model.safetensors")
    weights["lm_head.weight"][5] = torch.nan
    save_file(weights, broken / "model.safetensors", metadata={"format": "pt"})
    refused(
        "run",
        "untouched model gives logits that are not finite on unit 'u",
        "dtype: float32",
        place="trial.yaml model",
        model={"source": {"path": "broken"}, "device": "cpu"},
    )


def test_a_dose_that_breaks_the_model(refused):
    refused(
        "run",
        "arm 'treated' makes the model give logits that are not finite on unit 'u",
        "lower its dose",
        place="trial.yaml arms[1].intervention",
        **arms(dose=1e39),
    )


def test_a_backend_that_is_not_there(call, trial_folder):
    said = call("run", trial_folder(), "--backend", "loacl")
    assert said.code == 2
    assert "did you mean 'local'" in said.err


def test_a_folder_that_is_taken(call, trial_folder, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("")
    said = call("run", trial_folder(), "--out", tmp_path / "out")
    assert said.code == 2
    assert "is not empty; add --resume" in said.err
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["mine"]
