"""The command line, called as its entry point is, in this process."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from causal_sae.cli import main


@dataclass(frozen=True)
class Said:
    """What a command left."""

    code: int
    out: str
    err: str


@pytest.fixture
def call(monkeypatch, capsys, tmp_path):
    """``call("run", path)`` in an empty folder -> its exit code and what it printed."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("COLUMNS", "100")

    def run(*words: object) -> Said:
        monkeypatch.setattr("sys.argv", ["causal-sae", *map(str, words)])
        with pytest.raises(SystemExit) as left:
            main()
        printed = capsys.readouterr()
        assert "Traceback" not in printed.err + printed.out
        return Said(left.value.code or 0, printed.out, printed.err)

    return run
