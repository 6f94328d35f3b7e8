"""The reference page of the trial file, from its JSON Schema."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from markdown_table import NOTE, slug, table

from causal_sae.spec.schema import json_schema

JsonSchema = Mapping[str, Any]

SECTIONS: dict[str, str] = {
    "Trial": "The file",
    "ModelSpec": "model",
    "SAESpec": "sae",
    "Sources": "Sources of models and SAEs",
    "Population": "population",
    "Assignment": "assignment",
    "Arm": "arms",
    "Intervention": "Interventions",
    "Outcome": "outcomes",
    "Analysis": "analysis",
    "Power": "power",
}
PARTS: dict[str, tuple[str, ...]] = {
    "Sources": ("PackageSource", "PathSource", "HubSource", "SAELensSource", "SAELensRelease"),
    "Population": ("Eligibility", "Active", "Enrich"),
    "Assignment": (
        *("Simple", "Complete", "Block", "Cluster", "BlockCluster", "Crossover", "LatinSquare"),
        *("Factorial", "Rerandomize", "Until"),
    ),
    "Intervention": (
        *("Untouched", "Splice", "Ablate", "Scale", "Clamp", "Add", "RandomDirection"),
        *("Placebo", "QuantileDose"),
    ),
    "Outcome": (
        *("TokenLogprob", "LogitDiff", "TokenSetProb", "Entropy", "KL", "NLL", "Rank"),
        *("FeatureActivation", "KeywordRate", "Regex", "DistinctN", "Repetition", "Perplexity"),
        *("Sentiment", "Similarity", "Custom", "Column", "Generate"),
    ),
    "Trial": ("TextPositions",),
    "Analysis": ("Multiplicity", "StatedSD", "DoseResponse", "Looks"),
}
TITLES = {
    "TextPositions": "positions: {regex: ...}",
    "Eligibility": "population.eligibility",
    "Active": "population.eligibility.active",
    "Enrich": "population.enrich",
    "Placebo": "features: {placebo_for: ...}",
    "QuantileDose": "dose: {multiple: ..., of: ...}",
    "Column": "{column: ...}",
    "Generate": "generate",
    "Multiplicity": "analysis.multiplicity",
    "Looks": "analysis.looks",
    "Rerandomize": "assignment.rerandomize",
    "Until": "assignment.rerandomize.until",
    "DoseResponse": "analysis.dose_response",
    "StatedSD": "effect_size: {sd: ...}",
    "SAELensRelease": "saelens",
    "PackageSource": "source: {package: ..., file: ...}",
    "PathSource": "source: {path: ...}",
    "HubSource": "source: {hub: ...}",
    "SAELensSource": "source: {saelens: ...}",
}


def trial_file() -> str:
    """Every section and key of a trial file, from its JSON Schema."""
    schema = _schema()
    definitions: dict[str, JsonSchema] = {**schema["$defs"], "Trial": schema}
    parts = [
        NOTE + "# The trial file\n\n"
        "A trial is one YAML file. Unknown keys are refused. Paths are relative to the file. "
        "`causal-sae schema` prints the JSON Schema that this page is made from, with which an "
        "editor completes and checks a trial as you type.\n"
    ]
    for name, title in SECTIONS.items():
        parts.append(f"\n## {title}\n")
        if name in definitions:
            parts.append(_definition(definitions[name]))
        for part in PARTS.get(name, ()):
            parts.append(f"\n### {_title(part, definitions[part])}\n")
            parts.append(_definition(definitions[part]))
    return "\n".join(parts)


@cache
def _schema() -> dict[str, Any]:
    schema: dict[str, Any] = json_schema()
    return schema


def documented_definitions() -> set[str]:
    """The definitions of the schema that have a place on the page."""
    return {*SECTIONS, *(part for parts in PARTS.values() for part in parts)}


def _title(name: str, definition: JsonSchema) -> str:
    for key in ("kind", "metric", "method"):
        tag = definition["properties"].get(key, {}).get("const")
        if tag is not None:
            return f"`{key}: {tag}`"
    return f"`{TITLES[name]}`"


def _definition(definition: JsonSchema) -> str:
    required = definition.get("required", ())
    rows = [
        (f"`{key}`", _kind(field), _default(key, field, required), _text(field))
        for key, field in definition["properties"].items()
    ]
    heads = ("key", "value", "default", "meaning")
    return f"\n{_text(definition)}\n\n{table(heads, rows)}"


def _text(field: JsonSchema) -> str:
    return str(field.get("description", "")).strip()


def _default(key: str, field: JsonSchema, required: Sequence[str]) -> str:
    if key in required:
        return "required"
    default = field.get("default")
    if default is None or default in ([], {}):
        return ""
    if isinstance(default, dict):
        plain = {
            k: v for k, v in default.items() if not isinstance(v, dict | list) and v is not None
        }
        return ", ".join(f"`{k}: {v}`" for k, v in plain.items())
    return f"`{default}`"


def _kind(field: JsonSchema) -> str:
    if "const" in field:
        return f"`{field['const']}`"
    if "enum" in field:
        return ", ".join(f"`{value}`" for value in field["enum"])
    if "$ref" in field:
        return f"[{_named(field['$ref'])}](#{_anchor(field['$ref'])})"
    options = field.get("anyOf") or field.get("oneOf")
    if options:
        kinds = [_kind(option) for option in options if option.get("type") != "null"]
        return " or ".join(dict.fromkeys(kinds)) if len(kinds) < 5 else "one of those below"
    if field.get("type") == "array":
        items = field.get("items") or {}
        return f"list, each {_kind(items)}" if items else "list of two names"
    if "additionalProperties" in field and isinstance(field["additionalProperties"], dict):
        return f"mapping to {_kind(field['additionalProperties'])}"
    return _bounded(field)


def _bounded(field: JsonSchema) -> str:
    words = {"string": "text", "integer": "whole number", "number": "number", "boolean": "flag"}
    bounds = {
        "minimum": "at least",
        "exclusiveMinimum": "above",
        "maximum": "at most",
        "exclusiveMaximum": "below",
    }
    said = [f"{word} {field[key]:,}" for key, word in bounds.items() if key in field]
    kind = words.get(str(field.get("type")), "mapping")
    return f"{kind} {' and '.join(said)}" if said else kind


def _named(reference: str) -> str:
    name = reference.rsplit("/", 1)[1]
    return f"`{SECTIONS[name]}`" if name in SECTIONS else _title(name, _schema()["$defs"][name])


def _anchor(reference: str) -> str:
    name = reference.rsplit("/", 1)[1]
    return slug(SECTIONS.get(name) or _title(name, _schema()["$defs"][name]))
