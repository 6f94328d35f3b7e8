"""Every snippet of the documentation runs, or at least means what it says."""

from __future__ import annotations

import contextlib
import io
import re
import shlex
import subprocess
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import pytest
import typer
from snippets import EVERY, PAGES, ROOT, Snippet, snippets_of

from causal_sae.cli import app
from causal_sae.run import load_run
from causal_sae.screening.rules import require_screen
from causal_sae.spec.loading import parse_trial

EXECUTED = [
    page for page in PAGES if any(s.kind == "python" and not s.heavy for s in snippets_of(page))
]
KINDS = {"python", "yaml", "bash", "text", "r", "html", "toml", "csv"}


def ids(snippets: list[Snippet]) -> list[str]:
    return [snippet.name for snippet in snippets]


def test_every_block_says_what_it_is():
    assert [s.name for s in EVERY if s.kind not in KINDS] == []


def test_every_mark_is_one_that_is_acted_on():
    known = ("run", "output", "not run: ", "not a trial: ")
    assert [s.name for s in EVERY if s.mark and not s.mark.startswith(known)] == []


def of(*kinds: str) -> list[Snippet]:
    return [snippet for snippet in EVERY if snippet.kind in kinds]


@pytest.mark.parametrize("page", EXECUTED, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_a_page_runs_from_top_to_bottom(page, tmp_path, monkeypatch):
    """Python blocks share one namespace and one folder; titled blocks become files there."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CAUSAL_SAE_CACHE", str(tmp_path / "cache"))
    names: dict[str, object] = {"__name__": "__main__"}
    printed = ""
    for snippet in snippets_of(page):
        if not snippet.heavy:
            printed = take(snippet, names, printed)
    for manifest in Path("runs").glob("*/manifest.json"):
        assert_documented(manifest.parent)


def take(snippet: Snippet, names: dict[str, object], printed: str) -> str:
    """Do what a block says; ``printed`` is what the last Python block printed."""
    if snippet.title:
        Path(snippet.title).write_text(snippet.text, encoding="utf-8")
    elif snippet.kind == "python":
        return executed(snippet, names)
    elif snippet.kind == "bash" and snippet.mark == "run":
        for command in commands(snippet.text):
            invoke(command)
    elif snippet.mark == "output":
        assert_same_output(snippet, printed)
    return printed


def assert_documented(run: Path) -> None:
    """Every file and column that a run writes has its line in the reference."""
    page = (ROOT / "docs" / "reference" / "tables.md").read_text(encoding="utf-8")
    patterns = re.split("[`,| ]+", "".join(re.findall(r"^\| `.*?` \|", page, re.MULTILINE)))
    for path in run.rglob("*"):
        name = path.relative_to(run).as_posix()
        known = any(fnmatch(name, pattern) for pattern in patterns if pattern)
        assert path.is_dir() or known, f"{name} is not documented"
    for column in load_run(run).observations:
        assert f"| `{column}` |" in page, f"the column {column} is not documented"


def executed(snippet: Snippet, names: dict[str, object]) -> str:
    # Padded so that a traceback names the page's own line.
    code = compile("\n" * snippet.line + snippet.text, str(snippet.page), "exec")
    output = io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(io.StringIO()):
        exec(code, names)
    return output.getvalue()


def assert_same_output(snippet: Snippet, printed: str) -> None:
    """Word for word, but numbers may differ in the last digits: hardware rounds differently."""
    wanted, got = snippet.text.split(), printed.split()
    assert len(wanted) == len(got), f"{snippet.name} prints:\n{printed}"
    for one, other in zip(wanted, got, strict=True):
        if one != other:
            assert float(one) == pytest.approx(float(other), abs=0.02), (
                f"{snippet.name}:\n{printed}"
            )


@pytest.mark.parametrize("snippet", of("yaml"), ids=ids(of("yaml")))
def test_a_trial_on_a_page_is_a_trial(snippet):
    if snippet.text.startswith("schema:"):
        trial = parse_trial(
            snippet.text, Path("trial.yaml"), screen="features: all" in snippet.text
        )
        if "features: all" in snippet.text:
            require_screen(trial.trial)
    elif not snippet.mark.startswith("not a trial"):
        parse_trial(completed(snippet.text), Path("trial.yaml"))


BASE = {
    "schema": "schema: 1",
    "name": "name: part",
    "question": "question: Is this part well formed?",
    "arms": (
        "arms:\n"
        "  - {name: control, intervention: {kind: none}}\n"
        "  - {name: ablate, intervention: {kind: ablate, features: [1234]}}"
    ),
    "outcomes": "outcomes:\n  - {name: gap, metric: logit_diff, target: ' a', foil: ' b'}",
}


def completed(part: str) -> str:
    """A part of a trial with what it leaves out."""
    held = set(re.findall(r"^(\w+):", part, re.MULTILINE))
    return "\n".join([part, *(text for key, text in BASE.items() if key not in held)])


@pytest.mark.parametrize("snippet", of("bash"), ids=ids(of("bash")))
def test_a_shell_block_is_shell(snippet):
    checked = subprocess.run(["bash", "-n"], input=snippet.text, text=True, capture_output=True)
    assert checked.returncode == 0, checked.stderr


@pytest.mark.parametrize("snippet", of("bash"), ids=ids(of("bash")))
def test_commands_and_options_exist(snippet):
    group = typer.main.get_command(app)
    for words in commands(snippet.text):
        name, *rest = words[1:]
        if name.startswith("-"):
            continue
        assert name in group.commands, f"there is no command {name}"
        command = group.commands[name]
        if rest and rest[0] in getattr(command, "commands", {}):
            command, rest = command.commands[rest[0]], rest[1:]
        if "--help" not in rest:
            options = command.params
            needed = [p.opts[0] for p in options if p.required and p.opts[0].startswith("-")]
            rest = ["1" if word == "FEATURE..." else word for word in rest]
            if rest and (
                rest[-1].isupper() or rest[-1] == "1"
            ):  # the reference writes a command without its options
                rest += [word for option in needed for word in (option, "1")]
            context = command.make_context(name, list(rest))
            context.close()


PLANNED: set[str] = set()
"""Commands of the contract that errors already name; take each out when it is there."""


def test_messages_name_commands_that_exist():
    there = set(typer.main.get_command(app).commands)
    assert not PLANNED & there, "no longer planned"
    for module in sorted((ROOT / "causal_sae").rglob("*.py")):
        for name in re.findall(r"`causal-sae ([a-z]+)", module.read_text(encoding="utf-8")):
            assert name in there | PLANNED, f"{module.name} names causal-sae {name}"


def test_installed_extras_exist():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]
    for page in PAGES:
        for named in re.findall(r"(?:causal-sae|\.)\[(\w+)\]", page.read_text(encoding="utf-8")):
            assert named in extras, f"{page.name} names the extra {named}"


def commands(text: str) -> list[list[str]]:
    """Every call of causal-sae in a shell block, as words."""
    found = []
    for line in text.replace("\\\n", " ").splitlines():
        for part in re.split(r"&&|\|\||;", line):
            words = shlex.split(part, comments=True)
            if words and Path(words[0]).name == "causal-sae" and len(words) > 1:
                found.append(words)
    return found


def invoke(words: list[str]) -> None:
    with contextlib.redirect_stdout(io.StringIO()):
        app(words[1:], standalone_mode=False)
