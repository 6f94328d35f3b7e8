"""The reference pages are those that the code would write, and leave nothing out."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import build_reference
import column_texts
import pytest
import trial_file_page
import typer
import yaml
from snippets import ROOT

from causal_sae import plan_tables, tables
from causal_sae.cli import app
from causal_sae.feature_tables import COMPANIONS
from causal_sae.spec.analysis import Correction, Estimator, Refuter
from causal_sae.spec.schema import json_schema
from causal_sae.spec.verdicts import VERDICTS

REFERENCE = ROOT / "docs" / "reference"


@pytest.mark.parametrize("name", build_reference.PAGES)
def test_a_reference_page_is_up_to_date(name):
    written = (REFERENCE / name).read_text(encoding="utf-8")
    made = build_reference.finished(build_reference.PAGES[name]())
    assert written == made, "run: python docs/build_reference.py"


def test_every_part_of_the_trial_file_has_a_place():
    assert set(json_schema()["$defs"]) <= trial_file_page.documented_definitions()


def test_every_column_has_a_meaning_and_no_other():
    for contract in (
        *(tables.ASSIGNMENT, tables.OBSERVATIONS, tables.EFFECTS, tables.FEATURES),
        *(plan_tables.POWER, plan_tables.POWER_CURVE, plan_tables.DIAGNOSIS),
        *(plan_tables.LOOKS_PLAN, tables.LOOKS, tables.SCREEN, VERDICTS),
        *COMPANIONS.values(),
    ):
        assert set(contract.columns) == set(column_texts.MEANINGS[contract.name])


def test_every_estimator_correction_and_refuter_is_documented():
    page = (REFERENCE / "estimators.md").read_text(encoding="utf-8")
    names = {*get_args(Estimator), *get_args(Correction), *get_args(Refuter)}
    assert {name for name in names if f"`{name}`" not in page} <= {"auto"}


def test_every_command_is_documented():
    page = (REFERENCE / "commands.md").read_text(encoding="utf-8")
    for name, command in typer.main.get_command(app).commands.items():
        assert f"## causal-sae {name}\n" in page
        for own in getattr(command, "commands", {}):
            assert f"### causal-sae {name} {own}\n" in page


def test_every_page_is_in_the_navigation_and_back():
    config = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    named = set(re.findall(r"[\w/-]+\.md", config))
    there = {p.relative_to(ROOT / "docs").as_posix() for p in (ROOT / "docs").rglob("*.md")}
    assert named == there
    assert yaml.safe_load(config)["strict"] is True


def anchors(page: Path) -> set[str]:
    heads = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {trial_file_page.slug(head) for head in heads}


@pytest.mark.parametrize(
    "page",
    [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")],
    ids=lambda page: page.relative_to(ROOT).as_posix(),
)
def test_links_lead_somewhere(page):
    text = re.sub(r"```.*?```|<!--.*?-->", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith(("http:", "https:", "mailto:")):
            continue
        file, _, anchor = target.partition("#")
        there = (page.parent / file).resolve() if file else page
        assert there.exists(), f"{page.name} links to {target}"
        if anchor:
            assert anchor in anchors(there), f"{page.name} links to {target}"
