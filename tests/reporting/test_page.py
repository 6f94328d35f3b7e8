# ruff: noqa: RUF001 - typographic minus signs and dashes are what is tested
from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest
from made_up_trials import declared
from matplotlib.figure import Figure

from causal_sae.reporting import TrialRecord
from causal_sae.reporting import page as pages
from causal_sae.reporting.figures import forest
from causal_sae.tables import EFFECTS

EVIL = "<script>alert('x')</script>"
VOID = {"meta", "link", "br", "img", "hr", "input", "use", "path"}


class Reader(HTMLParser):
    """Collects what a browser would: open tags, attributes, ids, tables."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.ids: list[str] = []
        self.depth: list[str] = []
        self.table: list[list[str]] | None = None
        self.cells: list[list[str]] = []
        self.wanted = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {key: value or "" for key, value in attrs}
        self.tags.append(tag)
        self.attributes += list(given.items())
        self.ids += [given["id"]] if "id" in given else []
        self.wanted = self.wanted or given.get("id") == "all-effects"
        if tag == "tr" and self.wanted:
            self.cells.append([])
        if tag == "td" and self.wanted:
            self.cells[-1].append(given.get("data-value", ""))
            self.depth.append("td")
        elif tag not in VOID:
            self.depth.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.depth.pop()

    def handle_data(self, data: str) -> None:
        if self.wanted and self.depth and self.depth[-1] == "td" and not self.cells[-1][-1]:
            self.cells[-1][-1] = data

    def handle_endtag(self, tag: str) -> None:
        if tag in VOID:
            return
        assert self.depth.pop() == tag
        if tag == "table":
            self.wanted = False


def read(text: str) -> Reader:
    reader = Reader()
    reader.feed(text)
    assert reader.depth == []
    return reader


@pytest.fixture(scope="module")
def page(record: TrialRecord, figures: dict[str, Figure]) -> str:
    return pages.render(record, figures)


def test_written_page_is_the_rendered_one(
    record: TrialRecord, page: str, figures: dict[str, Figure], tmp_path: Path
) -> None:
    path = pages.write_report(record, tmp_path / "deep" / "report.html", figures)
    assert path.read_text(encoding="utf-8") == page


def test_sections_are_all_there(page: str) -> None:
    ids = read(page).ids
    sections = "verdict effects sets flags flow arms gates harms robustness registration provenance"
    assert set(sections.split()) <= set(ids)
    assert len(ids) == len(set(ids))
    for words in (
        "Does feature 1234 carry the capital",
        "In this registered trial the claim held",
        "Prompts assessed",
        "feature 1234 never active: 61",
        "10 placebo features for feature 1234, matched on how often they fire",
        "log-odds of the column",
        "The null edit leaves the logits bit-identical.",
        "clean_outcome",
        "harm excluded",
        "With arms dealt out anew the effect vanishes.",
        "Registered 2026-11-20 09:12 UTC.",
        "sha256:9f2c4e",
        "6 min 42 s",
        "target is several tokens",
        "schema: 1",
    ):
        assert words in page, words


def test_links_within_the_page_lead_somewhere(page: str) -> None:
    reader = read(page)
    targets = [value[1:] for key, value in reader.attributes if key == "href"]
    assert targets
    assert set(targets) <= set(reader.ids)


def test_page_loads_nothing(page: str) -> None:
    reader = read(page)
    assert not {"script", "link", "img", "iframe"} & set(reader.tags)
    assert not [v for k, v in reader.attributes if k in {"src", "srcset", "data", "action"}]
    assert not re.search(r"https?://|@import|url\((?!#)|//cdn", page)


def test_every_figure_has_words(page: str) -> None:
    assert page.count('role="img"') == page.count("<svg") == 2
    assert re.search(r"<svg[^>]*><title>Forest plot\. gap, ablate − sham: −0\.", page)


def test_every_effect_is_reachable_to_the_last_digit(record: TrialRecord, page: str) -> None:
    rows = [row for row in read(page).cells if row]
    shown = pd.DataFrame(rows, columns=list(EFFECTS.columns))
    for name, column in EFFECTS.columns.items():
        expected = record.effects[name]
        if column.kind == "number":
            got = pd.to_numeric(shown[name]).to_numpy()
            assert (got == expected.to_numpy(dtype="float64")).all(), name
        else:
            assert shown[name].tolist() == [str(value) for value in expected], name


def test_printed_numbers_are_those_of_the_effects(record: TrialRecord, page: str) -> None:
    from causal_sae.reporting.effect import read_effects

    for effect in read_effects(record.effects):
        assert effect.with_interval in page


def test_all_text_is_escaped(make: Callable[..., TrialRecord]) -> None:
    record = make(declared(question=EVIL))
    hostile = {name: EVIL for name in ("treatment", "outcome", "flags", "estimand")}
    manifest = {**record.manifest, "command": EVIL, "deviations": [EVIL]}
    manifest |= {"versions": {EVIL: EVIL}, "hashes": {EVIL: EVIL}}
    hostile_record = replace(
        record,
        effects=record.effects.assign(**hostile),
        observations=record.observations.assign(status=EVIL),
        flow=replace(record.flow, excluded={EVIL: 3}),
        manifest=manifest,  # type: ignore[arg-type]
        identification=EVIL,
        trial_text=f"prompts: {EVIL}",
        diagnostics=record.diagnostics.assign(sentence=EVIL, check=EVIL),  # type: ignore[union-attr]
        refutations=record.refutations.assign(sentence=EVIL),  # type: ignore[union-attr]
        balance=record.balance.assign(covariate=EVIL),  # type: ignore[union-attr]
    )
    text = pages.render(hostile_record, {"forest": forest(hostile_record.effects)})
    assert "<script" not in text.lower()
    assert "script" not in read(text).tags
    assert text.count("&lt;script&gt;") > 10


def test_p_never_stands_beside_a_refuter(page: str) -> None:
    refuters = page[page.index("<h3>Refuters</h3>") : page.index("<h3>Limitations</h3>")]
    assert not re.search(r"\bp\s*[=<]", refuters)


def test_baseline_has_no_p(page: str) -> None:
    baseline = page[page.index("<h3>Baseline</h3>") : page.index('<section id="harms">')]
    assert "SMD" in baseline
    assert not re.search(r">p\b", baseline.replace("<p", ""))


def test_nothing_is_left_behind_when_rendering_fails(
    record: TrialRecord, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "report.html"
    target.write_text("before")

    def broken(*_: object) -> str:
        return "\ud800"  # cannot be written as UTF-8

    monkeypatch.setattr(pages, "render", broken)
    with pytest.raises(UnicodeEncodeError):
        pages.write_report(record, target, {})
    assert target.read_text() == "before"
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


def test_crossover_page(crossover: TrialRecord, ladder_figures: dict[str, Figure]) -> None:
    text = pages.render(crossover, ladder_figures)
    assert "Randomised to an order of arms" in text
    assert text.count("<svg") == 4
    assert "This trial was not registered" not in text  # its manifest has a registration
    ids = read(text).ids
    assert len(ids) == len(set(ids))


def test_bare_record_says_what_is_not_known(record: TrialRecord) -> None:
    bare = replace(
        record, diagnostics=None, balance=None, refutations=None, identification="", manifest={}
    )
    text = pages.render(bare, {})
    for words in (
        "No checks were recorded.",
        "No refuters were declared.",
        "declared confirmatory but not registered before it ran",
    ):
        assert words in text


def _missing_table(**changes: object) -> pd.DataFrame:
    row = {
        "outcome": "gap",
        "treatment": "ablate",
        "reference": "sham",
        "n_treatment": 50,
        "n_reference": 50,
        "missing_treatment": 2,
        "missing_reference": 0,
        "reasons_treatment": "too long: 2",
        "reasons_reference": "",
        "estimate": -0.6,
        "bound_low": -0.64,
        "bound_high": -0.55,
        "conf_low": -0.8,
        "conf_high": -0.3,
        "conf_level": 0.95,
        "note": "",
    }
    return pd.DataFrame([{**row, **changes}])


def test_what_is_missing_stands_in_one_place(record: TrialRecord) -> None:
    flagged = record.effects["flags"].where(
        record.effects["outcome"] != "gap", "missing_treatment:2;differential_missing"
    )
    lost = replace(
        record,
        companions={"missingness": _missing_table()},
        effects=record.effects.assign(flags=flagged),
    )
    text = pages.render(lost, {})
    section = text[text.index("<h3>Missing data</h3>") : text.index('<section id="arms">')]
    for words in ("2 of 50 (too long: 2)", "0 of 50", "−0.640 to −0.550", "−0.800 to −0.300"):
        assert words in section, words
    assert text.count("too long: 2") == 1
    limits = text[text.index("<h3>Limitations</h3>") :]
    assert "More is missing in one arm than in the other" in limits
    assert "ablate − sham on gap would be from −0.640 to −0.550" in limits
    verdict = text[text.index('<section id="verdict"') : text.index("</section>")]
    assert "differential_missing" in verdict or "missing more often in one arm" in verdict


def test_an_outcome_without_bounds_says_so(record: TrialRecord) -> None:
    nan = float("nan")
    table = _missing_table(
        bound_low=nan, bound_high=nan, conf_low=nan, conf_high=nan, note="No bounds."
    )
    text = pages.render(replace(record, companions={"missingness": table}), {})
    assert "No bounds." in text
    assert "would be from" not in text
