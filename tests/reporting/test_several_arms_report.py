"""Factorial effects and dose-response on the report: treatments that are no arms."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from causal_sae.pipeline import estimate_observations
from causal_sae.reporting.figures import dose_response
from causal_sae.reporting.verdict import judge
from causal_sae.run import Run
from causal_sae.spec import Trial

DOSES = {"control": 0.0, "x1": 1.0, "x2": 2.0, "x4": 4.0, "x8": 8.0}


def _run(trial: dict[str, Any], values: dict[str, float], out: Path) -> Run:
    rng = np.random.default_rng(0)
    arm = np.repeat(list(values), 30)
    noise = rng.normal(size=len(arm)) / 4
    table = pd.DataFrame(
        {
            "unit_id": [f"u{i}" for i in range(len(arm))],
            "arm": arm,
            "outcome": "gap",
            "value": np.array([values[name] for name in arm]) + noise,
        }
    )
    declared = {
        "schema": 1,
        "name": "several-arms",
        "question": "Does it?",
        "outcomes": [{"name": "gap", "role": "primary", "metric": "entropy"}],
        **trial,
    }
    return estimate_observations(Trial.model_validate(declared), table, out)


def _clamp(dose: float) -> dict[str, Any]:
    if dose == 0:
        return {"kind": "none"}
    return {"kind": "clamp", "features": [3], "dose": {"multiple": dose, "of": "q99"}}


@pytest.fixture(scope="module")
def doses(tmp_path_factory: pytest.TempPathFactory) -> Run:
    trial = {
        "arms": [{"name": name, "intervention": _clamp(dose)} for name, dose in DOSES.items()],
        "analysis": {"dose_response": [{"arms": list(DOSES), "test": True}]},
    }
    means = {name: 3 * dose / (1.5 + dose) for name, dose in DOSES.items()}
    return _run(trial, means, tmp_path_factory.mktemp("doses") / "run")


@pytest.fixture(scope="module")
def cells(tmp_path_factory: pytest.TempPathFactory) -> Run:
    edit = {"kind": "ablate", "features": [3]}
    arms = [
        {
            "name": name,
            "intervention": edit if levels != ("0", "0") else {"kind": "none"},
            "levels": {"a": levels[0], "b": levels[1]},
        }
        for name, levels in (
            *(("neither", ("0", "0")), ("first", ("1", "0"))),
            *(("second", ("0", "1")), ("both", ("1", "1"))),
        )
    ]
    trial = {
        "arms": arms,
        "assignment": {"method": "factorial"},
        "analysis": {"factorial": "two_way"},
    }
    means = {"neither": 0.0, "first": 1.0, "second": 2.0, "both": 3.0}
    return _run(trial, means, tmp_path_factory.mktemp("cells") / "run")


def test_the_curve_is_drawn_over_declared_doses_with_its_ed50(doses: Run) -> None:
    figure = dose_response(doses.record())
    assert figure is not None
    (axes,) = figure.axes
    lines = {line.get_gid(): line for line in axes.lines}
    assert {"emax", "ed50", "ed50-interval", "reference"} <= set(lines)
    table = doses.record().companions["dose_response"].set_index("quantity")
    assert lines["ed50"].get_xdata()[0] == pytest.approx(table.loc["ED50", "estimate"])
    x, y = lines["emax"].get_data()
    assert (x[0], x[-1]) == (0, 8)
    assert y[0] == pytest.approx(table.loc["E0", "estimate"])
    assert [lines[f"dose-{name}"].get_xdata()[0] for name in DOSES] == list(DOSES.values())
    assert "99th percentile of the feature's active values" in axes.get_xlabel()


def test_the_trend_is_a_claim_per_unit_of_dose(doses: Run) -> None:
    sentences = [finding.sentence for finding in judge(doses.record()).findings]
    assert any("trend x1..x8 raised gap by" in s and "per unit of dose" in s for s in sentences)


def test_an_interaction_of_nothing_keeps_the_verdict_from_holding(cells: Run) -> None:
    """Both features work, but adding them up explains what both together do."""
    found = judge(cells.record())
    assert found.status == "held_partly"
    assert len(found.findings) == 6
    assert [f.status for f in found.findings].count("cannot_tell") == 1


def test_the_page_and_the_figures_stand(cells: Run, doses: Run) -> None:
    for run in (cells, doses):
        page = (run.folder.path / "report.html").read_text(encoding="utf-8")
        assert "Joint tests" in page or "Jonckheere-Terpstra" in page
        assert (run.folder.path / "figures" / "forest.png").exists()
