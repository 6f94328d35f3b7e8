"""The folder that holds one run: every file is written whole or not at all."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from causal_sae.errors import DataError, Place

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class RunFolder:
    """``runs/<name>/<id>/`` or the folder that the user chose."""

    path: Path

    @property
    def trial_file(self) -> Path:
        """The trial as it was run."""
        return self.path / "trial.yaml"

    @property
    def lock(self) -> Path:
        """The registration that the run was held against."""
        return self.path / "trial.lock"

    @property
    def observations(self) -> Path:
        """The folder of the observations' shards."""
        return self.path / "observations"

    @property
    def figures(self) -> Path:
        """The folder of the figures."""
        return self.path / "figures"

    @property
    def report(self) -> Path:
        """The report's page."""
        return self.path / "report.html"

    @property
    def manifest(self) -> dict[str, Any]:
        """Where the run came from and how far it is; empty before it began."""
        file = self.path / "manifest.json"
        return json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}

    def sweep(self) -> None:
        """Remove what a killed process left half-written."""
        for partial in (*self.path.glob(".*.partial"), *self.path.glob("*/.*.partial")):
            partial.unlink(missing_ok=True)

    def write_manifest(self, manifest: Mapping[str, object]) -> None:
        """Replace ``manifest.json``."""
        text = json.dumps(manifest, indent=2, sort_keys=True, default=str) + "\n"
        self.write_text("manifest.json", text)

    def write_text(self, name: str, text: str) -> None:
        """Write a text file whole."""
        self._write(name, lambda path: path.write_text(text, encoding="utf-8"))

    def write_table(self, name: str, frame: pd.DataFrame) -> None:
        """Write a table whole, as the name's ending says: ``.csv`` or ``.parquet``."""
        if name.endswith(".parquet"):
            self._write(name, lambda path: frame.to_parquet(path, index=False))
        else:
            self._write(name, lambda path: frame.to_csv(path, index=False, lineterminator="\n"))

    def _write(self, name: str, write: Callable[[Path], object]) -> None:
        target = self.path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
        try:
            write(partial)
            partial.replace(target)
        finally:
            partial.unlink(missing_ok=True)


def new_folder(root: Path, name: str) -> RunFolder:
    """A folder of its own under ``root/name``; nothing is created yet."""
    stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    taken = (f"{stamp}-{number}" if number else stamp for number in range(1000))
    return RunFolder(next(root / name / i for i in taken if not (root / name / i).exists()))


class RunStopped(KeyboardInterrupt):
    """The user stopped a run that can go on later."""

    def __init__(self, folder: RunFolder) -> None:
        self.folder = folder
        super().__init__(str(folder.path))


def require_free(out: Path | None, resume: bool) -> None:
    """Pass when a run may write to ``out``; asked before anything slow.

    Raises
    ------
    DataError
        When it holds something and is not to be resumed, or is to be resumed and is no run.
    """
    if out is None:
        return
    if resume and not RunFolder(out).manifest:
        raise DataError(
            f"{out} holds no run that could go on; run without --resume", Place(field="--resume")
        )
    if not resume and out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise DataError(
            f"{out} is not empty; add --resume to go on with the run in it, or choose another "
            "folder",
            Place(field="--out"),
        )


def choose_folder(
    root: Path, name: str, out: Path | None, resume: bool, identity: Mapping[str, str]
) -> RunFolder:
    """The folder a run writes to.

    Parameters
    ----------
    root:
        Where runs go when ``out`` is not given.
    name:
        The trial's name.
    out:
        The folder the user chose.
    resume:
        Whether to go on with a run that was killed: ``out``, or the newest unfinished one of these
        very inputs.
    identity:
        The hashes that a run must share to be the same run.

    Raises
    ------
    DataError
        When the folder is taken, there is nothing to resume, or it is of another trial.
    """
    require_free(out, resume)
    if not resume:
        return RunFolder(out) if out is not None else new_folder(root, name)
    if out is not None:
        changed = _changes(RunFolder(out), identity)
        if changed:
            raise DataError(
                f"{out} is a run of something else: its {', '.join(changed)} differs from what is "
                "given now; run without --resume",
                Place(field="--resume"),
            )
        return RunFolder(out)
    return _newest_unfinished(root / name, identity)


def _changes(run: RunFolder, identity: Mapping[str, str]) -> list[str]:
    known = run.manifest.get("hashes", {})
    return [key for key, value in identity.items() if known.get(key) != value]


def _newest_unfinished(folder: Path, identity: Mapping[str, str]) -> RunFolder:
    runs = [RunFolder(path.parent) for path in sorted(folder.glob("*/manifest.json"), reverse=True)]
    unfinished = [run for run in runs if run.manifest.get("status") != "done"]
    same = next((run for run in unfinished if not _changes(run, identity)), None)
    if same is not None:
        return same
    why = f"there is no unfinished run under {folder}"
    if unfinished:
        differs = ", ".join(_changes(unfinished[0], identity))
        why = (
            f"no unfinished run under {folder} is of these inputs (the newest differs in {differs})"
        )
    raise DataError(f"{why}; run without --resume", Place(field="--resume"))
