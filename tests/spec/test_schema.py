"""The JSON Schema that editors use."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from causal_sae.spec.loading import parse_trial
from causal_sae.spec.schema import EXAMPLE, json_schema


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    return json_schema()


def test_it_is_json_and_names_itself(schema: dict[str, Any]) -> None:
    assert json.loads(json.dumps(schema)) == schema
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["title"] == "causal-sae trial"
    assert set(schema["required"]) == {"schema", "name", "question", "arms", "outcomes"}


def test_its_example_loads(schema: dict[str, Any]) -> None:
    assert schema["examples"] == [EXAMPLE]
    assert parse_trial(json.dumps(EXAMPLE), Path("example.json")).trial.name == "paris-feature"


@pytest.mark.parametrize(
    ("holder", "key", "discriminator", "kinds"),
    [
        ("Arm", "intervention", "kind", 7),
        ("", "assignment", "method", 8),
        ("", "outcomes", "metric", 16),
    ],
)
def test_unions_keep_their_discriminator(
    schema: dict[str, Any], holder: str, key: str, discriminator: str, kinds: int
) -> None:
    union = (schema["$defs"][holder] if holder else schema)["properties"][key]
    union = union.get("items", union)
    assert union["discriminator"]["propertyName"] == discriminator
    assert len(union["oneOf"]) == kinds
    for tag, ref in union["discriminator"]["mapping"].items():
        branch = schema["$defs"][ref.rpartition("/")[2]]
        assert branch["properties"][discriminator]["const"] == tag
        assert discriminator in branch["required"]
        assert branch["additionalProperties"] is False


def test_every_field_is_documented(schema: dict[str, Any]) -> None:
    discriminators = {"kind", "metric", "method"}
    for name, definition in [("Trial", schema), *schema["$defs"].items()]:
        for key, field in definition.get("properties", {}).items():
            if not (key in discriminators and "const" in field):
                assert field.get("description"), f"{name}.{key}"
                assert "``" not in field["description"]
