"""What the validator found, said in plain sentences at the fields of the user's file."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from causal_sae.errors import did_you_mean
from causal_sae.spec.yaml_tree import FieldPath, Problem

# The validator's own description of the models; its parts are of a hundred kinds.
Schema = Mapping[str, Any]

_WRAPPERS = frozenset(
    {
        "definitions",
        "default",
        "nullable",
        "model",
        "function-after",
        "function-before",
        "function-wrap",
    }
)


@dataclass(frozen=True)
class _Found:
    """One finding of the validator: the field, what the schema wants there, what is there."""

    path: FieldPath
    wanted: Schema
    parent: Schema
    detail: ErrorDetails

    @property
    def given(self) -> object:
        return self.detail["input"]

    @property
    def limits(self) -> Mapping[str, Any]:
        return self.detail.get("ctx", {})


class _Walker:
    """Follows a finding's location through the schema, leaving out names that no file has."""

    def __init__(self, model: type[BaseModel]) -> None:
        self.root: Schema = model.__pydantic_core_schema__
        self.shared = {part["ref"]: part for part in self.root.get("definitions", ())}

    def plain(self, schema: Schema) -> Schema:
        while True:
            if schema["type"] == "definition-ref":
                schema = self.shared[schema["schema_ref"]]
            elif schema["type"] in _WRAPPERS:
                schema = schema["schema"]
            else:
                return schema

    def follow(self, detail: ErrorDetails) -> _Found:
        path: list[str | int] = []
        parent = schema = self.plain(self.root)
        for part in detail["loc"]:
            if schema["type"] == "tagged-union":
                schema = self.plain(schema["choices"].get(part, _UNKNOWN))
            elif schema["type"] != "union":
                path.append(part)
                parent, schema = schema, self.plain(_child(schema, part))
        return _Found(tuple(path), schema, parent, detail)


_UNKNOWN: Schema = {"type": "any"}


def _child(schema: Schema, part: str | int) -> Schema:
    if schema["type"] == "model-fields":
        return next((f["schema"] for n, f in _fields(schema).items() if n == part), _UNKNOWN)
    if schema["type"] == "tuple" and isinstance(part, int):
        items: Sequence[Schema] = schema["items_schema"]
        return items[min(part, len(items) - 1)]
    return schema.get("values_schema", _UNKNOWN) if schema["type"] == "dict" else _UNKNOWN


def _fields(schema: Schema) -> dict[str, Schema]:
    fields: Mapping[str, Schema] = schema.get("fields", {})
    return {str(f.get("validation_alias", name)): f for name, f in fields.items()}


def problems_of(error: ValidationError, model: type[BaseModel]) -> list[Problem]:
    """The validator's findings as problems of fields, one for each field, in the file's terms."""
    walker = _Walker(model)
    found = [walker.follow(detail) for detail in error.errors(include_url=False)]
    problems: dict[FieldPath, Problem] = {}
    for one in found:
        if one.detail["type"] == "too_short" and _long_enough(one):
            continue  # its items are wrong, each of which has a problem of its own
        problems.setdefault(one.path, _problem(one))
    return list(problems.values())


def _long_enough(found: _Found) -> bool:
    given = found.given
    return isinstance(given, Sequence) and len(given) >= found.limits["min_length"]


def _problem(found: _Found) -> Problem:
    kind = found.detail["type"]
    if found.wanted["type"] == "tagged-union":
        return _untagged(found)
    say = _SENTENCES.get(kind, _otherwise)
    return Problem(found.path, say(found), on_key=kind == "extra_forbidden")


def _untagged(found: _Found) -> Problem:
    key = found.wanted["discriminator"]
    tags = list(found.wanted["choices"])
    if not isinstance(found.given, dict):
        need = f"the key `{key}`" if isinstance(key, str) else f"one of the keys {_listed(tags)}"
        return Problem(found.path, f"must be a mapping with {need}, not {shown(found.given)}.")
    if isinstance(key, str):
        path = (*found.path, key)
        if key in found.given:
            given = found.given[key]
            return Problem(path, f"unknown {key} {shown(given, quoted=True)}{_choice(given, tags)}")
        return Problem(path, f"the key `{key}` is required. Allowed: {', '.join(tags)}.")
    given = next(iter(found.given), "")
    return Problem(
        found.path,
        f"must have one of the keys {_listed(tags)}; "
        f"it has {_listed(found.given) or 'none'}{_choice(given, tags)}",
    )


def _choice(given: object, allowed: Iterable[object]) -> str:
    """``"; did you mean ...? Allowed: ..."`` or ``". Allowed: ..."``."""
    hint = did_you_mean(given, allowed)
    return f"; {hint}" if hint.startswith("did") else f". {hint}"


