"""Which design is the cheapest: the arithmetic of variances and forward passes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from causal_sae.diagnosis.comparison import Offer, same_precision, units_for, verdict


def offer(design: str, spread: float = 0.2, fixed: float = 0.0, **changes: object) -> Offer:
    usual = {"units": 100, "effect": 0.5, "spread_error": 0.001, "passes": 2.0}
    parts = {"spread": spread, "fixed": fixed, "removable": spread**2 - fixed}
    return Offer(design=design, **{**usual, **parts, **changes})  # type: ignore[arg-type]


FIRST = offer("first")


def test_half_the_spread_takes_a_quarter_of_the_units():
    better = offer("better", spread=0.1)
    assert same_precision([FIRST, better]) == [200.0, 50.0]
    assert (
        "the cheapest design is better: 50 forward passes, 25 units"
        in verdict([FIRST, better], "gap")[0]
    )


def test_a_precise_design_may_cost_more():
    dear = offer("dear", spread=0.15, passes=10.0)
    assert same_precision([FIRST, dear])[1] > 200
    assert "the cheapest design is first" in verdict([FIRST, dear], "gap")[0]


def test_precision_is_relative_to_the_effect_that_a_design_looks_for():
    among_exposed = offer("exposed", effect=1.0, spread=0.4)
    assert same_precision([FIRST, among_exposed]) == [200.0, 200.0]


def test_what_units_do_not_cure_is_not_divided_by_them():
    drawn = offer("drawn", fixed=0.03)  # of a variance of 0.04
    assert units_for(drawn, 0.4) == pytest.approx(100)
    assert units_for(drawn, 0.38) == pytest.approx(100 * 0.01 / (0.0361 - 0.03))
    never = offer("never", fixed=0.05, spread=0.3)
    told = verdict([FIRST, never], "gap")
    assert any(s.startswith("never cannot reach that precision") for s in told)
    assert "cheapest design is first" in told[0]


def test_what_the_simulation_cannot_tell_apart_is_a_tie():
    close = offer("close", spread=0.199, spread_error=0.006)
    told = verdict([replace(FIRST, spread_error=0.006), close], "gap")
    assert "these cost the same within the simulation's error: first, close." in told[0]


def test_a_biased_design_is_not_the_cheapest():
    biased = offer("biased", spread=0.05, biased=True)
    told = verdict([FIRST, biased], "gap")
    assert "cheapest design is first" in told[0]
    assert "biased is biased" in told[1]
