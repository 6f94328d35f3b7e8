# ruff: noqa: RUF001 - typographic minus signs and dashes are what is tested
from __future__ import annotations

import pytest
from rich.console import Console

from causal_sae.reporting import TrialRecord
from causal_sae.reporting.terminal import effects_table, print_results, verdict_line


def shown(record: TrialRecord, width: int) -> str:
    console = Console(width=width, record=True, file=None, force_terminal=False, quiet=False)
    with console.capture() as captured:
        console.print(effects_table(record.effects, width, record.flag_meanings))
    return captured.get()


@pytest.mark.parametrize("width", [80, 120])
def test_every_contrast_stands_on_one_line_within_the_width(
    record: TrialRecord, width: int
) -> None:
    lines = shown(record, width).splitlines()
    assert max(len(line) for line in lines) <= width
    contrasts = [line for line in lines if " − " in line and "[" in line]
    assert len(contrasts) == len(record.effects)
    assert all(("●" in line) or ("○" in line) for line in contrasts)


def test_marks_follow_reject(record: TrialRecord) -> None:
    text = shown(record, 80)
    assert text.count("●") - 2 == int(record.effects["reject"].sum())  # two in the caption


def test_flags_are_numbered_and_explained(record: TrialRecord) -> None:
    text = " ".join(shown(record, 120).split())
    assert "ablate − sham [1]" in text
    assert "[1] The feature fires on only 12 treated units." in text
    assert "margin_test" not in text


def test_wide_shows_more(record: TrialRecord) -> None:
    assert "Effect size [CI]" in shown(record, 120)
    assert "Effect size [CI]" not in shown(record, 80)


def test_markup_in_names_is_text(record: TrialRecord, make: object) -> None:
    from dataclasses import replace

    effects = record.effects.assign(treatment="[red]x[/red]")
    assert "[red]x[/red]" in shown(replace(record, effects=effects), 120)


def test_results_end_with_verdict_and_report(record: TrialRecord, tmp_path: object) -> None:
    from pathlib import Path

    console = Console(width=100)
    with console.capture() as captured:
        print_results(record, console, Path("runs/x/report.html"))
    text = captured.get()
    assert text.index("✓ null edit") < text.index("ablate − sham") < text.index("The claim held")
    assert text.rstrip().endswith("Report: runs/x/report.html")
    assert verdict_line(record).plain.startswith("The claim held\nIn this registered trial")
