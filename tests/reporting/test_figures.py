from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from made_up_trials import declared, effect, table
from matplotlib._pylab_helpers import Gcf
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from causal_sae.reporting import TrialRecord, forest
from causal_sae.reporting import figures as drawing
from causal_sae.reporting.figures.distribution import jitter, thin
from causal_sae.reporting.figures.dose import dose_ladder, mean_interval
from causal_sae.spec import Trial


def lines(figure: Figure, gid: str) -> list[Line2D]:
    return [line for axes in figure.axes for line in axes.lines if line.get_gid() == gid]


def test_forest_shows_every_row_filled_where_rejected(record: TrialRecord) -> None:
    figure = forest(record)
    rejected = record.effects["reject"].fillna(value=False)
    filled, hollow = lines(figure, "rejected"), lines(figure, "not-rejected")
    assert (len(filled), len(hollow)) == (int(rejected.sum()), int((~rejected).sum()))
    drawn = sorted(float(np.ravel(mark.get_xdata())[0]) for mark in (*filled, *hollow))
    assert drawn == pytest.approx(sorted(record.effects["estimate"]))
    assert {to_hex(str(mark.get_markerfacecolor())) for mark in hollow} == {"#ffffff"}
    assert len(figure.axes) == 3
    assert len(lines(figure, "no-difference")) == 3


def test_forest_marks_the_margin_on_the_side_of_harm(record: TrialRecord) -> None:
    (margin,) = lines(forest(record), "margin")
    assert set(np.ravel(margin.get_xdata())) == {0.1}
    outcomes = [*declared()["outcomes"][:2], {**declared()["outcomes"][2], "harm": "decrease"}]
    trial = Trial.model_validate(declared(outcomes=outcomes))
    (margin,) = lines(forest(replace(record, trial=trial)), "margin")
    assert set(np.ravel(margin.get_xdata())) == {-0.1}


def test_forest_survives_what_could_not_be_estimated() -> None:
    effects = table(
        effect("gap", "a", "b", np.nan, np.nan),
        effect("gap", "c", "b", 0.2, 0.1, conf_low=-np.inf),
    )
    assert "not estimated" in {text.get_text() for text in drawing.forest(effects).axes[0].texts}


def test_parallel_record_has_no_dose_response(figures: dict[str, Figure]) -> None:
    assert set(figures) == {"forest", "distributions"}


def test_ladder(crossover: TrialRecord, ladder_figures: dict[str, Figure]) -> None:
    assert dose_ladder(crossover.trial) == ("x2", "x4", "x8")
    figure = ladder_figures["dose_response"]
    rows = crossover.observations.query("outcome == 'gap' and arm == 'x8'")
    (mark,) = [line for line in figure.axes[0].lines if line.get_gid() == "dose-x8"]
    assert float(np.ravel(mark.get_xdata())[0]) == pytest.approx(rows["dose"].mean())
    assert float(np.ravel(mark.get_ydata())[0]) == pytest.approx(rows["value"].mean())


def test_different_features_are_no_ladder() -> None:
    def clamp(name: str, feature: int, dose: float) -> dict[str, object]:
        return {
            "name": name,
            "intervention": {"kind": "clamp", "features": [feature], "dose": dose},
        }

    arms = [{"name": "none", "intervention": {"kind": "none"}}, clamp("a", 1, 2), clamp("b", 2, 4)]
    spec = declared(arms=arms, analysis={})
    assert dose_ladder(Trial.model_validate(spec)) == ()
    spec["arms"] = [arms[0], clamp("a", 1, 2), clamp("b", 1, 4)]
    assert dose_ladder(Trial.model_validate(spec)) == ("a", "b")


def test_crossover_draws_differences_within_prompts(
    crossover: TrialRecord, ladder_figures: dict[str, Figure]
) -> None:
    axes = ladder_figures["distributions"].axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["x2", "x4", "x8"]
    assert axes.get_title(loc="left") == "gap, difference from control"
    wide = crossover.observations.query("outcome == 'gap'").pivot(
        index="unit_id", columns="arm", values="value"
    )
    drawn = np.sort(np.asarray(axes.collections[0].get_offsets())[:, 0])
    assert drawn == pytest.approx(np.sort((wide["x2"] - wide["control"]).dropna()))


