"""The causal graph on the page."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

from causal_sae.reporting import TrialRecord
from causal_sae.reporting import page as pages
from causal_sae.reporting.graph import causal_graph, edges_of

TEXT = """Arms were assigned at random (block), so that:
  arm -> outcome
  prompt -> outcome
  clean outcome -> outcome
  block -> arm
  block -> outcome
  cluster -> prompt
Blocks are conditioned on.

E[outcome|block]"""


def boxes(svg: str) -> list[tuple[float, float, float, float]]:
    pattern = r'<rect x="([-\d.]+)" y="([-\d.]+)" width="([\d.]+)" height="([\d.]+)"'
    return [(float(a), float(b), float(c), float(d)) for a, b, c, d in re.findall(pattern, svg)]


def test_every_edge_is_drawn_and_told() -> None:
    svg = str(causal_graph(TEXT))
    edges = edges_of(TEXT)
    assert len(edges) == 6
    assert svg.count("<line") == 6
    assert svg.count("<rect") == svg.count("<text") == 6  # the nodes
    assert "clean outcome causes outcome" in svg
    assert svg.count("stroke-dasharray") == 1  # the prompt


def test_nodes_do_not_overlap_and_stay_inside() -> None:
    for text in (TEXT, "  arm -> outcome", "\n".join(f"  x{i}{i} -> outcome" for i in range(9))):
        whole = text if "arm ->" in text else f"  arm -> outcome\n{text}"
        svg = str(causal_graph(whole))
        found = re.search(r'viewBox="0 0 (\d+) (\d+)"', svg)
        assert found is not None
        width, height = float(found[1]), float(found[2])
        drawn = boxes(svg)
        for i, (x, y, w, h) in enumerate(drawn):
            assert x >= 0
            assert y >= 0
            assert x + w <= width
            assert y + h <= height
            for x2, y2, w2, _ in drawn[i + 1 :]:
                assert y != y2 or x + w <= x2 or x2 + w2 <= x


def test_no_graph_without_edges() -> None:
    assert causal_graph("") is None
    assert causal_graph("The arm was assigned at random.\nE[gap | arm]") is None


def test_names_are_escaped() -> None:
    svg = str(causal_graph("  arm -> outcome\n  <script>x</script> -> outcome"))
    assert "<script" not in svg
    assert "&lt;script&gt;" in svg


def test_the_page_shows_graph_and_statuses(make: Callable[..., TrialRecord]) -> None:
    record = make()
    assert record.refutations is not None
    told = record.refutations.assign(
        status=["reported", "not run"], passed=[None, None], refuter="unobserved_common_cause"
    )
    text = pages.render(replace(record, identification=TEXT, refutations=told), {})
    robustness = text[text.index('<section id="robustness"') :]
    assert "Causal graph: arm causes outcome" in robustness
    assert '<span class="state">reported</span>' in robustness
    assert '<span class="state">not run</span>' in robustness
