"""From a YAML file to a :class:`Trial`; whatever is wrong is said at its line and column."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from causal_sae.errors import Place, SpecError, did_you_mean
from causal_sae.spec.rules import broken_rules
from causal_sae.spec.sentences import problems_of, shown
from causal_sae.spec.trial import Trial
from causal_sae.spec.yaml_tree import Data, FieldPath, Problem, Span, read_tree

_Model = TypeVar("_Model", bound=BaseModel)


@dataclass(frozen=True)
class TrialFile:
    """A trial and the file that it was read from."""

    trial: Trial
    """The declaration."""
    path: Path
    """The file."""
    text: str = field(repr=False)
    """The file's text, word for word."""
    positions: Mapping[FieldPath, Span] = field(repr=False)
    """Where each key and value stands."""

    @property
    def folder(self) -> Path:
        """Where relative paths of the trial start."""
        return self.path.parent

    def place(self, field_path: str | None = None) -> Place:
        """Where a field such as ``arms[2].intervention.factor`` stands.

        A field that the file leaves out has the place of the part that would hold it.
        """
        return _place(Problem(_split(field_path or ""), ""), self.path, self.positions)


def load_trial(path: str | Path, *, screen: bool = False) -> Trial:
    """Read a trial file.

    Parameters
    ----------
    path:
        The YAML file, or a folder that holds ``trial.yaml``.
    screen:
        Whether the trial is read as a screen, where an arm may say ``features: all``.

    Raises
    ------
    SpecError
        Names the file, line, column and field of every problem.
    """
    declared = load_trial_file(path, screen=screen)
    return declared.trial.within(declared.folder)


def load_trial_file(path: str | Path, *, screen: bool = False) -> TrialFile:
    """Read a trial file and keep where its fields stand; see :func:`load_trial`."""
    file = _find(Path(path))
    text = _read(file)
    return parse_trial(text, file, screen=screen)


def parse_trial(text: str, file: Path, *, screen: bool = False) -> TrialFile:
    """The trial of a YAML text; ``file`` names it in errors and is not read."""

    def rules(trial: Trial) -> list[Problem]:
        return broken_rules(trial, screen=screen)

    trial, spans = parse_spec(text, file, Trial, rules)
    return TrialFile(trial.within(file.parent), file, text, spans)


def parse_spec(
    text: str, file: Path, model: type[_Model], rules: Callable[[_Model], Sequence[Problem]]
) -> tuple[_Model, Mapping[FieldPath, Span]]:
    """Read a declaration from a YAML text.

    Parameters
    ----------
    text:
        The YAML.
    file:
        Names the text in errors.
    model:
        What is declared.
    rules:
        What must hold between fields; asked only when every field is well formed.

    Raises
    ------
    SpecError
        The first problem, with the others in ``others``.
    """
    tree = read_tree(text)
    problems = list(tree.problems)
    spec = None
    if isinstance(tree.data, dict):
        spec, found = _validated(tree.data, model)
        unread = {problem.path for problem in problems}
        problems += [problem for problem in found if problem.path not in unread]
    elif not problems:
        problems.append(_not_a_mapping(tree.data))
    if spec is not None and not problems:
        problems += rules(spec)
    if problems or spec is None:
        raise _error(problems, file, tree.spans)
    return spec, tree.spans


def _validated(data: Data, model: type[_Model]) -> tuple[_Model | None, list[Problem]]:
    try:
        # Strict on JSON: lists are tuples and text is a path, but "3", true or 3.0 is no integer.
        return model.model_validate_json(json.dumps(data), strict=True), []
    except ValidationError as error:
        return None, problems_of(error, model)


def _not_a_mapping(data: Data) -> Problem:
    given = "it is empty" if data is None else f"it holds {shown(data)}"
    return Problem(
        (),
        f"a trial file must be a mapping that begins with `schema: 1`, but {given}; "
        "start from a design with `causal-sae new`.",
    )


def _error(problems: Sequence[Problem], file: Path, spans: Mapping[FieldPath, Span]) -> SpecError:
    located = [(_place(problem, file, spans), problem.message) for problem in problems]
    located.sort(key=lambda one: (one[0].line or 0, one[0].column or 0))
    first, *others = (SpecError(message, place) for place, message in located)
    return SpecError(first.message, first.place, others)


def _place(problem: Problem, file: Path, spans: Mapping[FieldPath, Span]) -> Place:
    known = problem.path
    while known not in spans and known:
        known = known[:-1]
    span = spans.get(known)
    mark = problem.mark or (span and (span.key if problem.on_key else span.value))
    line, column = (mark.line, mark.column) if mark else (None, None)
    return Place(file, line, column, dotted(problem.path) or None)


def dotted(path: FieldPath) -> str:
    """``("arms", 2, "name")`` as ``arms[2].name``."""
    return "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in path).removeprefix(".")


def _split(field_path: str) -> FieldPath:
    parts = re.findall(r"\[(\d+)\]|([^.\[\]]+)", field_path)
    return tuple(int(index) if index else name for index, name in parts)


def _find(path: Path) -> Path:
    file = path / "trial.yaml" if path.is_dir() else path
    if file.is_file():
        return file
    folder = file.parent
    if not folder.is_dir():
        raise SpecError(
            f"the trial file must exist; there is no folder {str(folder)!r}.", Place(file)
        )
    near = sorted(p.name for p in folder.iterdir() if p.is_dir() or p.suffix in {".yaml", ".yml"})
    there = did_you_mean(file.name, near).replace("Allowed", "The folder has") if near else ""
    raise SpecError(
        f"the trial file must exist; {there or 'its folder has no YAML file.'}", Place(file)
    )


def _read(file: Path) -> str:
    try:
        raw = file.read_bytes()
    except OSError as error:
        raise SpecError(
            f"the trial file must be readable: {error.strerror}.", Place(file)
        ) from None
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = raw[: error.start]
        place = Place(file, before.count(b"\n") + 1, error.start - before.rfind(b"\n"))
        raise SpecError(
            f"the trial file must be UTF-8; byte {raw[error.start]:#04x} is not: save it as UTF-8.",
            place,
        ) from None


def canonical(trial: Trial) -> str:
    """The trial as one line of JSON: the same for every way of writing the same trial."""
    plain = trial.model_dump(mode="json", by_alias=True)
    return json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def fingerprint(trial: Trial) -> str:
    """The SHA-256 of the canonical form, in hexadecimal."""
    return hashlib.sha256(canonical(trial).encode()).hexdigest()
