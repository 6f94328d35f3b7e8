"""Finding an SAE and reading it, whatever its format."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path

from causal_sae.errors import Place, SAEError, did_you_mean
from causal_sae.saes import dictionary_learning, gemma_scope, saelens, sparsify
from causal_sae.saes.config import SAEConfig
from causal_sae.saes.files import listing
from causal_sae.saes.sae import SAE, build
from causal_sae.saes.weights import Weights
from causal_sae.spec.sources import (
    HubSource,
    PathSource,
    SAEFormat,
    SAELensRelease,
    SAESpec,
)


@dataclass(frozen=True)
class Format:
    """One layout of files: how it is recognised and read."""

    weights: tuple[str, ...]
    """The names of its weights' files; any of them in a folder is this format."""
    read: Callable[[Path], tuple[SAEConfig, Weights]]
    """``(folder) -> (config, weights)``"""


FORMATS: dict[str, Format] = {
    "saelens": Format((saelens.WEIGHTS,), saelens.read),
    "gemma_scope": Format((gemma_scope.WEIGHTS, gemma_scope.WEIGHTS_2), gemma_scope.read),
    "dictionary_learning": Format((dictionary_learning.WEIGHTS,), dictionary_learning.read),
    "sparsify": Format((sparsify.WEIGHTS,), sparsify.read),
}

CENTRED_REPOSITORIES = (
    "jbloom/GPT2-Small-SAEs-Reformatted",
    "jbloom/GPT2-Small-Feature-Splitting-Experiment-Layer-8",
    "tommmcgrath/gpt2-small-mlp-out-saes",
)
"""SAEs of GPT-2 with centred writing weights, whose own files do not say so (SAELens's registry
does)."""


def load_sae(
    path: Path,
    format: SAEFormat = "auto",  # noqa: A002 - the trial file's own word
    normalization_factor: float | None = None,
    centre_activations: bool | None = None,
) -> SAE:
    """Read an SAE from a folder (or a Gemma Scope ``.npz``), in float32.

    Parameters
    ----------
    path:
        The folder that holds the SAE's files.
    format:
        How they are laid out; ``auto`` tells by their names.
    normalization_factor:
        Required by, and only allowed for, SAEs trained with ``expected_average_only_in``.
    centre_activations:
        Whether the SAE was trained on activations whose mean over the width was removed. None:
        what its files say, or what is known of the repository they were downloaded from.

    Raises
    ------
    SAEError
        When the files are missing, damaged, inconsistent, or of a kind that cannot be read.
    """
    path = Path(path)
    name = detect_format(path) if format == "auto" else format
    if name not in FORMATS:
        raise SAEError(
            f"the SAE's format {name!r} is unknown; {did_you_mean(name, ['auto', *FORMATS])}",
            Place(file=path, field="sae.format"),
        )
    config, weights = FORMATS[name].read(_folder_of(path))
    if centre_activations is None:
        centre_activations = config.centre_activations or _is_known_centred(path)
    config = replace(config, centre_activations=centre_activations)
    return build(config, weights, normalization_factor)


def detect_format(path: Path) -> str:
    """The format of the files at ``path``, told by the names of the weights' files.

    Raises
    ------
    SAEError
        When no format's files, or those of several, are there; lists what was looked for.
    """
    names = (
        {path.name}
        if path.is_file()
        else {p.name for p in path.iterdir()}
        if path.is_dir()
        else set()
    )
    found = [name for name, form in FORMATS.items() if names & set(form.weights)]
    if path.suffix == ".npz" and path.is_file():
        found = ["gemma_scope"]
    if len(found) == 1:
        return found[0]
    if found:
        raise SAEError(
            f"the folder holds files of several formats ({', '.join(found)}): say which as format.",
            Place(file=path, field="sae.format"),
        )
    looked = "; ".join(f"{' or '.join(form.weights)} ({name})" for name, form in FORMATS.items())
    raise SAEError(f"no SAE is here. Looked for {looked}. Found {listing(path)}.", Place(file=path))


def _is_known_centred(path: Path) -> bool:
    """Whether ``path`` is the hub's cache of a repository whose SAEs are centred."""
    where = path.resolve().as_posix()
    return any(name.replace("/", "--") in where for name in CENTRED_REPOSITORIES)


def _folder_of(path: Path) -> Path:
    """The folder of an SAE named by one of its files; an ``.npz`` stays, as its name may vary."""
    return path.parent if path.is_file() and path.suffix != ".npz" else path


