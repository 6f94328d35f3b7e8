"""The figure of a sweep: one panel a score, the recommended dose marked."""

from __future__ import annotations

import numpy as np
import pandas as pd

from causal_sae.reporting.figures.sweep import sweep_figure

TABLE = pd.DataFrame(
    {
        "text": ["untouched", "1q99", "2q99"],
        "concept": [0.0, 0.1, 0.2],
        "concept_se": [0.01, 0.02, np.nan],
        "keywords": [0.0, 0.4, 0.9],
        "surprise": [1.7, 2.4, 3.0],
        "surprise_se": [0.1, 0.1, 0.1],
        "repetition": [0.0, 0.05, 0.01],
    }
)


def test_every_score_has_a_panel_and_its_numbers():
    figure = sweep_figure(TABLE, "2q99", "Feature 3, clamp")
    assert len(figure.axes) == 4
    for ax, column in zip(
        figure.axes, ("concept", "keywords", "surprise", "repetition"), strict=True
    ):
        np.testing.assert_allclose(ax.lines[0].get_ydata(), TABLE[column])
    assert [tick.get_text() for tick in figure.axes[-1].get_xticklabels()] == list(TABLE["text"])


def test_without_keywords_their_panel_is_left_out():
    assert len(sweep_figure(TABLE.assign(keywords=np.nan), None, "Feature 3").axes) == 3
