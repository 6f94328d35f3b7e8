"""Graphs of tests against published values, and against closed testing written out."""

from __future__ import annotations

from contextlib import nullcontext
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from causal_sae.errors import SpecError
from causal_sae.estimation import check_analysis
from causal_sae.estimation.multiplicity import adjust
from causal_sae.estimation.multiplicity.graphical import sequentially_rejective
from causal_sae.spec import Multiplicity
from causal_sae.spec.rules.analysis import graph_of_tests

E = 1e-5
SIX = [
    [0, 0.5, 0.25, 0, 0.25, 0],
    [0.5, 0, 0, 0.25, 0, 0.25],
    [0, 0, 0, 0, 1, 0],
    [E, 0, 0, 0, 0, 1 - E],
    [0, E, 1 - E, 0, 0, 0],
    [0, 0, 0, 1, 0, 0],
]


@pytest.mark.parametrize(
    ("weights", "transitions", "p_values", "published"),
    [
        (  # graphicalMCP, the article on sequentially rejective procedures
            [0.5, 0.5, 0, 0],
            [[0, 0.5, 0.5, 0], [0.5, 0, 0, 0.5], [0, 1, 0, 0], [1, 0, 0, 0]],
            [0.018, 0.01, 0.105, 0.006],
            [0.024, 0.020, 0.105, 0.024],
        ),
        (  # graphicalMCP, the article on closed testing, which calls gMCP's weights
            [0.5, 0.5, 0, 0, 0, 0],
            SIX,
            [0.015, 0.013, 0.01, 0.007, 0.1, 0.0124],
            [0.026, 0.026, 0.028, 0.028, 0.100, 0.028],
        ),
    ],
)
def test_published_adjusted_p_values(
    weights: Any, transitions: Any, p_values: Any, published: Any
) -> None:
    found = sequentially_rejective(np.array(p_values), np.array(weights), np.array(transitions))
    assert found == pytest.approx(published, abs=2e-6)


def _weights_of(kept: tuple[int, ...], weights: Any, transitions: Any) -> dict[int, float]:
    """The weights of an intersection: all other hypotheses taken out of the graph one by one."""
    w, g = (
        dict(enumerate(weights)),
        {(i, k): v for i, r in enumerate(transitions) for k, v in enumerate(r)},
    )
    for j in [i for i in w if i not in kept]:
        rest = [i for i in w if i != j]
        new = {k: w[k] + w[j] * g[j, k] for k in rest}
        old, g = g, {}
        for i in rest:
            for k in rest:
                loop = old[i, j] * old[j, i]
                passed = (old[i, k] + old[i, j] * old[j, k]) / (1 - loop) if loop < 1 else 0.0
                g[i, k] = 0.0 if i == k else passed
        w = new
    return w


def _closed(p_values: Any, weights: Any, transitions: Any) -> list[float]:
    m = len(p_values)
    adjusted = [0.0] * m
    for size in range(1, m + 1):
        for kept in combinations(range(m), size):
            w = _weights_of(kept, weights, transitions)
            local = min([1.0, *(p_values[i] / w[i] for i in kept if w[i] > 1e-12)])
            for i in kept:
                adjusted[i] = max(adjusted[i], local)
    return adjusted


@st.composite
def graphs(draw: Any) -> tuple[Any, Any, Any]:
    m = draw(st.integers(2, 5))
    share = st.integers(0, 4)

    def divided(skip: int | None) -> list[float]:
        parts = [0 if i == skip else draw(share) for i in range(m)]
        slack = draw(share)
        return [part / max(1, sum(parts) + slack) for part in parts]

    p_values = draw(st.lists(st.floats(1e-4, 1), min_size=m, max_size=m))
    return p_values, divided(None), [divided(i) for i in range(m)]


@settings(max_examples=40, deadline=None)
@given(graphs())
def test_it_is_the_shortcut_of_closed_testing(graph: Any) -> None:
    p_values, weights, transitions = graph
    found = sequentially_rejective(np.array(p_values), np.array(weights), np.array(transitions))
    assert found == pytest.approx(_closed(p_values, weights, transitions), rel=1e-9)
    assert np.all(found >= np.array(p_values) * (1 - 1e-12))


def _effects(tests: dict[str, tuple[str, float]], **columns: Any) -> pd.DataFrame:
    roles, p_values = zip(*tests.values(), strict=True)
    frame = {"outcome": list(tests), "role": roles, "p_value": p_values, "flags": ""}
    return pd.DataFrame({**frame, "treatment": "a", "reference": "c", **columns})


def _adjusted(effects: pd.DataFrame, **declared: Any) -> pd.DataFrame:
    return adjust(effects, Multiplicity(method="graphical", **declared), 0.05)


