from __future__ import annotations

import math

import pytest
from hypothesis import given as over
from hypothesis import settings
from hypothesis import strategies as st

from mergeline.core import numbers
from mergeline.core.comparison import Difference, Measured


def difference(estimate: float | None, low: float | None, high: float | None) -> Difference:
    return Difference(estimate, low, high, 0.95, "as given", "same")


@pytest.mark.parametrize(
    ("estimate", "low", "high", "said"),
    [
        (0.0088, 0.0047, 0.0129, "+0.009 ± 0.004"),
        (0.0088, 0.0057, 0.0119, "+0.0088 ± 0.0031"),
        (-0.031, -0.049, -0.013, "−0.031 ± 0.018"),
        (0.009, 0.001, 0.012, "+0.009 (+0.001 to +0.012)"),
        (2e-7, 1e-7, 3e-7, "+2.0e-7 ± 1.0e-7"),
        (1234.5, 1100.0, 1369.0, "+1,230 ± 130"),
        (0.0, -0.005, 0.005, "0.000 ± 0.005"),
        (0.0, 0.0, 0.0, "0"),
        (None, None, None, "—"),
        (0.25, None, None, "+0.25"),
        (math.nan, 1.0, 2.0, "NaN ± 0.500"),
    ],
)
def test_a_difference_has_the_digits_that_its_interval_allows(
    estimate: float | None, low: float | None, high: float | None, said: str
) -> None:
    assert numbers.change(difference(estimate, low, high)) == said


def test_rounding_does_not_hide_on_which_side_of_zero_an_interval_ends() -> None:
    assert numbers.change(difference(0.0424, 0.0003, 0.0845)) == "+0.0424 ± 0.0421"
    assert numbers.change(difference(-0.0416, -0.0837, 0.0005)) == "−0.0416 ± 0.0421"


def test_numbers_that_differ_are_never_shown_as_the_same() -> None:
    places = numbers.decimals(1e-6, 1.2e-6, difference=None)
    assert places is not None
    assert numbers.fixed(1e-6, places) == "1.00e-6"
    assert numbers.fixed(1.2e-6, places) == "1.20e-6"


@settings(deadline=None)
@over(st.floats(-1e12, 1e12, allow_subnormal=False), st.floats(-1e12, 1e12, allow_subnormal=False))
def test_two_numbers_without_interval_keep_their_difference(one: float, other: float) -> None:
    places = numbers.decimals(one, other, difference=None)
    far = abs(one - other) > 1e-12 * max(abs(one), abs(other))
    if places is not None and far and abs(one - other) > 1e-5:
        assert numbers.fixed(one, places) != numbers.fixed(other, places)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (0.7423, "0.742"), (1e-6, "1.00e-6"), (0.0, "0"), (-0.0, "0"), (5.0, "5"),
        (123456.789, "123,457"), (1e20, "1.00e20"), (math.nan, "NaN"), (math.inf, "∞"),
        (-math.inf, "−∞"), (None, "—"),
    ],
)  # fmt: skip
def test_a_number_on_its_own_has_three_digits_that_count(value: float | None, said: str) -> None:
    assert numbers.number(value) == said


@pytest.mark.parametrize(
    ("value", "said"),
    [(0.05, "0.05"), (1e-6, "1e-6"), (-0.0, "0"), (20.0, "20"), (1e6, "1,000,000")],
)
def test_a_number_that_a_person_wrote_stays_as_short(value: float, said: str) -> None:
    assert numbers.given(value) == said


@pytest.mark.parametrize(
    ("measured", "said"),
    [
        (Measured(0.5), "0.500"),
        (Measured(None, "nan", "the scorer returned NaN"), "NaN"),
        (Measured(None, "infinite", "it is"), "∞"),
        (Measured(None, "unscored", "a column is gone"), "not scored"),
        (None, "—"),
    ],
)
def test_a_number_that_is_not_there_is_said(measured: Measured | None, said: str) -> None:
    assert numbers.measured(measured, None) == said


def test_a_share_is_never_rounded_to_none_or_all() -> None:
    assert numbers.share(1, 100_000) == "0.0010 %"
    assert numbers.share(99_999, 100_000) == "99.99 %"
    assert numbers.share(0, 10) == "0 %"
    assert numbers.share(10, 10) == "100 %"
    assert numbers.share(0, 0) == "—"


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.41, "0.4 s"), (48.2, "48 s"), (60, "1 min"), (185, "3 min 5 s"), (7800, "2 h 10 min")],
)
def test_seconds_read_as_a_person_says_them(seconds: float, said: str) -> None:
    assert numbers.duration(seconds) == said
