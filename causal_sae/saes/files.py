"""Reading the files of an SAE without running anything that they might contain."""

from __future__ import annotations

import json
import pickle
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from causal_sae.errors import Place, SAEError


def require(folder: Path, *names: str) -> list[Path]:
    """The files ``names`` of ``folder``.

    Raises
    ------
    SAEError
        Lists what was looked for, what is missing and what is there.
    """
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        raise SAEError(
            f"an SAE of this format needs {' and '.join(names)}; {' and '.join(missing)} "
            f"is not in the folder, which holds: {listing(folder)}.",
            Place(file=folder),
        )
    return [folder / name for name in names]


def listing(folder: Path, most: int = 12) -> str:
    """The first names in ``folder``, for a sentence."""
    if not folder.is_dir():
        return "nothing: there is no such folder"
    names = sorted(path.name for path in folder.iterdir())
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more if names else "nothing"


def read_json(path: Path) -> dict[str, object]:
    """The JSON object in ``path``.

    Raises
    ------
    SAEError
        With the line and column where it is not JSON.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        place = Place(file=path, line=error.lineno, column=error.colno)
        raise SAEError(f"the SAE's configuration must be JSON: {error.msg}.", place) from error
    except UnicodeDecodeError as error:
        raise SAEError("the SAE's configuration must be UTF-8 text.", Place(file=path)) from error
    if not isinstance(content, dict):
        raise SAEError("the SAE's configuration must be a JSON object.", Place(file=path))
    return content


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """The tensors in a safetensors file."""
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise SAEError(f"the file is not readable as safetensors: {error}.", Place(path)) from error


def read_npz(path: Path) -> dict[str, Tensor]:
    """The arrays in an npz file; pickled objects are refused, as they could run code."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            return {name: torch.from_numpy(np.array(arrays[name])) for name in arrays}
    except (ValueError, OSError, TypeError, zipfile.BadZipFile) as error:
        raise SAEError(
            f"the file must be an npz of plain arrays; it is not readable as one: {error}.",
            Place(path),
        ) from error


def read_pt(path: Path) -> dict[str, Tensor]:
    """The state dict in a torch file; anything but tensors is refused, as it could run code."""
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError) as error:
        raise SAEError(
            "the file must be a torch state dict of tensors; it is damaged, or holds Python objects"
            " that are not unpickled because they could run code: save its state_dict() instead.",
            Place(path),
        ) from error
    if not isinstance(content, dict) or not all(isinstance(v, Tensor) for v in content.values()):
        raise SAEError("the file must hold a state dict: names and tensors.", Place(path))
    return {str(name): tensor for name, tensor in content.items()}


def text(mapping: Mapping[str, object], *keys: str) -> str | None:
    """The first of ``keys`` that holds text."""
    return next((v for key in keys if isinstance(v := mapping.get(key), str) and v), None)


def flag(mapping: Mapping[str, object], key: str, default: bool) -> bool:
    """The truth value under ``key``, ``default`` when it is absent or null."""
    value = mapping.get(key)
    return default if value is None else bool(value)


def count(mapping: Mapping[str, object], key: str, path: Path) -> int:
    """The positive integer under ``key``.

    Raises
    ------
    SAEError
        When it is absent or something else.
    """
    value = mapping.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 1 or value % 1:
        raise SAEError(f"must be a positive integer; got {value!r}.", Place(file=path, field=key))
    return int(value)


def section(mapping: Mapping[str, object], key: str) -> dict[str, object]:
    """The object under ``key``, empty when it is absent or null."""
    value = mapping.get(key)
    return value if isinstance(value, dict) else {}


def dtype_name(tensor: Tensor) -> str:
    """``float16``, ``bfloat16``, ``float32``..."""
    return str(tensor.dtype).removeprefix("torch.")


def layer_in(path: Path) -> int | None:
    """The number after ``layer_`` in a path, the innermost one."""
    found: list[str] = re.findall(r"layer_(\d+)", path.as_posix())
    return int(found[-1]) if found else None
