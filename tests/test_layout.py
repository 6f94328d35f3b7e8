"""What must hold of the repository as a whole."""

from __future__ import annotations

import re
import stat
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

from causal_sae.spec.loading import load_trial

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
TEXT = {".py", ".md", ".yaml", ".yml", ".toml", ".R", ".json", ".csv", ".jinja", ".css", ".j2", ""}
MAX_LINES = 400
# Spelled in parts, so that this file does not name them either.
MACHINE = re.compile(
    "|".join(
        (
            r"(?<![\w./-])/(?:work|root|home|opt|mnt|Users)/[\w.-]",
            r"(?:files\.)?py" + r"thonhosted\.org",
            r"py" + r"pi\.org/simple",
            r"registry\.npm" + r"js",
            r"(?:deb|security)\.deb" + r"ian\.org",
            r"(?:extra-)?index" + r"-url",
        )
    )
)


def tracked() -> list[Path]:
    """The files of the project: tracked by git, or all of them where there is no git."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    if listed.returncode == 0:
        return [
            ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()
        ]
    skipped = {".venv", ".venv-ci", "runs", "site", ".git"}
    return [
        path
        for path in ROOT.rglob("*")
        if path.is_file() and not skipped & set(path.relative_to(ROOT).parts)
    ]


def modules(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


@pytest.mark.parametrize("name", ["causal_sae", "designs", "trials", "tests", "docs"])
def test_the_top_level_folders_are_there(name):
    assert (ROOT / name).is_dir()


def test_no_file_names_the_machine_it_was_written_on():
    named = []
    for path in tracked():
        if path.suffix not in TEXT or path.stat().st_size > 2_000_000:
            continue
        found = MACHINE.search(path.read_text(encoding="utf-8", errors="ignore"))
        if found:
            named.append(f"{path.relative_to(ROOT)}: {found[0]}")
    assert named == []


@pytest.mark.parametrize("folder", ["causal_sae", "docs", "packs"])
def test_modules_are_short(folder):
    long = {
        path.relative_to(ROOT).as_posix(): count
        for path in modules(folder)
        if (count := len(path.read_text(encoding="utf-8").splitlines())) > MAX_LINES
    }
    assert long == {}


def test_test_files_have_names_of_their_own():
    names = [path.name for path in modules("tests") if path.name.startswith("test_")]
    assert sorted(names) == sorted(set(names))


def test_every_module_says_what_it_is_for():
    silent = [
        path.relative_to(ROOT).as_posix()
        for folder in ("causal_sae", "packs", "docs")
        for path in modules(folder)
        if (text := path.read_text(encoding="utf-8").strip()) and not text.startswith('"""')
    ]
    assert silent == []


@pytest.mark.parametrize("design", sorted((ROOT / "designs").glob("*.yaml")), ids=lambda p: p.stem)
def test_a_design_is_a_trial_and_says_when_to_use_it(design):
    trial = load_trial(design, screen="screen" in design.stem)
    assert trial.name == design.stem
    text = design.read_text(encoding="utf-8")
    assert text.startswith("# ")
    assert "\n# When: " in text
    assert "\n# To use: " in text


def test_there_are_designs():
    names = {path.stem for path in (ROOT / "designs").glob("*.yaml")}
    assert {
        "two-arm",
        "sham-and-placebo",
        "dose-response",
        "crossover",
        "blocked",
        "cluster",
        "enriched",
    } <= names


SETUP = "python3 -m venv .venv && .venv/bin/pip install torch==2.13.0 && .venv/bin/pip install -e "


def test_the_readme_has_its_two_commands_each_once():
    commands = [line for line in README.splitlines() if line.startswith("python3 -m venv")]
    assert len(commands) == 2
    first, second = commands
    assert re.fullmatch(
        re.escape(SETUP + ". && .venv/bin/causal-sae run trials/") + r"[\w-]+", first
    )
    assert second == SETUP + "'.[dev]' && .venv/bin/pytest"


def test_ci_takes_its_commands_from_the_readme():
    script = ROOT / ".ci" / "run"
    text = script.read_text(encoding="utf-8")
    assert script.stat().st_mode & stat.S_IXUSR
    assert "set -euo pipefail" in text
    pattern = re.search(r"grep -m1 -E '(.*)' README\.md", text)
    assert pattern is not None
    matching = [line for line in README.splitlines() if re.search(pattern[1], line)]
    assert matching == [SETUP + "'.[dev]' && .venv/bin/pytest"]
    assert "torch==" not in text, "the version stands in the README only"
    assert text.rstrip().splitlines()[-1].endswith('"$tests"'), "pytest's closing line is the last"


def test_ci_and_pre_commit_run_the_same_checks():
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    assert [repo["repo"] for repo in config["repos"]] == ["local"]
    hooks = [hook for repo in config["repos"] for hook in repo["hooks"]]
    assert {hook["language"] for hook in hooks} == {"system"}
    for hook in hooks:
        assert hook["entry"].split()[0] in script


def test_the_torch_that_the_readme_installs_is_one_that_the_project_allows():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    named = re.search(r"torch==(\d+)\.(\d+)", README)
    lowest = re.search(r"torch>=(\d+)\.(\d+)", " ".join(project["dependencies"]))
    assert named is not None
    assert lowest is not None
    assert tuple(map(int, named.groups())) >= tuple(map(int, lowest.groups()))


def test_the_changelog_has_a_place_for_the_next_version():
    assert "\n## Unreleased\n" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
