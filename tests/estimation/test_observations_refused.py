"""Tables that are not those of the trial: one sentence that says what and where."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from causal_sae.errors import DataError, SpecError
from causal_sae.estimation import check_analysis, estimate


@pytest.fixture
def table(make_observations: Any) -> pd.DataFrame:
    y = np.random.default_rng(1).normal(size=8)
    return make_observations(y, ["control", "treated"] * 4)


def _set(frame: pd.DataFrame, row: int, column: str, value: object) -> pd.DataFrame:
    changed = frame.copy()
    changed[column] = changed[column].astype(object)
    changed.loc[row, column] = value
    return changed


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda t: t.drop(columns="value"), "must have the column 'value'"),
        (lambda t: t.rename(columns={"value": "valu"}), "did you mean 'valu'"),
        (lambda t: _set(t, 0, "arm", "contrl"), "arm 'contrl'.*did you mean 'control'"),
        (lambda t: _set(t, 0, "outcome", "gaps"), "outcome 'gaps'.*did you mean 'gap'"),
        (lambda t: _set(t, 2, "value", "high"), "finite number.*'high'.*'u00002'"),
        (lambda t: _set(t, 2, "value", np.inf), "finite number.*'inf'"),
        (lambda t: _set(t, 2, "arm", None), "row 3 has none"),
        (lambda t: pd.concat([t, t.iloc[[3]]]), "has several.*'draw' or 'sample'"),
        (lambda t: t[t["arm"] == "control"], "must hold the arm 'treated'"),
        (lambda t: t.iloc[:0], "must hold the declared outcome 'gap'"),
        (lambda t: t.assign(unit_id=["a", "a", "b", "b", "c", "c", "d", "d"]), "is in one arm"),
    ],
)
def test_a_wrong_table_is_refused(spoil: Any, words: str, table: Any, make_trial: Any) -> None:
    with pytest.raises(DataError, match=words):
        estimate(make_trial(), spoil(table))


@pytest.mark.parametrize(
    ("changes", "columns", "words"),
    [
        ({"assignment": {"method": "block", "block_by": ["topic"]}}, {}, "column 'block'"),
        ({"assignment": {"method": "cluster", "cluster_by": "tpl"}}, {}, "column 'cluster'"),
        ({"analysis": {"covariates": ["len"]}}, {"lenght": range(8)}, "did you mean 'lenght'"),
        ({"analysis": {"covariates": ["x"]}}, {"x": [np.nan, *range(7)]}, "got 'nan'.*'u00000'"),
        ({"analysis": {"covariates": ["x"]}}, {"x": [*range(7), "b"]}, "got 'b'"),
    ],
)
def test_columns_of_the_design_must_be_there(
    changes: Any, columns: Any, words: str, table: Any, make_trial: Any
) -> None:
    with pytest.raises(DataError, match=words):
        estimate(make_trial(**changes), table.assign(**columns))


def test_a_covariate_must_not_differ_within_a_unit(table: Any, make_trial: Any) -> None:
    trial = make_trial(assignment={"method": "crossover"}, analysis={"covariates": ["x"]})
    both = pd.concat([table.assign(arm="control", x=1.0), table.assign(arm="treated", x=2.0)])
    with pytest.raises(DataError, match="same in all rows of a unit"):
        estimate(trial, both)


def test_the_input_is_left_as_it_was(table: Any, make_trial: Any) -> None:
    before = table.copy(deep=True)
    estimate(make_trial(), table)
    pd.testing.assert_frame_equal(table, before)


@pytest.mark.parametrize(
    ("analysis", "assignment", "words"),
    [
        ({"estimator": "mixed"}, {}, "use 'welch' or 'auto'"),
        ({"estimator": "crossover"}, {}, "use 'welch' or 'auto'"),
        ({"supplementary": ["wilcoxon"]}, {}, "use 'welch' or 'auto'"),
        ({"estimator": "ancova"}, {}, "needs covariates"),
        ({"estimator": "welch", "covariates": ["x"]}, {}, "use 'ancova' or 'lin'"),
        ({"estimator": "paired"}, {}, "use 'welch' or 'auto'"),
        ({"estimator": "welch"}, {"method": "crossover"}, "use 'paired' or 'auto'"),
        ({"estimator": "welch"}, {"method": "block", "block_by": ["t"]}, "use 'block' or 'auto'"),
        ({"estimator": "welch"}, {"cluster_by": "t"}, "use 'cluster' or 'auto'"),
        ({"estimator": "block"}, {"cluster_by": "t"}, "use 'cluster' or 'auto'"),
        ({"multiplicity": {"method": "maxt"}, "estimator": "randomization"}, {}, "use holm"),
        ({"multiplicity": {"method": "single_step"}, "estimator": "logistic"}, {}, "use holm"),
        ({"multiplicity": {"method": "dunnett"}}, {"method": "crossover"}, "use holm"),
        ({"multiplicity": {"method": "dunnett"}}, {"cluster_by": "t"}, "use holm"),
    ],
)
def test_an_analysis_that_does_not_fit_is_refused(
    analysis: Any, assignment: Any, words: str, table: Any, make_trial: Any
) -> None:
    trial = make_trial(analysis=analysis, assignment={"method": "complete", **assignment})
    with pytest.raises(SpecError, match=words):
        estimate(trial, table)
    with pytest.raises(SpecError, match=words):
        check_analysis(trial)