def _listed(names: object) -> str:
    return ", ".join(f"`{name}`" for name in names) if hasattr(names, "__iter__") else ""


def shown(value: object, *, quoted: bool = False, limit: int = 60) -> str:
    """A value of the file as a reader would name it in a sentence."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list | tuple):
        return f"a list of {len(value)}"
    text = repr(value) if isinstance(value, str) else str(value)
    text = text if len(text) <= limit else f"{text[: limit - 1]}…"
    return f"'{text}'" if quoted and not isinstance(value, str) else text


def _missing(found: _Found) -> str:
    if isinstance(found.path[-1], int):
        return f"an item is missing here; {shown(found.given)} is given."
    return f"the key `{found.path[-1]}` is required; add it."


def _unknown(found: _Found) -> str:
    key = str(found.path[-1])
    return f"unknown key `{key}`{_choice(key, _fields(found.parent))}"


def _text(found: _Found) -> str:
    given = found.given
    if found.wanted["type"] == "union":
        return f"must be text or a number, not {shown(given)}."
    if isinstance(given, bool):
        return f"must be text, but YAML reads this as {shown(given)}; put it in quotes."
    if isinstance(given, int | float):
        return (
            f'must be text, but YAML reads this as the number {given}; put it in quotes: "{given}".'
        )
    return f"must be text, not {shown(given)}."


def _of(what: str) -> Callable[[_Found], str]:
    return lambda found: f"must be {what}, not {shown(found.given)}."


def _number(what: str) -> Callable[[_Found], str]:
    def sentence(found: _Found) -> str:
        quoted = isinstance(found.given, str) and found.given.replace(".", "", 1).isdigit()
        hint = "; remove the quotes" if quoted else ""
        return f"must be {what}, not {shown(found.given)}{hint}."

    return sentence


def _bound(words: str, key: str) -> Callable[[_Found], str]:
    return lambda found: f"must be {words} {found.limits[key]:g}, not {shown(found.given)}."


def _size(words: str, key: str) -> Callable[[_Found], str]:
    return lambda found: (
        f"must have {words} {found.limits[key]} {_items(found)}, "
        f"not {found.limits['actual_length']}."
    )


def _items(found: _Found) -> str:
    one = found.limits.get("min_length", found.limits.get("max_length")) == 1
    return "item" if one else "items"


def _list(found: _Found) -> str:
    given = found.given
    hint = "" if isinstance(given, dict) or given is None else f"; write [{given}]"
    return f"must be a list, not {shown(given)}{hint}."


def _literal(found: _Found) -> str:
    allowed = found.wanted.get("expected", ())
    given = found.given
    return f"unknown value {shown(given)}{_choice(given, allowed)}"


_PATTERNS = {
    "^[a-z0-9]+(-[a-z0-9]+)*$": "lower-case letters, digits and single hyphens",
    "^[a-zA-Z_][a-zA-Z0-9_.-]*$": "a letter, then letters, digits, `_`, `.` or `-`",
}


def _pattern(found: _Found) -> str:
    pattern = str(found.limits["pattern"])
    return f"must be {_PATTERNS.get(pattern, f'text like {pattern}')}, not {shown(found.given)}."


def _otherwise(found: _Found) -> str:
    words = found.detail["msg"].replace("Input should be", "must be").rstrip(".")
    return f"{words[:1].lower()}{words[1:]}; {shown(found.given)} is given."


_SENTENCES: dict[str, Callable[[_Found], str]] = {
    "missing": _missing,
    "extra_forbidden": _unknown,
    "literal_error": _literal,
    "string_type": _text,
    "path_type": _text,
    "string_pattern_mismatch": _pattern,
    "string_too_long": lambda f: (
        f"must have at most {f.limits['max_length']} characters; {len(str(f.given))} are given."
    ),
    "int_type": _number("a whole number"),
    "int_parsing": _number("a whole number"),
    "int_from_float": _number("a whole number"),
    "float_type": _number("a number"),
    "float_parsing": _number("a number"),
    "bool_type": _of("true or false"),
    "finite_number": _of("a finite number"),
    "greater_than": _bound("greater than", "gt"),
    "greater_than_equal": _bound("at least", "ge"),
    "less_than": _bound("less than", "lt"),
    "less_than_equal": _bound("at most", "le"),
    "too_short": _size("at least", "min_length"),
    "too_long": _size("at most", "max_length"),
    "tuple_type": _list,
    "dict_type": _of("a mapping (`key: value`)"),
    "model_type": _of("a mapping (`key: value`)"),
    "model_attributes_type": _of("a mapping (`key: value`)"),
}
