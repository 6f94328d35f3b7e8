"""A model and an SAE as they are named on the command line."""

from __future__ import annotations

from pathlib import Path

from causal_sae.errors import Place, SpecError
from causal_sae.spec.loading import load_trial_file
from causal_sae.spec.sources import HubSource, ModelSpec, PathSource, SAESpec

WAYS = "a folder, saelens:RELEASE/ID, or a hub name"


def sources(
    model: str, sae: str | None, hook: str | None = None
) -> tuple[ModelSpec, SAESpec, Path]:
    """What the words name, and the folder in which relative paths start.

    Parameters
    ----------
    model:
        A trial (its model and SAE are taken), a model's folder or ``.gguf`` file,
        ``package:NAME/FILE``, or a name on the hub.
    sae:
        A folder, ``saelens:RELEASE/ID``, or a hub name; needed unless ``model`` is a trial.
    hook:
        Where the SAE reads; default: as it says.

    Raises
    ------
    SpecError
        The SAE is not named, or a name cannot be understood.
    """
    path = Path(model)
    if path.is_dir() and (path / "trial.yaml").exists():
        path = path / "trial.yaml"
    model_spec, sae_spec, base = (
        _of_trial(path) if path.suffix in {".yaml", ".yml"} else (_model(model), None, Path())
    )
    if sae is not None:
        sae_spec = sae_named(sae, base, hook)
    if sae_spec is None:
        raise SpecError(f"must be given, unless MODEL is a trial: {WAYS}", Place(field="--sae"))
    return model_spec, sae_spec, base


def _of_trial(path: Path) -> tuple[ModelSpec, SAESpec | None, Path]:
    declared = load_trial_file(path, screen=True)
    if declared.trial.model is None:
        raise SpecError("names no model, so there is nothing to run", Place(file=declared.path))
    return declared.trial.model, declared.trial.sae, declared.folder


def _model(name: str) -> ModelSpec:
    if Path(name).exists():
        return ModelSpec.model_validate({"source": {"path": name}})
    if name.startswith("package:"):
        package, _, file = name.removeprefix("package:").partition("/")
        return ModelSpec.model_validate({"source": {"package": package, "file": file}})
    return ModelSpec.model_validate({"source": {"hub": name}})


def _sae(name: str, base: Path) -> dict[str, object]:
    if Path(name).exists():
        return {"path": Path(name).resolve()}
    if (base / name).exists():
        return {"path": name}
    if name.startswith("saelens:"):
        release, _, identity = name.removeprefix("saelens:").partition("/")
        return {"saelens": {"release": release, "id": identity}}
    return {"hub": name}


def sae_named(name: str, base: Path, hook: str | None) -> SAESpec:
    """One more SAE: a folder, ``saelens:RELEASE/ID``, or a hub name."""
    return SAESpec.model_validate({"source": _sae(name, base), "hook": hook})


def short_name(spec: SAESpec) -> str:
    """A folder's name for what belongs to an SAE."""
    source = spec.source
    if isinstance(source, PathSource):
        return source.path.resolve().stem
    if isinstance(source, HubSource):
        return source.hub.rpartition("/")[2]
    return f"{source.saelens.release}-{source.saelens.id}".replace("/", "-")
