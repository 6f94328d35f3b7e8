"""Step-down max-T against multtest, brute force over all assignments, and its own error rate."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations, product
from typing import Any

import numpy as np
import pandas as pd
import pytest

from causal_sae.errors import SpecError
from causal_sae.estimation import check_analysis, estimate
from causal_sae.estimation.estimators import ESTIMATORS
from causal_sae.estimation.multiplicity.maxt import step_down
from causal_sae.estimation.multiplicity.studentised import Dealt, within_blocks
from causal_sae.estimation.multiplicity.studentised import statistic as statistic_of

MAXT = {"multiplicity": {"method": "maxt"}}


def _trial(make_trial: Any, outcomes: Any, arms: str = "ca", **changes: Any) -> Any:
    analysis = {**MAXT, "reference": "c", **changes.pop("analysis", {})}
    return make_trial(
        arms=[{"name": name, "intervention": {"kind": "none"}} for name in arms],
        outcomes=[{"name": n, "role": "secondary", "metric": "entropy"} for n in outcomes],
        analysis=analysis,
        **changes,
    )


def _long(frame: pd.DataFrame, outcomes: Any) -> pd.DataFrame:
    keys = [name for name in frame if name not in outcomes]
    return frame.melt(id_vars=keys, value_vars=list(outcomes), var_name="outcome")


def test_agrees_with_multtest_over_all_assignments(make_trial: Any, golden: Any) -> None:
    frame = golden("data_maxt").rename(columns={"unit": "unit_id"})
    frame["arm"] = frame["arm"].map({0: "c", 1: "a"})
    outcomes = ["X1", "X2", "X3", "X4"]
    effects = estimate(_trial(make_trial, outcomes), _long(frame, outcomes)).set_index("outcome")
    expected = golden("maxt").set_index("outcome")
    for column in ("statistic", "p_adjusted"):
        found = effects.loc[expected.index, column].to_numpy(float)
        assert found == pytest.approx(expected[column].to_numpy(), abs=1e-9), column
    assert effects["correction"].tolist() == ["maxt"] * 4


def _by_hand(statistics: list[list[float]], made: int) -> list[float]:
    """Westfall and Young's algorithm 4.1 written out, the draws being all assignments."""
    observed = np.array(statistics[made])
    order = sorted(range(len(observed)), key=lambda j: -observed[j])
    adjusted, so_far = [0.0] * len(order), 0.0
    for i, j in enumerate(order):
        reached = [max(row[k] for k in order[i:]) >= observed[j] * (1 - 1e-9) for row in statistics]
        so_far = max(so_far, float(np.mean(reached)))
        adjusted[j] = so_far
    return adjusted


def _frame(rng: np.random.Generator, units: int) -> pd.DataFrame:
    shared = rng.normal(size=units)
    return pd.DataFrame(
        {
            "unit_id": [f"u{i:02d}" for i in range(units)],
            "y1": shared + rng.exponential(size=units),
            "y2": shared + rng.normal(size=units),
            "y3": rng.normal(size=units),
        }
    )


@pytest.mark.parametrize("design", ["blocks", "pairs", "small_blocks", "clusters", "within"])
def test_agrees_with_every_assignment_estimated_anew(
    design: str, make_trial: Any, make_sample: Any
) -> None:
    rng = np.random.default_rng(4)
    outcomes = ["y1", "y2", "y3"]
    units = {"blocks": 8, "pairs": 8, "small_blocks": 9, "clusters": 14, "within": 5}[design]
    frame = _frame(rng, units)
    frame["block"] = np.arange(units) // {"pairs": 2, "small_blocks": 3}.get(design, 4)
    frame["cluster"] = np.repeat([f"k{i}" for i in range(7)], 2)[:units]
    assignment: dict[str, Any] = {
        "clusters": {"method": "cluster", "cluster_by": "cluster"},
        "within": {"method": "crossover"},
    }.get(design, {"method": "block", "block_by": ["block"]})
    trial = _trial(make_trial, outcomes, assignment=assignment)
    tables = list(_assignments(design, frame, rng))
    effects = estimate(trial, _long(tables[0], outcomes))
    statistics = [
        [_statistic(design, table.assign(y=table[name]), make_sample) for name in outcomes]
        for table in tables
    ]
    assert effects["correction"].tolist() == ["maxt"] * 3
    assert effects["p_adjusted"].tolist() == pytest.approx(_by_hand(statistics, 0), abs=1e-12)


