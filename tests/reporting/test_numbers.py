# ruff: noqa: RUF001 - typographic minus signs and dashes are what is tested
from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from causal_sae.reporting import numbers

finite = st.floats(-1e6, 1e6, allow_nan=False)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.0, "0"),
        (-0.4213, "−0.421"),
        (1234.5, "1,234"),
        (0.00001234, "0.000012"),
        (1e-17, "<0.000001"),
        (-1e-17, ">−0.000001"),
        (math.nan, "–"),
        (-math.inf, "−∞"),
    ],
)
def test_number_has_true_minus_and_no_exponent(value: float, shown: str) -> None:
    assert numbers.number(value) == shown


@given(finite)
def test_no_exponent_ever(value: float) -> None:
    assert "e" not in numbers.number(value).lower()


@given(finite, st.floats(1e-4, 1e3))
def test_estimate_and_interval_share_their_decimals(estimate: float, half: float) -> None:
    shown = numbers.with_interval(estimate, estimate - half, estimate + half)
    parts = shown.replace("[", "").replace("]", "").replace(",", "").split(" ")
    assert len({len(part.partition(".")[2]) for part in parts}) == 1


def test_interval_is_shown_to_two_digits_of_its_half_width() -> None:
    assert numbers.with_interval(-0.42134, -0.48412, -0.35856) == "−0.421 [−0.484, −0.359]"
    assert numbers.with_interval(12345.6, 12000, 12700) == "12,346 [12,000, 12,700]"
    assert numbers.with_interval(0.25, math.nan, math.nan) == "0.250"
    assert numbers.with_interval(0.041, -math.inf, 0.052) == "0.041 [−∞, 0.052]"


@pytest.mark.parametrize(
    ("p", "shown"),
    [
        (0.0, "<0.001"),
        (0.0009, "<0.001"),
        (0.0123, "0.012"),
        (0.04996, "0.0500"),
        (0.0499, "0.0499"),
        (0.051, "0.0510"),
        (0.47, "0.47"),
        (0.999, ">0.99"),
        (1.0, "1.00"),
        (math.nan, "–"),
    ],
)
def test_p(p: float, shown: str) -> None:
    assert numbers.p_value(p) == shown


def test_declared_numbers_stay_as_they_were_written() -> None:
    assert [numbers.declared(x) for x in (0.1, 12.5, -3.0, 5.0)] == ["0.1", "12.5", "−3", "5"]


def test_seconds() -> None:
    assert [numbers.seconds(x) for x in (0.42, 42.4, 185, 3720)] == [
        "0.4 s",
        "42 s",
        "3 min 05 s",
        "1 h 02 min",
    ]
