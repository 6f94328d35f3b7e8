"""A YAML text as plain data that remembers the line and column of every key and value.

Only what JSON can hold is accepted: mappings with text keys, lists, text, finite numbers, true and
false, nothing. Dates stay text, tags are refused, and no YAML can make Python objects.
"""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, ReusedAnchorWarning, StringMark, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from ruamel.yaml.reader import ReaderError

Data = dict[str, "Data"] | list["Data"] | str | int | float | bool | None
FieldPath = tuple[str | int, ...]

MAX_NODES = 100_000
"""A trial file is small; aliases of aliases can make a short text unfold into a huge one."""


@dataclass(frozen=True)
class Mark:
    """A line and a column, both from 1."""

    line: int
    column: int


@dataclass(frozen=True)
class Span:
    """Where the key (for a list's item: the item) and the value of a field stand."""

    key: Mark
    value: Mark


@dataclass(frozen=True)
class Problem:
    """What is wrong with a field; ``mark`` is set where the field's own place will not do."""

    path: FieldPath
    message: str
    on_key: bool = False
    mark: Mark | None = None


@dataclass
class Tree:
    """The data of a YAML text, the place of each part, and what could not be read."""

    data: Data = None
    spans: dict[FieldPath, Span] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    _nodes: int = 0
    _open: list[int] = field(default_factory=list)

    def _refuse(self, path: FieldPath, node: Node, message: str) -> None:
        self.problems.append(Problem(path, message, mark=_mark(node)))

    def add(self, node: Node, path: FieldPath, key: Mark | None = None) -> Data:
        """Read ``node`` into data and note where it stands."""
        empty = isinstance(node, ScalarNode) and node.value == "" and _tag(node) == "null"
        value = key if empty and key is not None else _mark(node)
        self.spans.setdefault(path, Span(key or value, value))
        self._nodes += 1
        if id(node) in self._open or self._nodes > MAX_NODES:
            if self._nodes <= MAX_NODES + 1:
                self._refuse(path, node, "an alias must not contain itself; write the value out.")
            return None
        self._open.append(id(node))
        try:
            return self._read(node, path)
        finally:
            self._open.pop()

    def _read(self, node: Node, path: FieldPath) -> Data:
        if isinstance(node, MappingNode):
            return self._mapping(node, path)
        if isinstance(node, SequenceNode):
            return [self.add(item, (*path, i)) for i, item in enumerate(node.value)]
        return self._scalar(node, path)

    def _mapping(self, node: MappingNode, path: FieldPath) -> dict[str, Data]:
        data: dict[str, Data] = {}
        merged: dict[str, Data] = {}
        lines: dict[str, int] = {}
        for key_node, value_node in node.value:
            if _tag(key_node) == "merge":
                merged |= self._merge(value_node, path)
                continue
            key = self._key(key_node, path)
            if key is None:
                continue
            if key in lines:
                self._refuse(
                    (*path, key),
                    key_node,
                    f"the key {key!r} must stand only once here; it is already given in line "
                    f"{lines[key]}: remove one of the two.",
                )
                continue
            lines[key] = _mark(key_node).line
            data[key] = self.add(value_node, (*path, key), _mark(key_node))
        return merged | data

    def _merge(self, node: Node, path: FieldPath) -> dict[str, Data]:
        parts = node.value if isinstance(node, SequenceNode) else [node]
        merged: dict[str, Data] = {}
        for part in reversed(parts):
            if not isinstance(part, MappingNode):
                self._refuse(path, part, "`<<` must be followed by a mapping, such as an alias.")
                continue
            read = self.add(part, path)
            merged |= read if isinstance(read, dict) else {}
        return merged

    def _key(self, node: Node, path: FieldPath) -> str | None:
        if isinstance(node, ScalarNode) and _tag(node) in {"str", "timestamp", "value"}:
            text = str(node.value)
            if not _SURROGATE.search(text):
                return text
        shown = f"`{node.value}`" if isinstance(node, ScalarNode) else "a list or mapping"
        self._refuse(path, node, f"a key must be text, not {shown}; put it in quotes.")
        return None

    def _scalar(self, node: Node, path: FieldPath) -> Data:
        tag = _tag(node)
        read = _SCALARS.get(tag)
        if read is None:
            self._refuse(path, node, f"the tag `{tag}` is not allowed in a trial file; remove it.")
            return None
        text = str(node.value)
        try:
            return read(text)
        except (ValueError, OverflowError) as error:
            self._refuse(path, node, f"{error}; `{_short(text)}` is given.")
            return None