def _statistic(design: str, table: pd.DataFrame, make_sample: Any) -> float:
    ordered = table.assign(z=(table["arm"] == "a").astype(int), unit=table["unit_id"])
    ordered = ordered.sort_values(["unit", "z"], ascending=[True, False])
    kept = {"clusters": ["cluster"], "within": []}.get(design, ["block"])
    estimator = {"clusters": "cluster", "within": "paired"}.get(design, "block")
    fitted = ESTIMATORS[estimator].fit(make_sample(ordered[["unit", "y", "z", *kept]]), 0.05)
    return abs(float(fitted.statistic))


def _assignments(design: str, frame: pd.DataFrame, rng: np.random.Generator) -> Any:
    """Tables of observations under all assignments, outcomes fixed; the first is the one made."""
    if design == "within":
        other = frame.copy()
        for column in ("y1", "y2", "y3"):
            other[column] += rng.normal(0.4, 1, len(frame))
        for swap in product([False, True], repeat=len(frame)):
            one = np.array(swap)
            first = frame.iloc[~one], other.iloc[one]
            second = other.iloc[~one], frame.iloc[one]
            first, second = (
                pd.concat(part).assign(arm=arm) for part, arm in ((first, "c"), (second, "a"))
            )
            yield pd.concat([first, second], ignore_index=True)
        return
    item = frame["cluster"] if design == "clusters" else frame["unit_id"]
    names = item.drop_duplicates().to_numpy()
    block = frame.groupby(item, sort=False)["block"].first().to_numpy()
    block = np.zeros(len(names)) if design == "clusters" else block
    count = {"blocks": 2, "pairs": 1, "small_blocks": 1, "clusters": 3}[design]
    ways = [list(combinations(names[block == b], count)) for b in np.unique(block)]
    for chosen in product(*ways):
        treated = {name for part in chosen for name in part}
        yield frame.assign(arm=np.where(item.isin(treated), "a", "c"))


@pytest.mark.parametrize("estimator", ["block", "fixed_effects"])
@pytest.mark.parametrize("se_type", ["HC2", "HC3"])
@pytest.mark.parametrize("weighted", [False, True])
def test_regressions_are_those_of_the_estimators(
    estimator: str, se_type: Any, weighted: bool, make_sample: Any, golden: Any
) -> None:
    name = "uneven_blocks" if weighted else "small_blocks"
    sample = replace(make_sample(golden(f"data_{name}")), se_type=se_type)
    y = (sample.outcome - sample.outcome.mean())[:, None]
    block = np.unique(sample.block, return_inverse=True)[1]
    data = Dealt(y, np.ones_like(y), y**2, block, se_type)
    fitted = ESTIMATORS[estimator].fit(sample, 0.05)
    one = statistic_of(estimator, frozenset(fitted.flags))
    assert one is not None
    found = one(data, 0, sample.treated[None, :].astype(float))[0]
    assert found == pytest.approx(abs(fitted.statistic), rel=1e-9)


def test_the_order_of_the_rows_does_not_matter(make_trial: Any) -> None:
    rng = np.random.default_rng(5)
    frame = _frame(rng, 60).assign(arm=np.repeat(list("abc"), 20))
    outcomes = ["y1", "y2", "y3"]
    table = _long(frame, outcomes)
    table.loc[[3, 70], "value"] = np.nan
    trial = _trial(make_trial, outcomes, arms="cab")
    one = estimate(trial, table)
    other = estimate(trial, table.sample(frac=1, random_state=1))
    pd.testing.assert_frame_equal(one, other)
    assert one["correction"].tolist() == ["maxt"] * 6
    assert one["p_adjusted"].min() >= 1 / 10_000
    swapped = trial.model_copy(update={"outcomes": trial.outcomes[::-1]})
    again = estimate(swapped, table).set_index(["outcome", "treatment"])["p_adjusted"]
    first = one.set_index(["outcome", "treatment"])["p_adjusted"]
    assert again.loc[first.index].tolist() == first.tolist()