def test_unusable_values_are_not_drawn(record: TrialRecord, figures: dict[str, Figure]) -> None:
    observations = record.observations.copy()
    observations.loc[observations.index[:3], "status"] = "failed"
    fewer = drawing.distributions(replace(record, observations=observations))
    assert fewer is not None

    def dots(figure: Figure) -> int:
        collections = [c for axes in figure.axes for c in axes.collections]
        return sum(len(np.asarray(c.get_offsets())) for c in collections)

    assert dots(fewer) == dots(figures["distributions"]) - 3


def test_thinning_keeps_extremes_and_jitter_stays_in_its_band() -> None:
    values = np.random.default_rng(0).normal(size=1000)
    thinned = thin(values, 50)
    assert (len(thinned), thinned.min(), thinned.max()) == (50, values.min(), values.max())
    assert np.abs(jitter(500, 0.2)).max() <= 0.2


def test_mean_interval_is_the_t_interval() -> None:
    from scipy import stats

    values = np.array([1.0, 2.0, 4.0, 7.0])
    low, high = stats.t.interval(0.95, 3, values.mean(), stats.sem(values))
    assert mean_interval(values, 0.95) == pytest.approx((3.5, low, high))
    assert np.isnan(mean_interval(values[:1], 0.95)[1])


def test_saved_twice_alike_and_unknown_to_pyplot(
    crossover: TrialRecord, ladder_figures: dict[str, Figure], tmp_path: Path
) -> None:
    paths = drawing.save_figures({"forest": ladder_figures["forest"]}, tmp_path / "a")
    assert [path.name for path in paths] == ["forest.png", "forest.svg"]
    for path in paths:
        again = tmp_path / path.name
        drawing.save_figure(forest(crossover), again)
        assert again.read_bytes() == path.read_bytes()
    assert Gcf.get_all_fig_managers() == []


def test_ladder_record_has_every_figure(ladder_figures: dict[str, Figure]) -> None:
    # It has no looks before its end.
    assert list(ladder_figures) == [name for name in drawing.FIGURES if name != "looks"]


def test_looks_show_statistic_boundaries_and_where_a_contrast_would_have_been_given_up(
    record: TrialRecord,
) -> None:
    table = pd.DataFrame(
        {
            "outcome": "gap",
            "treatment": "ablate",
            "reference": "sham",
            "look": [1, 2, 3],
            "information": [0.4, 0.7, 1.0],
            "statistic": [1.5, 2.0, 2.5],
            "lower": [-3.4, np.nan, np.nan],
            "upper": [3.4, 2.5, 1.95],
            "futile_from": [-0.3, np.nan, np.nan],
            "futile_to": [0.3, 1.0, np.nan],
            "decision": ["continue", "continue", "reject"],
        }
    )
    figure = drawing.looks(replace(record, companions={"looks": table}))
    assert figure is not None
    (axes,) = figure.axes
    lines = {line.get_gid(): line for line in axes.lines}
    assert lines["boundary-upper"].get_ydata().tolist() == [3.4, 2.5, 1.95]
    assert lines["decided"].get_xdata().tolist() == [1.0]
    (bars,) = axes.collections
    assert len(bars.get_segments()) == 2
    assert drawing.looks(record) is None


def test_foreign_observations_have_fewer_figures(record: TrialRecord) -> None:
    columns = ["unit_id", "arm", "outcome", "value"]
    bare = replace(record, observations=pd.DataFrame(record.observations[columns]))
    assert drawing.distributions(bare) is not None
    assert drawing.dose_response(bare) is None
    assert drawing.manipulation(bare) is None


def test_forest_marks_both_margins_where_either_direction_harms(record: TrialRecord) -> None:
    outcomes = [*declared()["outcomes"][:2], {**declared()["outcomes"][2], "harm": "either"}]
    trial = Trial.model_validate(declared(outcomes=outcomes))
    drawn = lines(forest(replace(record, trial=trial)), "margin")
    assert {float(np.ravel(line.get_xdata())[0]) for line in drawn} == {-0.1, 0.1}


def test_forest_tells_the_levels_only_where_they_differ(record: TrialRecord) -> None:
    assert not any("CI" in axes.get_title(loc="left") for axes in forest(record).axes)
    guardrail = record.effects["role"] == "guardrail"
    levels = record.effects["conf_level"].mask(guardrail, 0.9)
    figure = forest(replace(record, effects=record.effects.assign(conf_level=levels)))
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert [("95% CI" in title, "90% CI" in title) for title in titles] == [
        *[(True, False)] * 2,
        (False, True),
    ]
