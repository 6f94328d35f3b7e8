# ruff: noqa: RUF001 - typographic minus signs and dashes are what is tested
from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from causal_sae.errors import InputError
from causal_sae.reporting import TrialRecord, effects_html
from causal_sae.reporting.export import FORMATS, export
from causal_sae.tables import EFFECTS

READERS = {"csv": pd.read_csv, "parquet": pd.read_parquet, "xlsx": pd.read_excel}


@pytest.mark.parametrize("fmt", ["csv", "parquet", "xlsx"])
def test_tables_come_back_as_they_were(record: TrialRecord, fmt: str, tmp_path: Path) -> None:
    pytest.importorskip("openpyxl")
    path = export(record.effects, fmt, tmp_path / f"effects.{fmt}")
    back = EFFECTS.conform(READERS[fmt](path))
    pd.testing.assert_frame_equal(
        back.fillna({"flags": ""}), EFFECTS.conform(record.effects), rtol=1e-14
    )


@pytest.mark.parametrize("fmt", ["md", "latex", "html"])
def test_printed_tables_hold_every_contrast(record: TrialRecord, fmt: str, tmp_path: Path) -> None:
    text = export(record.effects, fmt, tmp_path / "effects.txt").read_text(encoding="utf-8")
    assert text.count("drift") == 2
    assert "Holm-adjusted" in text


def test_latex_is_booktabs_and_escaped(record: TrialRecord, tmp_path: Path) -> None:
    effects = record.effects.assign(outcome="a_b & 50%")
    text = export(effects, "latex", tmp_path / "e.tex").read_text(encoding="utf-8")
    assert r"a\_b \& 50\%" in text
    for command in (r"\toprule", r"\midrule", r"\bottomrule"):
        assert command in text
    rows = [line for line in text.splitlines() if line.endswith(r"\\")]
    assert {line.replace(r"\&", "").count("&") for line in rows} == {7}
    assert "−" not in text.partition("% Treatment")[0]


def test_markdown_has_equal_columns(record: TrialRecord, tmp_path: Path) -> None:
    effects = record.effects.assign(outcome="a|b")
    text = export(effects, "md", tmp_path / "e.md").read_text(encoding="utf-8")
    rows = [line.replace(r"\|", "") for line in text.splitlines() if line.startswith("|")]
    assert {line.count("|") for line in rows} == {9}


def test_html_is_escaped(record: TrialRecord) -> None:
    text = effects_html(record.effects.assign(treatment="<script>"))
    assert "<script>" not in text
    assert "&lt;script&gt;" in text


def test_unknown_format_names_the_known_ones(record: TrialRecord, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="did you mean 'parquet'") as caught:
        export(record.effects, "parket", tmp_path / "x")
    assert all(fmt in str(caught.value) for fmt in FORMATS)
    assert list(tmp_path.iterdir()) == []


def test_xlsx_without_its_library(
    record: TrialRecord, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from causal_sae.reporting import export as module

    monkeypatch.setattr("causal_sae.reporting.export.find_spec", lambda _: None)
    with pytest.raises(InputError, match=r"causal-sae\[excel\]"):
        module.export(record.effects, "xlsx", tmp_path / "x.xlsx")
    assert list(tmp_path.iterdir()) == []
