"""The trial file as a JSON Schema, with which editors complete and check it while it is typed."""

from __future__ import annotations

from typing import Any

from pydantic.json_schema import GenerateJsonSchema

from causal_sae.spec.trial import Trial

JsonValue = dict[str, "JsonValue"] | list["JsonValue"] | str | int | float | bool | None

DIALECT = GenerateJsonSchema.schema_dialect

EXAMPLE: dict[str, JsonValue] = {
    "schema": 1,
    "name": "paris-feature",
    "status": "confirmatory",
    "question": 'Does feature 1234 carry "Paris"?',
    "seed": 7,
    "model": {"source": {"hub": "google/gemma-2-2b"}},
    "sae": {"source": {"path": "../../packs/layer15"}, "hook": "blocks.15.hook_resid_post"},
    "population": {"prompts": "prompts.csv", "text": "text"},
    "assignment": {"method": "block", "block_by": ["topic"]},
    "arms": [
        {"name": "control", "intervention": {"kind": "none"}},
        {"name": "ablate", "intervention": {"kind": "ablate", "features": [1234]}},
        {
            "name": "placebo",
            "intervention": {"kind": "ablate", "features": {"placebo_for": [1234]}},
        },
    ],
    "outcomes": [
        {
            "name": "gap",
            "role": "primary",
            "metric": "logit_diff",
            "target": {"column": "target"},
            "foil": {"column": "foil"},
        }
    ],
    "analysis": {"contrasts": [["ablate", "placebo"]], "covariates": ["clean_outcome"]},
}
"""A small trial that loads."""


def json_schema() -> dict[str, JsonValue]:
    """The JSON Schema (2020-12) of a trial file.

    Every field has its documentation as ``description``; kinds, metrics and methods are told apart
    by their discriminator, so that an editor offers the keys of the chosen one only.
    """
    generated = Trial.model_json_schema(by_alias=True)
    schema = {"$schema": DIALECT, "title": "causal-sae trial", **_plain(generated)}
    schema["title"] = "causal-sae trial"
    schema["examples"] = [EXAMPLE]
    _require_discriminators(schema["$defs"])
    return schema


def _plain(value: Any) -> Any:
    """The schema with the documentation's code marks and line breaks made plain."""
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        key: " ".join(item.replace("``", "`").split())
        if key == "description" and isinstance(item, str)
        else _plain(item)
        for key, item in value.items()
    }


def _require_discriminators(definitions: dict[str, Any]) -> None:
    """A kind, metric or method has a default in Python but must be written in a file."""
    for definition in definitions.values():
        for key in ("kind", "metric", "method"):
            field = definition.get("properties", {}).get(key, {})
            if "const" in field:
                field.pop("default", None)
                definition["required"] = sorted({key, *definition.get("required", ())})