def test_by_default_roles_are_tested_one_after_the_other() -> None:
    tests = {
        "e": ("exploratory", 0.001),
        "p1": ("primary", 0.01),
        "s1": ("secondary", 0.02),
        "p2": ("primary", 0.03),
        "g": ("guardrail", 0.04),
        "s2": ("secondary", 0.001),
    }
    found = _adjusted(_effects(tests)).set_index("outcome")
    expected = {"p1": 0.02, "p2": 0.03, "s2": 0.03, "s1": 0.03, "e": 0.03, "g": 0.04}
    assert found["p_adjusted"].to_dict() == pytest.approx(expected)
    assert found["family"].to_dict() == {**dict.fromkeys(expected, "all"), "g": "guardrail"}
    assert found.loc["g", "correction"] == "holm"
    assert found["family_size"].to_dict() == {**dict.fromkeys(expected, 5), "g": 1}
    # The limit of the graph with vanishing arrows from the last of each role to the next.
    step, order = 1e-7, ["p1", "p2", "s1", "s2", "e"]
    g = np.zeros((5, 5))
    g[0, 1] = g[1, 0] = g[2, 3] = g[3, 2] = 1 - step
    g[0, 2:4] = g[1, 2:4] = step / 2
    g[2, 4] = g[3, 4] = step
    limit = sequentially_rejective(
        np.array([tests[name][1] for name in order]), np.array([0.5, 0.5, 0, 0, 0]), g
    )
    assert limit == pytest.approx([expected[name] for name in order], rel=1e-5)


def test_a_missing_primary_test_keeps_the_gate_shut() -> None:
    tests = {"p": ("primary", np.nan), "q": ("primary", 0.001), "s": ("secondary", 0.001)}
    found = _adjusted(_effects(tests))
    assert found["reject"].tolist() == [pd.NA, True, False]
    declared = _adjusted(_effects(tests), weights={"p": 0.5, "q": 0.5}, transitions={"q": {"s": 1}})
    assert declared["p_adjusted"].tolist()[1:] == pytest.approx([0.002, 0.002])


def test_weights_alone_are_holms_with_weights() -> None:
    tests = {name: ("secondary", p) for name, p in zip("xyz", (0.01, 0.02, 0.04), strict=True)}
    even = _adjusted(_effects(tests), weights={name: 1 / 3 for name in "xyz"})
    assert even["p_adjusted"].tolist() == pytest.approx([0.03, 0.04, 0.04])
    full = {f"{name}: a - c": w for name, w in zip("xyz", (0.5, 0.3, 0.2), strict=True)}
    assert _adjusted(_effects(tests), weights=full)["p_adjusted"].tolist() == pytest.approx(
        [0.02, 0.02 / 0.6, 0.04]
    )


@pytest.mark.parametrize(
    ("declared", "field", "words"),
    [
        ({"weights": {"gap": 0.6, "gap: treated - control": 0.2}}, "weights", "named twice"),
        ({"weights": {"gapp": 1}}, "weights.gapp", "no test 'gapp'"),
        ({"weights": {"gap": 0.7, "kl": 0.4}}, "weights", "must not exceed 1"),
        ({"transitions": {"gap": {"kl": 1}}}, "transitions", "add `weights`"),
        (
            {"weights": {"gap": 1}, "transitions": {"gap": {"gap": 1}}},
            "transitions.gap.gap",
            "to itself",
        ),
        (
            {"weights": {"gap": 1}, "transitions": {"gap": {"kl": 1, "x": 0.1}}},
            "transitions.gap",
            "must not exceed 1",
        ),
        ({"method": "holm", "weights": {"gap": 1}}, "weights", "method: graphical"),
    ],
)
def test_what_is_no_graph_is_refused(
    declared: Any, field: str, words: str, make_trial: Any
) -> None:
    outcomes = [{"name": n, "role": "primary", "metric": "entropy"} for n in ("gap", "kl", "x")]
    multiplicity = {"method": "graphical", **declared}
    trial = make_trial(outcomes=outcomes, analysis={"multiplicity": multiplicity})
    with pytest.raises(SpecError) if declared.get("method") != "holm" else nullcontext():
        check_analysis(trial)
    problems = list(graph_of_tests(trial))
    found = {".".join(map(str, p.path[2:])): p.message for p in problems}
    assert words in found[field]


def test_a_good_graph_passes(make_trial: Any) -> None:
    outcomes = [{"name": n, "role": "primary", "metric": "entropy"} for n in ("gap", "kl")]
    graph = {"weights": {"gap": 1.0}, "transitions": {"gap": {"kl: treated - control": 1.0}}}
    trial = make_trial(
        outcomes=outcomes, analysis={"multiplicity": {"method": "graphical", **graph}}
    )
    assert list(graph_of_tests(trial)) == []