_SURROGATE = re.compile("[\ud800-\udfff]")


def _text(text: str) -> str:
    if _SURROGATE.search(text):
        raise ValueError("text must be made of whole Unicode characters")
    return text


def _whole(text: str) -> int:
    digits = text.replace("_", "")
    based = digits.lstrip("+-")[:2].lower() in {"0x", "0o", "0b"}
    if len(digits) > 40:
        raise ValueError("a number must have at most 18 digits")
    try:
        number = int(digits, 0 if based else 10)
    except ValueError:
        raise ValueError("a whole number must be written in decimal digits") from None
    if abs(number) >= 10**18:
        raise ValueError("a number must have at most 18 digits")
    return number


def _number(text: str) -> float:
    plain = text.replace("_", "").lower()
    if plain.lstrip("+-") in {".inf", ".nan"}:
        raise ValueError("a number must be finite")
    try:
        number = float(plain)
    except ValueError:
        raise ValueError("a number must be written in decimal digits") from None
    if not math.isfinite(number):
        raise ValueError("a number must be finite")
    return number


def _flag(text: str) -> bool:
    return text.lower() in {"true", "yes", "on", "y"}


_SCALARS: dict[str, Callable[[str], Data]] = {
    "null": lambda _: None,
    "bool": _flag,
    "int": _whole,
    "float": _number,
    "str": _text,
    "timestamp": _text,
    "value": _text,
    "merge": _text,
}


def _tag(node: Node) -> str:
    return str(node.tag).removeprefix("tag:yaml.org,2002:")


def _mark(node: Node) -> Mark:
    return Mark(node.start_mark.line + 1, node.start_mark.column + 1)


def _short(text: str, limit: int = 60) -> str:
    line = " ".join(text.split())
    return line if len(line) <= limit else f"{line[: limit - 1]}…"


def read_tree(text: str) -> Tree:
    """Read a YAML text; what cannot be read is in ``problems`` and is ``None`` in the data."""
    tree = Tree()
    try:
        node = _compose(text)
        if node is not None:
            tree.data = tree.add(node, ())
    except ReaderError as error:
        before = text[: error.position]
        mark = Mark(before.count("\n") + 1, len(before) - before.rfind("\n"))
        tree.problems.append(
            Problem((), f"YAML allows no such character: {_char(error.character)}.", mark=mark)
        )
    except MarkedYAMLError as error:
        tree.problems.append(Problem((), _syntax(error), mark=_error_mark(error)))
    except RecursionError:
        tree.problems.append(Problem((), "the brackets are nested too deeply to be a trial."))
    except (YAMLError, ValueError, TypeError, AttributeError, LookupError, AssertionError) as error:
        # The parser trips over some malformed texts instead of refusing them.
        tree.problems.append(Problem((), f"this cannot be read as YAML ({_short(str(error))})."))
    if tree._nodes > MAX_NODES:
        tree.problems[:] = [Problem((), f"a trial must have fewer than {MAX_NODES:,} values.")]
    return tree


def _compose(text: str) -> Node | None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ReusedAnchorWarning)
        node: Node | None = YAML(typ="safe", pure=True).compose(text)
    return node


def _char(character: object) -> str:
    code = ord(character) if isinstance(character, str) and len(character) == 1 else character
    return f"#x{code:04x}" if isinstance(code, int) else repr(character)


def _error_mark(error: MarkedYAMLError) -> Mark | None:
    mark = error.problem_mark or error.context_mark
    return Mark(mark.line + 1, mark.column + 1) if isinstance(mark, StringMark) else None


_HINTS = (
    ("mapping values are not allowed", "put text that holds `: ` in quotes"),
    ("'\\t'", "indent with spaces, not with a tab"),
    ("cannot start any token", "put text that begins with this character in quotes"),
    ("end of stream", "close the quote or bracket"),
    ("stream end", "close the quote or bracket"),
    ("another document", "a trial file holds one document: remove the second `---`"),
    ("block end", "items of one list or mapping must start in the same column"),
    ("could not find expected ':'", "every key must be followed by a colon and a space"),
    ("undefined alias", "define the anchor (`&name`) above its use"),
)


def _syntax(error: MarkedYAMLError) -> str:
    problem = str(error.problem or error.context or "unreadable")
    hint = next((hint for sign, hint in _HINTS if sign in problem), "check quotes and indentation")
    problem = problem.removeprefix("but ")
    return f"this must be YAML, but {_short(problem, 120)}; {hint}."
