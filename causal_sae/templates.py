"""A trial folder from a design: the file with its comments, and an example of its prompts."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from causal_sae.errors import DataError, Place, SpecError, did_you_mean
from causal_sae.spec.loading import parse_trial

PACKAGE = Path(__file__).parent
SHIPPED = (PACKAGE / "design_files", PACKAGE.parent / "designs")
"""Where designs are: in an installed package, and in a checkout."""
PACK = "../../packs/smollm2-layer8"
"""The SAE of the designs, as a folder under ``trials/`` of a checkout would name it."""
EXAMPLES = {
    "id": ("p001", "p002"),
    "text": ("The capital of France is", "The largest city of Italy is"),
    "target": (" Paris", " Rome"),
    "foil": (" London", " Madrid"),
    "topic": ("cities", "cities"),
    "template": ("capital", "largest"),
    "continuation": (" Paris, on the Seine.", " Rome, on the Tiber."),
}
"""Column of prompts -> two cells, to show what belongs there."""


@dataclass(frozen=True)
class Template:
    """A design: a trial file with comments that say when to use it."""

    name: str
    path: Path
    text: str

    @property
    def summary(self) -> str:
        """Its first line."""
        return self.text.splitlines()[0].removeprefix("# ").strip()

    @property
    def columns(self) -> list[str]:
        """The columns of prompts that its comments name."""
        named = re.search(r"prompts: \S+ +#.*?((?:\w+, )+\w+)\s*$", self.text, re.MULTILINE)
        return named.group(1).split(", ") if named else []


def templates() -> dict[str, Template]:
    """Every design that comes with the package, by name."""
    folder = next((folder for folder in SHIPPED if folder.is_dir()), None)
    paths = sorted(folder.glob("*.yaml")) if folder is not None else []
    return {path.stem: _read(path) for path in paths}


def _read(path: Path) -> Template:
    return Template(path.stem, path, path.read_text(encoding="utf-8"))


def find_template(given: str) -> Template:
    """The design of that name, or in that file.

    Raises
    ------
    DataError
        There is none; lists those that there are.
    """
    known = templates()
    name = Path(given).name.removesuffix(".yaml")
    path = Path(given)
    if path.suffix in {".yaml", ".yml"} and path.is_file():
        return _read(path)
    if name in known:
        return known[name]
    place = Place(field="--design")
    listed = "\n".join(f"  {one.name:<22} {one.summary}" for one in known.values())
    hint = did_you_mean(given, known).split("Allowed")[0]
    raise DataError(
        f"must be a design, or the path of one, got {given!r}; {hint}These there are:\n{listed}",
        place,
    )


def new_trial(folder: Path, template: Template) -> list[Path]:
    """Make a folder with the trial and an example of its prompts, whole or not at all.

    Parameters
    ----------
    folder:
        Must not exist; its last part is the trial's name.
    template:
        The design.

    Returns
    -------
    The files.

    Raises
    ------
    InputError
        The folder exists, or its name is no name for a trial.
    """
    if folder.exists():
        raise DataError(
            "exists already; a trial is made in a folder of its own: choose another name, or "
            "remove it",
            Place(file=folder),
        )
    text = filled(template, folder)
    try:
        # Whether it is one to screen or to run, the command that reads it will say.
        parse_trial(text, folder / "trial.yaml", screen=True)
    except SpecError as error:
        if error.place.field == "name":
            raise DataError(
                f"{folder.name!r} is no name for a trial: lower-case letters, digits and single "
                "hyphens, at most 64",
                Place(field="NAME"),
            ) from None
        raise
    files = {"trial.yaml": text}
    if template.columns:
        files["prompts.example.csv"] = example(template.columns)
    folder.parent.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        for name, content in files.items():
            (made / name).write_text(content, encoding="utf-8")
        made.chmod(0o755)  # mkdtemp makes folders that only their owner reads
        made.rename(folder)
    finally:
        shutil.rmtree(made, ignore_errors=True)
    return [folder / name for name in files]


def filled(template: Template, folder: Path) -> str:
    """The design's text as the trial of that folder: its name, and where its SAE is from there."""
    made = f"# Made from the design {template.name}. Change what is marked."
    text = re.sub(r"# To use:.*?(?=^schema:)", f"{made}\n", template.text, flags=re.S | re.M)
    text = re.sub(r"^name: \S+( +# change)?", f"name: {folder.name}", text, flags=re.M)
    pack = PACKAGE.parent / "packs" / Path(PACK).name
    if pack.is_dir():
        there = Path(os.path.relpath(pack.resolve(), folder.absolute())).as_posix()
        text = text.replace(PACK, there)
    return text


def example(columns: list[str]) -> str:
    """A csv of two prompts with these columns."""
    cells = [EXAMPLES.get(column, ("...", "...")) for column in columns]
    rows = [columns, *zip(*cells, strict=True)]
    return "\n".join(",".join(_quoted(cell) for cell in row) for row in rows) + "\n"


def _quoted(cell: str) -> str:
    return f'"{cell}"' if "," in cell or cell != cell.strip() else cell