def test_step_down_is_monotone_and_never_above_single_step() -> None:
    rng = np.random.default_rng(6)
    drawn, observed = np.abs(rng.normal(size=(499, 6))), np.abs(rng.normal(1, 1, size=6))
    p_values = step_down(observed, drawn, listed=False)
    assert np.all(np.diff(p_values[np.argsort(-observed)]) >= 0)
    single = (1 + (drawn.max(axis=1)[:, None] >= observed).sum(axis=0)) / 500
    alone = (1 + (drawn >= observed).sum(axis=0)) / 500
    assert np.all(p_values <= single)
    assert np.all(p_values >= alone)
    order = rng.permutation(6)
    assert step_down(observed[order], drawn[:, order], False).tolist() == p_values[order].tolist()


def test_degenerate_outcomes_do_not_poison_the_family(make_trial: Any) -> None:
    rng = np.random.default_rng(7)
    outcomes = ["y1", "y2", "y3"]
    frame = _frame(rng, 40).assign(arm=np.repeat(list("ac"), 20), y2=1.0, y3=np.nan)
    frame["y1"] += 3.0 * (frame["arm"] == "a")
    effects = estimate(_trial(make_trial, outcomes), _long(frame, outcomes)).set_index("outcome")
    assert effects.loc["y1", "p_adjusted"] == pytest.approx(1e-4)
    assert effects.loc["y2", "p_adjusted"] == 1
    assert effects.loc["y3", "reject"] is pd.NA
    assert effects["family_size"].tolist() == [2] * 3


def test_margins_and_other_estimators_fall_back_or_are_refused(make_trial: Any) -> None:
    frame = _frame(np.random.default_rng(8), 40).assign(arm=np.repeat(list("ac"), 20))
    trial = _trial(make_trial, ["y1", "y2"])
    guards = tuple(
        o.model_copy(update={"role": "guardrail", "margin": 0.5}) for o in trial.outcomes
    )
    table = _long(frame, ["y1", "y2"])
    effects = estimate(trial.model_copy(update={"outcomes": guards}), table)
    assert effects["correction"].tolist() == ["holm"] * 2
    refused: list[tuple[dict[str, Any], dict[str, Any]]] = [
        ({"estimator": "randomization"}, {}),
        ({"covariates": ["x"], "estimator": "ancova"}, {}),
        ({}, {"assignment": {"method": "complete", "cluster_by": "x"}}),
    ]
    for analysis, design in refused:
        with pytest.raises(SpecError, match="use holm"):
            check_analysis(_trial(make_trial, ["y1"], analysis=analysis, **design))


SCENARIOS = ("null", "partial", "partial skewed")


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_the_family_error_holds_whatever_other_arms_do(scenario: str) -> None:
    wrong = [_false_rejection(scenario, seed) for seed in range(200)]
    assert np.mean(wrong) <= 0.05 + 3.29 * np.sqrt(0.05 * 0.95 / 200)


def _false_rejection(scenario: str, seed: int) -> bool:
    """Whether a true null hypothesis of two outcomes by three contrasts is rejected."""
    rng = np.random.default_rng([seed, SCENARIOS.index(scenario)])
    y = rng.exponential(size=(80, 2)) if "skewed" in scenario else rng.normal(size=(80, 2))
    y[:, 1] += y[:, 0]
    if scenario != "null":
        y[:20] = 4 + 3 * y[:20]
    observed, drawn = [], []
    for first in (0, 20, 40):
        rows = np.r_[first : first + 20, 60:80]
        part = y[rows] - y[rows].mean(axis=0)
        data = Dealt(part, np.ones_like(part), part**2, np.zeros(40, dtype=np.int64))
        made = np.repeat([1.0, 0.0], 20)[None, :]
        draws = rng.permuted(np.tile(made, (199, 1)), axis=1)
        for outcome in (0, 1):
            observed.append(within_blocks(data, outcome, made)[0])
            drawn.append(within_blocks(data, outcome, draws))
    adjusted = step_down(np.array(observed), np.array(drawn).T, listed=False)
    return bool(np.any(adjusted[2 if scenario != "null" else 0 :] <= 0.05))