def open_sae(spec: SAESpec, base: Path) -> SAE:
    """The SAE that a trial names, hooked where the trial says or else where the SAE says.

    Parameters
    ----------
    spec:
        The trial's ``sae`` section.
    base:
        The folder of the trial file, where relative paths start.

    Raises
    ------
    SAEError
        When it cannot be found or read, or nobody says where it reads.
    """
    sae = _fetch(spec, base)
    hook = spec.hook or sae.config.hook
    if hook is None:
        raise SAEError(
            "the SAE's files do not say where in the model it reads: give it in the trial, "
            "such as `hook: blocks.8.hook_resid_post`.",
            Place(file=sae.config.path, field="sae.hook"),
        )
    if spec.hook_out is not None and not sae.config.transcoder:
        raise SAEError(
            f"must be left out: this SAE writes where it reads, at {hook}; hook_out is for "
            "transcoders.",
            Place(field="sae.hook_out"),
        )
    hook_out = spec.hook_out or sae.config.hook_out
    return replace(sae, config=replace(sae.config, hook=hook, hook_out=hook_out))


def _fetch(spec: SAESpec, base: Path) -> SAE:
    source, how = spec.source, (spec.normalization_factor, spec.centre_activations)
    if isinstance(source, PathSource):
        return load_sae((base / source.path.expanduser()).resolve(), spec.format, *how)
    if isinstance(source, HubSource):
        return load_sae(download(source), spec.format, *how)
    return from_registry(source.saelens, *how)


def download(source: HubSource) -> Path:
    """The local folder of an SAE on the Hugging Face hub, downloaded on first use.

    Raises
    ------
    SAEError
        When the hub cannot be reached, or has no such repository, revision or folder.
    """
    from huggingface_hub import snapshot_download  # noqa: PLC0415 - only this source needs it
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError  # noqa: PLC0415

    wanted = [source.file, f"{source.file.rstrip('/')}/*"] if source.file else None
    try:
        folder = snapshot_download(source.hub, revision=source.revision, allow_patterns=wanted)
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError, ValueError) as error:
        raise SAEError(
            f"the SAE {source.hub!r} cannot be downloaded: {error}. Download it elsewhere and name "
            "its folder as `source: {path: ...}`.",
            Place(field="sae.source.hub"),
        ) from error
    return Path(folder) / (source.file or "")


def _check_registered(release: SAELensRelease) -> None:
    """Pass when SAELens's registry, which comes with it, has the name; otherwise the nearest.

    A release with a slash is a repository of the hub, which SAELens takes too.
    """
    try:
        from sae_lens.loading.pretrained_saes_directory import (  # noqa: PLC0415
            get_pretrained_saes_directory,
        )
    except ImportError:
        return  # a version that keeps it elsewhere: SAELens itself will say
    releases = get_pretrained_saes_directory()
    if "/" in release.release and release.release not in releases:
        return
    for what, given, known in (
        ("release", release.release, releases),
        ("id", release.id, getattr(releases.get(release.release), "saes_map", {})),
    ):
        if known and given not in known:
            near = get_close_matches(given, known, n=3, cutoff=0.4)
            hint = f"; the nearest are {', '.join(near)}" if near else ""
            raise SAEError(
                f"SAELens's registry has no {what} {given!r}{hint}.",
                Place(field=f"sae.source.saelens.{what}"),
            )


def from_registry(
    release: SAELensRelease,
    normalization_factor: float | None,
    centre_activations: bool | None = None,
) -> SAE:
    """An SAE of SAELens's registry, through SAELens itself.

    Raises
    ------
    SAEError
        When the optional extra is not installed, or SAELens cannot get the SAE.
    """
    field = Place(field="sae.source.saelens")
    try:
        import sae_lens  # noqa: PLC0415 - an optional extra of many packages
    except ImportError as error:
        raise SAEError(
            "SAELens's registry needs SAELens: run `pip install causal-sae[saelens]`, or name a "
            "folder as `source: {path: ...}`.",
            field,
        ) from error
    _check_registered(release)
    try:
        theirs = sae_lens.SAE.from_pretrained(release.release, release.id, device="cpu")
    except Exception as error:  # whatever its many readers and the network raise
        reason = " ".join(str(error).split())[:300]
        raise SAEError(
            f"SAELens cannot get {release.release} / {release.id}: {reason}. Where there is no "
            "network, download it elsewhere and name its folder as `source: {path: ...}`.",
            field,
        ) from error
    with tempfile.TemporaryDirectory() as folder:
        theirs.save_model(folder)
        sae = load_sae(Path(folder), "saelens", normalization_factor, centre_activations)
    return replace(sae, config=replace(sae.config, path=None))
